"""What can change a layer counts, and what can't does not: one thing at a time."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from genoci.build import key as key_module
from genoci.build.events import Output, Warned
from genoci.build.request import Request
from genoci.build.schedule import plan
from genoci.layer.compress import Compression
from genoci.oci.cache import is_cache_entry
from genoci.oci.index import read_index
from genoci.oci.resolve import read_manifest
from workshop import Workshop


@pytest.fixture
def workshop(workshop: Workshop) -> Workshop:
    workshop.use_cache = True
    return workshop


def is_cached(workshop: Workshop, yaml: str, name: str = "t", **options: object) -> bool:
    """Whether `plan` would take the target from the cache."""
    request = {
        "file": workshop.write("genoci.yaml", yaml),
        "layout": workshop.layout_path,
        "state": workshop.state,
        "compression": Compression.parse("gzip"),
    }
    decided = plan(Request(**(request | options)), lambda event: None)  # type: ignore[arg-type]
    return {target.name: it.result is not None for target, it in decided}[name]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


COPIED = "t: {base: empty, copy: app /app}"


@pytest.fixture
def copied(workshop: Workshop) -> Workshop:
    """A folder with one of everything, built as `t` of COPIED."""
    app = workshop.folder / "app"
    workshop.write("app/file", "1")
    workshop.write("app/sub/below", "2")
    workshop.write("outside", "3")
    (app / "empty").mkdir()
    (app / "link").symlink_to("file")
    os.mkfifo(app / "fifo", 0o644)
    workshop.build(COPIED)
    assert is_cached(workshop, COPIED)
    return workshop


@pytest.mark.parametrize(
    "change",
    [
        "echo 2 > file",
        "chmod 4644 file",
        "chmod 700 sub",
        "chmod 700 .",
        "chmod 600 fifo",
        "mv file other",
        "mkdir new",
        "rmdir empty",
        "mkdir empty/deeper",
        "rmdir empty; touch empty",
        "rm link; ln -s ./file link",
        "rm link; cp file link",
        "rm fifo",
        "touch sub/new",
        "mv sub/below .",
    ],
)
def test_what_changes_in_a_copied_folder_counts(copied: Workshop, change: str) -> None:
    subprocess.run(["sh", "-c", change], cwd=copied.folder / "app", check=True)
    assert not is_cached(copied, COPIED)


@pytest.mark.parametrize(
    "change",
    [
        "touch -d 2001-01-01 file sub . empty",
        "touch -h -d 2001-01-01 link",
        "cp -p file x; mv x file",
        "ln file ../elsewhere",
        "cp -r --preserve=mode ../app ../copy; rm -r ../app; mv ../copy ../app",
        "echo changed > ../outside",
        "touch ../genoci.yaml",
    ],
)
def test_what_never_gets_into_the_layer_does_not(copied: Workshop, change: str) -> None:
    subprocess.run(["sh", "-c", change], cwd=copied.folder / "app", check=True)
    assert is_cached(copied, COPIED)


def test_a_socket_is_left_out_and_does_not_count(copied: Workshop) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        folder = os.open(copied.folder / "app", os.O_PATH)
        listening.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        assert is_cached(copied, COPIED)


def test_the_modes_of_files_that_are_given_one_do_not_count(workshop: Workshop) -> None:
    yaml = "t: {base: empty, copy: {src: [app, one], dest: /app/, mode: 0644}}"
    workshop.write("one", "1", mode=0o600)
    workshop.write("app/file", "1", mode=0o600)
    workshop.build(yaml)
    (workshop.folder / "one").chmod(0o755)
    (workshop.folder / "app" / "file").chmod(0o755)
    assert is_cached(workshop, yaml)
    (workshop.folder / "app").chmod(0o700)
    assert not is_cached(workshop, yaml)


def test_a_link_to_what_is_copied_counts_by_what_it_leads_to(workshop: Workshop) -> None:
    yaml = "t: {base: empty, copy: link /app/}"
    workshop.write("one", "1")
    workshop.write("two", "1")
    link = workshop.folder / "link"
    link.symlink_to("one")
    workshop.build(yaml)
    link.unlink()
    link.symlink_to("two")
    assert is_cached(workshop, yaml)
    workshop.write("two", "2")
    assert not is_cached(workshop, yaml)


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("copy: {src: app, dest: /app}", "copy: {src: app, dest: /app, exclude: file}"),
        ("copy: {src: app, dest: /app}", "copy: {src: app, dest: /other}"),
        ("copy: {src: app, dest: /app}", "copy: {src: app, dest: /app, owner: '1'}"),
        ("copy: {src: app, dest: /app, mode: 0644}", "copy: {src: app, dest: /app, mode: 0600}"),
        ("copy: {src: app/file, dest: /a}", "copy: {src: app/file, dest: /a/}"),
        ("copy: [app/file /a, app/other /b]", "copy: [app/file /b, app/other /a]"),
        ("expand: a.tar", "expand: {src: a.tar, dest: /a}"),
        ("expand: a.tar", "expand: {src: a.tar, strip: 1}"),
        ("expand: [a.tar, b.tar]", "expand: [b.tar, a.tar]"),
        ("copy: app/file /a", "copy: app/file /a\n  platform: linux/arm64"),
    ],
)
def test_the_definition_counts(workshop: Workshop, key: str, other: str) -> None:
    workshop.write("app/file", "1")
    workshop.write("app/other", "2")
    workshop.tarball("a.tar", ("x/a", "a"))
    workshop.tarball("b.tar", ("x/a", "b"))
    workshop.build(f"t:\n  base: empty\n  {key}\n")
    assert not is_cached(workshop, f"t:\n  base: empty\n  {other}\n")


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("copy: app /app", "copy: {dest: /app, src: app, owner: '0:0'}"),
        ("copy: app /app", "copy: [app/ //app/./]"),
        ("copy: app /app", "steps: [{copy: ./app /app}]"),
        (
            "copy: {src: app, dest: /app, exclude: [a, b]}",
            "copy: {src: app, dest: /app, exclude: [b, a, a]}",
        ),
        ("expand: a.tar", "expand: {src: same.tar}"),
        ("copy: app /app", "copy: app /app\n  labels: {a: b}\n  user: me\n  cmd: x\n  env: {A: b}"),
    ],
)
def test_how_it_is_written_does_not(workshop: Workshop, key: str, other: str) -> None:
    workshop.write("app/file", "1")
    workshop.tarball("a.tar", ("x/a", "a"))
    shutil.copy(workshop.folder / "a.tar", workshop.folder / "same.tar")
    workshop.build(f"t:\n  base: empty\n  {key}\n")
    assert is_cached(workshop, f"t:\n  base: empty\n  {other}\n")


def test_a_sha256_that_is_wrong_is_not_overlooked_because_it_is_new(workshop: Workshop) -> None:
    tarball = workshop.tarball("a.tar", ("x/a", "a"))
    workshop.build("t: {base: empty, expand: a.tar}")
    right = f"t: {{base: empty, expand: {{src: a.tar, sha256: {sha256(tarball)}}}}}"
    wrong = f"t: {{base: empty, expand: {{src: a.tar, sha256: {'0' * 64}}}}}"
    assert is_cached(workshop, right)
    assert not is_cached(workshop, wrong)
    outcome = workshop.build(wrong)
    assert "has the sha256" in outcome.failed[0].what


def test_what_runs_counts_with_who_runs_it_and_the_network(
    workshop: Workshop, rootfs: Path
) -> None:
    base = f"base: {{base: empty, expand: {rootfs}}}\n"
    workshop.build(base + "t: {base: base, run: {shell: 'true'}}")
    assert is_cached(workshop, base + "t: {base: base, run: {shell: 'true'}}")
    for run in (
        "{shell: 'true', user: '1'}",
        "{shell: 'true', network: none}",
        "['true', 'true']",
        "'true '",
    ):
        assert not is_cached(workshop, base + f"t: {{base: base, run: {run}}}"), run


def test_what_a_command_sees_of_its_base_counts(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"base: {{base: empty, expand: {rootfs}}}\nt: {{base: base, run: pwd > /pwd}}"
    workshop.build(yaml)
    for config in ("env: {A: b}", "workdir: /tmp"):
        changed = yaml.replace("base: empty,", f"base: empty, {config},")
        assert is_cached(workshop, changed, "base")
        assert not is_cached(workshop, changed), config
    for config in ("labels: {a: b}", "user: me", "cmd: x", "entrypoint: x", "expose: [80]"):
        changed = yaml.replace("base: empty,", f"base: empty, {config},")
        assert is_cached(workshop, changed), config


def test_hooks_count_by_their_text_and_their_scripts(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"t: {{base: empty, expand: {rootfs}, pre: 'true', post: ./after}}"
    script = workshop.write("after", "true\n")
    workshop.build(yaml)
    assert is_cached(workshop, yaml)
    script.chmod(0o755)  # docs: a `#!` line counts, whether or not the file is a program
    assert is_cached(workshop, yaml)
    assert not is_cached(workshop, yaml.replace("pre: 'true'", "pre: ':'"))
    script.write_text("true \n")
    assert not is_cached(workshop, yaml)


def test_the_format_of_layers_counts(copied: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_module, "FORMAT", key_module.FORMAT + 1)
    assert not is_cached(copied, COPIED)


def test_other_places_names_users_and_locales_give_the_same_key(
    copied: Workshop, tmp_path: Path
) -> None:
    """The layout is all that a second machine has of the first."""
    elsewhere = Workshop(tmp_path / "a" / "b")
    elsewhere.folder.mkdir(parents=True)
    subprocess.run(
        ["cp", "-r", "--preserve=mode", copied.folder / "app", elsewhere.folder / "app"], check=True
    )
    shutil.copytree(copied.layout_path, elsewhere.folder / "oci")
    before = os.umask(0o077)
    try:
        assert is_cached(elsewhere, COPIED.replace("t:", "other:"), "other")
    finally:
        os.umask(before)


def test_the_compression_does_not_count_where_there_is_no_layer(copied: Workshop) -> None:
    yaml = f"{COPIED}\nnext: {{base: t, labels: {{a: b}}}}"
    copied.build(yaml)
    copied.layout.untag(["next"])
    zstd = {"compression": Compression.parse("zstd")}
    assert not is_cached(copied, yaml, **zstd)
    config_only = "next: {base: t, labels: {a: b}}"
    for options in (zstd, {"epoch": 1}):
        assert is_cached(copied, config_only, "next", **options)


def test_an_input_that_was_another_while_it_was_built_is_not_remembered(
    workshop: Workshop, rootfs: Path
) -> None:
    """It is the same before and after; what was built is of what it was in between."""
    late = workshop.write("late", "before")
    yaml = f"""
t:
  base: empty
  steps:
    - expand: {rootfs}
    - run: echo running
    - copy: late /
    - run: echo copied
"""

    def change(event: object) -> None:
        if isinstance(event, Output):
            late.write_text("meanwhile" if "running" in event.text else "before")

    workshop.build(yaml, on_event=change)
    assert late.read_text() == "before"
    assert not is_cached(workshop, yaml)


@pytest.mark.parametrize("name", ["oci", "state"])
def test_who_copies_what_it_is_built_with_is_told_how_not_to(workshop: Workshop, name: str) -> None:
    other = {"oci": "state", "state": "oci"}[name]

    def warnings(exclude: str) -> list[tuple[str, str]]:
        yaml = f"t: {{base: empty, copy: {{src: ., dest: /, exclude: {exclude}}}}}"
        workshop.build(yaml)
        return [(e.what, e.mend) for e in workshop.events if isinstance(e, Warned)]

    what = {"oci": "layout", "state": "state"}[name]
    ((told, mend),) = warnings(f"[{other}]")
    assert told == f"target t copies the {what}, which changes with every build"
    assert mend.endswith(f"exclude: {name}}}")
    assert warnings("[oci, state]") == []
    assert warnings("['o*', 's*']") == []


@pytest.mark.parametrize("limit", [1000, 300])
def test_a_key_of_very_many_files_can_be_stored_and_still_tells_them_apart(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(key_module, "DOCUMENT_LIMIT", limit)
    for folder, name in itertools.product("ab", range(20)):
        workshop.write(f"{folder}/{name}", f"{name}")
    yaml = "t: {base: empty, copy: {src: [a, b], dest: /}}"
    workshop.build(yaml)
    entry = next(e for e in read_index(workshop.layout.index_path).entries if is_cache_entry(e))
    assert entry.descriptor
    config = read_manifest(workshop.layout.blobs, entry.descriptor).config
    assert config.size <= limit
    assert is_cached(workshop, yaml)
    workshop.write("b/19", "changed")
    assert not is_cached(workshop, yaml)
    assert workshop.build(yaml).ok
