from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

GENOCI = (sys.executable, "-m", "genoci")
Genoci = Callable[..., subprocess.CompletedProcess[str]]
OnTerminal = Callable[..., tuple[int, str]]
Screen = Callable[[str, int], list[str]]

PURE = """
base: {base: empty, expand: ./root.tar}
app: {base: base, copy: hello /etc/, entrypoint: /bin/cat /etc/hello}
"""
RUNNING = """
base: {base: empty, expand: ./root.tar}
app:
  base: base
  run: |
    seq 1 50
    printf '\\033[2Jno newline'
bad: {base: base, run: seq 1 30; touch /here; exit 3}
top: {base: bad, run: 'true'}
other: {base: base, copy: hello /}
"""


@pytest.fixture
def files(place: Path) -> Path:
    """A small root filesystem with a shell as ./root.tar, a file ./hello, and pure.yaml."""
    busybox = shutil.which("busybox")
    assert busybox, "Debian's package busybox-static is needed"
    with tarfile.open(place / "root.tar", "w") as tar:
        for folder in ("bin", "etc", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        program = Path(busybox).read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        for name in ("sh", "cat", "seq", "touch", "true", "ls", "sleep"):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    (place / "hello").write_text("Hello, world\n")
    (place / "pure.yaml").write_text(PURE)
    (place / "running.yaml").write_text(RUNNING)
    return place


def tags_of(genoci: Genoci) -> set[str]:
    return {line.split()[0] for line in genoci("ls").stdout.splitlines()}


def test_the_short_form_is_build_with_a_file(genoci: Genoci, files: Path) -> None:
    short = genoci("pure.yaml", "--no-dated-tags")
    long = genoci("build", "-f", "pure.yaml", "--no-dated-tags")
    assert (short.returncode, long.returncode) == (0, 0)
    assert short.stdout == long.stdout
    assert [line.split()[0] for line in short.stdout.splitlines()] == ["base", "app"]
    assert tags_of(genoci) == {"base", "app"}


def test_build_takes_genoci_yaml_and_targets_between_options(genoci: Genoci, files: Path) -> None:
    (files / "pure.yaml").rename(files / "genoci.yaml")
    ended = genoci("build", "base", "--no-dated-tags", "--compression", "zstd:3")
    assert ended.returncode == 0
    assert tags_of(genoci) == {"base"}
    ended = genoci("build", "--keep-going", "app", "--progress", "quiet")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert any(tag.startswith("app-") and tag.endswith("_1") for tag in tags_of(genoci))


def test_build_as_json_is_a_line_for_each_target(genoci: Genoci, files: Path) -> None:
    ended = genoci("pure.yaml", "--json", "--progress", "json")
    base, app = (json.loads(line) for line in ended.stdout.splitlines())
    assert base["target"] == "base" and app["tags"][0] == "app"
    assert app["digest"].startswith("sha256:")
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [e["target"] for e in events if e["event"] == "finished"] == ["base", "app"]


def test_a_mistake_in_the_file_is_told_before_anything_is_built(
    genoci: Genoci, files: Path
) -> None:
    (files / "pure.yaml").write_text(PURE + "wrong: {base: nobody, copi: a b}\n")
    ended = genoci("pure.yaml")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: pure.yaml:4:")
    assert "there is no key `copi` here" in ended.stderr
    assert "nobody" in ended.stderr, "all mistakes are told at once"
    assert not (files / "oci").exists()
    told = [json.loads(line) for line in genoci("pure.yaml", "--progress=json").stderr.splitlines()]
    assert {message["kind"] for message in told} == {"SpecError"} and len(told) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("nothere.yaml",),
        ("pure.yaml", "nobody"),
        ("pure.yaml", "--compression", "rar"),
        ("pure.yaml", "--compression", "zstd:99"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(
    words: tuple[str, ...], genoci: Genoci, files: Path
) -> None:
    ended = genoci(*words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert not (files / "oci").exists()


def test_a_failed_step_is_told_with_its_last_lines_and_the_way_in(
    genoci: Genoci, files: Path
) -> None:
    ended = genoci("running.yaml", "bad")
    assert ended.returncode == 1
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["base"]
    output, _, report = ended.stderr.partition("error: ")
    assert [line for line in output.splitlines() if line.startswith("  | ")] == [
        f"  | {n}" for n in range(1, 31)
    ]
    assert "bad" in report and "seq 1 30" in report and "exit status 3" in report
    assert [line for line in report.splitlines() if line.startswith("  | ")] == [
        f"  | {n}" for n in range(11, 31)
    ]
    assert "genoci shell --failed" in report
    looked = genoci("shell", "--failed", "--", "/bin/ls", "/here")
    assert (looked.returncode, looked.stdout.strip()) == (0, "/here")


def test_keep_going_builds_what_does_not_need_the_failed(genoci: Genoci, files: Path) -> None:
    ended = genoci("running.yaml", "--keep-going")
    assert ended.returncode == 1
    assert {line.split()[0] for line in ended.stdout.splitlines()} == {"base", "app", "other"}
    assert "top: not built, because of bad" in ended.stderr
    assert ended.stderr.endswith("3 targets built; failed: bad; not built: top\n")


def test_a_build_on_a_terminal_shows_results_and_all_output(
    on_a_terminal: OnTerminal, screen: Screen, files: Path
) -> None:
    status, shown = on_a_terminal("running.yaml", "app")
    assert status == 0
    rows = screen(shown, 100_000)
    wrapped = "".join(screen(shown, 80))
    assert [row for row in rows if row.startswith("  | ")] == [
        *(f"  | {n}" for n in range(1, 51)),
        "  | no newline",
    ]
    assert "base sha256:" in wrapped and "app sha256:" in wrapped


def test_an_interrupted_build_ends_with_130(files: Path, environment: dict[str, str]) -> None:
    (files / "slow.yaml").write_text(
        PURE.replace("copy: hello /etc/", "run: echo started; sleep 1000")
    )
    build = subprocess.Popen(
        [*GENOCI, "slow.yaml"],
        cwd=files,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert build.stderr
    said = list(itertools.takewhile(lambda line: line != "  | started\n", build.stderr))
    build.send_signal(signal.SIGINT)
    rest = build.stderr.read()
    assert build.wait() == 130, said
    assert rest.startswith("error: interrupted")


def test_diff_tells_files_and_config(genoci: Genoci, files: Path) -> None:
    genoci("pure.yaml")
    lines = genoci("diff", "base", "app").stdout.splitlines()
    assert "A /etc/hello" in lines
    assert 'A config Entrypoint: ["/bin/cat", "/etc/hello"]' in lines
    assert "D /etc/hello" in genoci("diff", "app", "base").stdout.splitlines()
    document = json.loads(genoci("diff", "base", "app", "--json").stdout)
    assert document["added"] == ["/etc/hello"] and document["removed"] == []
    assert genoci("diff", "app", "app").stderr == "no difference\n"


def test_diff_can_not_be_ruled_by_names_in_an_image(genoci: Genoci, files: Path) -> None:
    (files / "evil").mkdir()
    (files / "evil" / "a\x1b[2J\nA forged").touch()
    (files / "evil.yaml").write_text("evil: {base: empty, copy: evil /}")
    assert genoci("evil.yaml").returncode == 0
    lines = genoci("diff", "empty", "evil").stdout.splitlines()
    assert r"A /a\x1b[2J\nA forged" in lines and "A forged" not in lines


def test_unpack_writes_the_root_filesystem(genoci: Genoci, files: Path) -> None:
    genoci("pure.yaml")
    ended = genoci("unpack", "app", "root")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert (files / "root" / "etc" / "hello").read_text() == "Hello, world\n"
    again = genoci("unpack", "app", "root")
    assert again.returncode == 2 and "not empty" in again.stderr
    assert genoci("unpack", "nobody", "new").returncode == 1
    assert not (files / "new").exists()


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz"])
def test_export_writes_one_tarball(ending: str, genoci: Genoci, files: Path) -> None:
    genoci("pure.yaml")
    assert genoci("export", "app", f"app.{ending}").returncode == 0
    with tarfile.open(files / f"app.{ending}") as tar:
        assert {"bin/sh", "etc/hello"} <= {name.removeprefix("./") for name in tar.getnames()}


def test_export_needs_a_name_that_tells_the_format(genoci: Genoci, files: Path) -> None:
    genoci("pure.yaml")
    ended = genoci("export", "app", "app.zip")
    assert ended.returncode == 2 and ".tar.zst" in ended.stderr
    assert not (files / "app.zip").exists()
    ended = genoci("export", "app", "nowhere/app.tar")
    assert ended.returncode == 2 and "no folder" in ended.stderr


def test_fsck_finds_the_damaged_byte_and_names_the_tag(genoci: Genoci, files: Path) -> None:
    genoci("pure.yaml", "--no-dated-tags")
    sound = genoci("fsck")
    assert (sound.returncode, sound.stdout) == (0, "")
    layer = max((files / "oci" / "blobs" / "sha256").iterdir(), key=lambda p: p.stat().st_size)
    os.chmod(layer, 0o644)
    with layer.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\xff\x00\xff")
    broken = genoci("fsck")
    assert broken.returncode == 1
    assert layer.name in broken.stdout and "base" in broken.stdout
    assert json.loads(genoci("fsck", "--json").stdout)[0]["where"].endswith(layer.name)


def test_shell_runs_a_command_in_a_throw_away_copy(genoci: Genoci, files: Path) -> None:
    genoci("pure.yaml")
    ended = genoci("shell", "app", "--", "/bin/cat", "/etc/hello")
    assert (ended.returncode, ended.stdout) == (0, "Hello, world\n")
    assert genoci("shell", "app", "--", "/bin/sh", "-c", "touch /x; exit 7").returncode == 7
    assert genoci("shell", "app", "--", "/bin/ls", "/x").returncode == 1


def test_shell_on_a_terminal_is_a_terminal(on_a_terminal: OnTerminal, files: Path) -> None:
    assert on_a_terminal("pure.yaml")[0] == 0
    status, shown = on_a_terminal("shell", "app", "--", "/bin/sh", "-c", "[ -t 0 ] && echo yes")
    assert (status, shown.strip()) == (0, "yes")


@pytest.mark.parametrize("words", [(), ("app", "--failed"), ("--failed", "--driver", "copy")])
def test_shell_wants_a_tag_or_failed(words: tuple[str, ...], genoci: Genoci) -> None:
    assert genoci("shell", *words).returncode == 2


def test_shell_failed_without_a_failed_build_says_so(genoci: Genoci) -> None:
    ended = genoci("shell", "--failed")
    assert ended.returncode == 1 and "no failed build" in ended.stderr


def test_clean_deletes_the_state_and_not_the_layout(
    genoci: Genoci, files: Path, tmp_path: Path
) -> None:
    genoci("running.yaml", "app")
    state = tmp_path / "home" / ".local" / "share" / "genoci"
    assert (state / "snapshots").exists()
    before = tags_of(genoci)
    ended = genoci("clean")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert not state.exists() and tags_of(genoci) == before
    assert genoci("clean").stderr == f"there is no state in {state}\n"


def test_clean_deletes_nothing_that_is_not_a_state(genoci: Genoci, files: Path) -> None:
    ended = genoci("clean", "--state", ".")
    assert ended.returncode == 2 and "Nothing was deleted" in ended.stderr
    assert (files / "hello").exists()


def test_plan_says_what_a_build_would_do_and_hooks_first(genoci: Genoci, files: Path) -> None:
    told = genoci("plan", "-f", "pure.yaml").stdout.splitlines()
    assert told[0].split() == ["base", "built:", "it", "was", "never", "built"]
    assert told[1].split() == ["app", "built:", "base:", "base", "is", "built", "first"]
    assert tags_of(genoci) == set()
    genoci("pure.yaml", "--no-dated-tags")
    told = genoci("plan", "-f", "pure.yaml").stdout.splitlines()
    assert [line.split() for line in told] == [["base", "cached"], ["app", "cached"]]
    (files / "hooked.yaml").write_text(
        "hooked:\n  base: empty\n  pre: touch %ROOT%/x\n  labels: {a: b}\n"
    )
    told = genoci("plan", "-f", "hooked.yaml").stdout.splitlines()
    assert told[0] == ("runs on this machine: hooked.yaml:3:8: target hooked, pre: touch %ROOT%/x")
    (document,) = json.loads(genoci("plan", "-f", "hooked.yaml", "--json").stdout)
    assert document["because"] == ["it was never built"]
    assert document["hooks"][0]["hook"] == "pre: touch %ROOT%/x"


def test_options_about_the_cache(genoci: Genoci, files: Path) -> None:
    refused = genoci("build", "-f", "pure.yaml", "--expect-cached")
    assert refused.returncode == 1
    assert "2 of 2 targets would be built" in refused.stderr
    genoci("build", "-f", "pure.yaml", "--no-dated-tags")
    assert genoci("build", "-f", "pure.yaml", "--expect-cached").returncode == 0
    again = genoci("build", "-f", "pure.yaml", "--no-cache", "app", "--explain")
    assert again.stderr.count("because the cache is not to be used") == 2
    one = genoci("build", "-f", "pure.yaml", "--no-cache=app", "--explain", "--jobs", "1")
    assert one.stderr.count("because the cache is not to be used") == 1
    assert "cached: base" in one.stderr
    wrong = genoci("build", "-f", "pure.yaml", "--no-cache=ap")
    assert wrong.returncode == 2
    assert "did you mean `app`" in wrong.stderr
    for both in (("--no-cache=base, app",), ("--no-cache=base", "--no-cache=app")):
        told = genoci("plan", "-f", "pure.yaml", *both, "--json").stdout
        assert [one["cached"] for one in json.loads(told)] == [False, False]
    nobody = genoci("build", "-f", "pure.yaml", "--no-cache=,")
    assert nobody.returncode == 2
    assert "names no target" in nobody.stderr
    assert genoci("build", "-f", "pure.yaml", "--jobs", "many").returncode == 2
