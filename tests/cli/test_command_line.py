from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.cli import commands, words
from genoci.oci.layout import Layout

GENOCI = (sys.executable, "-m", "genoci")
Genoci = Callable[..., subprocess.CompletedProcess[str]]
OnTerminal = Callable[..., tuple[int, str]]

HEAVY = {
    "rich",
    "yaml",
    "isal",
    "backports",
    "bz2",
    "lzma",
    "pyseccomp",
    "asyncio",
    "multiprocessing",
    "importlib.metadata",
    "genoci.build",
    "genoci.layer",
    "genoci.sandbox",
    "genoci.snapshot",
}


def loaded_by(words: list[str], place: Path, environment: dict[str, str]) -> set[str]:
    """The modules in memory after a command, told by the interpreter itself."""
    program = (
        "import sys\nfrom genoci.cli.main import main\n"
        f"main({words!r})\nsys.stderr.write(' '.join(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stderr.split())


@pytest.mark.parametrize("line", ["--help", "ls", "ls --json", "inspect app", "tag app new"])
def test_small_commands_load_nothing_heavy(
    line: str, layout: Layout, place: Path, environment: dict[str, str]
) -> None:
    loaded = loaded_by(line.split(), place, environment)
    assert "genoci.cli.main" in loaded
    assert not loaded & HEAVY


def test_the_version_is_told_without_any_of_the_rooms(
    place: Path, environment: dict[str, str]
) -> None:
    loaded = loaded_by(["--version"], place, environment)
    # The library that knows the version reads zip files, and so loads compressors.
    assert not loaded & (HEAVY - {"importlib.metadata", "bz2", "lzma"} | {"msgspec", "genoci.oci"})


def test_the_version_is_a_line_of_its_own(genoci: Genoci) -> None:
    ended = genoci("--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("genoci ") and ended.stdout.count("\n") == 1
    assert ended.stderr == ""


def test_help_names_every_command(genoci: Genoci) -> None:
    for line in (["--help"], ["-h"], ["help"]):
        ended = genoci(*line)
        assert ended.returncode == 0
        assert all(f"genoci {name}" in ended.stdout for name in commands.TABLE)


@pytest.mark.parametrize("name", commands.TABLE)
def test_every_command_has_help_with_examples(name: str, genoci: Genoci) -> None:
    ended = genoci(name, "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"usage: genoci {name}")
    assert f"examples:\n  genoci {name}" in ended.stdout or name == "build"
    assert "--layout DIR" in ended.stdout and "--progress KIND" in ended.stdout
    assert genoci("help", name).stdout == ended.stdout


@pytest.mark.parametrize(
    "line",
    [
        "--layout elsewhere ls",
        "ls --layout elsewhere",
        "ls --layout=elsewhere",
        "--layout=elsewhere ls",
        "--layout wrong ls --layout elsewhere",
    ],
)
def test_shared_options_stand_before_or_after_the_command(
    line: str, genoci: Genoci, layout: Layout, place: Path
) -> None:
    (place / "oci").rename(place / "elsewhere")
    ended = genoci(*line.split())
    assert ended.returncode == 0
    assert "app sha256:" in ended.stdout


def test_the_environment_names_the_layout(genoci: Genoci, layout: Layout, place: Path) -> None:
    (place / "oci").rename(place / "elsewhere")
    assert genoci("ls", env={"GENOCI_LAYOUT": "elsewhere"}).stdout.count("sha256:") == 3


@pytest.mark.parametrize(
    ("line", "what", "mend"),
    [
        ("", "what is to be done?", "genoci FILE.yaml; more: genoci --help"),
        (
            "lss",
            "genoci has no command 'lss'",
            "Did you mean: genoci ls\n"
            "  If it is a target: genoci build lss; if it is a file: genoci ./lss",
        ),
        ("-f a.yaml", "there is no option -f that stands before the command", None),
        ("build .", ". is a folder and no target", None),
        (
            "build -t app",
            "genoci build has no option -t",
            "The name of a target in the YAML file is its tag; one more: genoci tag TAG NEW",
        ),
        (
            "shell app /bin/ls",
            "genoci shell: '/bin/ls' is one argument too many",
            "A command stands behind two dashes: genoci shell TAG -- /bin/ls",
        ),
        ("ls --jsno", "genoci ls has no option --jsno", "Did you mean --json?"),
        ("ls --sort=x", "genoci ls has no option --sort", "Its options: genoci ls --help"),
        ("ls app", "genoci ls: 'app' is one argument too many", "usage: genoci ls [OPTION…]"),
        ("tag app", "genoci tag: what is missing: NEW", "usage: genoci tag TAG NEW [OPTION…]"),
        (
            "--layuot x ls",
            "there is no option --layuot that stands before the command",
            "Did you mean --layout?",
        ),
        ("--layout", "--layout needs a value", ""),
        (
            "ls --layout",
            "--layout needs a value",
            "One that begins with '-' is written behind a '=': --layout=-VALUE",
        ),
        (
            "build --driver overlai",
            "--driver can't be 'overlai'",
            "Did you mean overlay? There are: auto, overlay, btrfs, copy.",
        ),
        (
            "ls --progress loud",
            "--progress can't be 'loud'",
            "There are: auto, tty, plain, json, quiet.",
        ),
        ("gc --keep -1", "--keep can't be '-1'", "A whole number is needed, such as 3."),
        ("gc --keep two", "--keep can't be 'two'", "A whole number is needed, such as 3."),
        ("build", "there is no genoci.yaml here", "Name the file: genoci build -f FILE"),
        ("build a.yaml", "a.yaml is no target", "As a file: genoci build -f a.yaml"),
        ("ls --layout=", "--layout: the directory's name is empty", ""),
        ("config app", "nothing is to be changed", None),
    ],
)
def test_a_wrong_command_line_is_told_with_the_mend(
    line: str, what: str, mend: str | None, genoci: Genoci
) -> None:
    ended = genoci(*line.split())
    assert ended.returncode == 2
    assert ended.stdout == ""
    first, *more = ended.stderr.splitlines()
    assert first == f"error: {what}"
    if mend is not None:
        assert more == (f"  {mend}".splitlines() if mend else [])


@pytest.mark.parametrize("word", sorted(words.ANSWERS))
def test_words_of_other_tools_get_an_answer_that_points_to_ours(word: str) -> None:
    assert word not in commands.TABLE
    answer = words.answer(word)
    named = {part.split("`")[0] for part in answer.split("genoci ")[1:]}
    for rest in named:
        command = rest.split()[0]
        ours = {*commands.TABLE, "keeps", "builds", "speaks", "mounts"}
        assert command.strip(",.;:") in ours, f"{word}: {answer}"


@pytest.mark.parametrize("line", ["images", "stat app", "new x", "run app sh", "push app", "rmi a"])
def test_a_word_of_another_tool_is_a_usage_error(line: str, genoci: Genoci) -> None:
    ended = genoci(*line.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 2


@pytest.mark.parametrize("first", ["images.yaml", "images.yml", "./images", "sub/images.txt"])
def test_a_first_word_that_looks_like_a_file_is_one(first: str, genoci: Genoci) -> None:
    ended = genoci(first)
    assert ended.returncode == 2
    assert Path(first).name in ended.stderr and "command" not in ended.stderr


@pytest.mark.parametrize("value", ["", "yesterday", "-5"])
def test_a_bad_source_date_epoch_is_refused(value: str, genoci: Genoci, layout: Layout) -> None:
    ended = genoci("ls", env={"SOURCE_DATE_EPOCH": value})
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: SOURCE_DATE_EPOCH: {value!r} is no time")


def test_errors_are_json_lines_where_progress_is(genoci: Genoci) -> None:
    ended = genoci("--progress", "json", "ls")
    assert ended.returncode == 1
    message = json.loads(ended.stderr)
    assert message["event"] == "error" and message["kind"] == "NotFound"
    assert message["exit_status"] == 1 and message["mend"]
    assert json.loads(genoci("lss", "--progress=json").stderr)["exit_status"] == 2


def a_bug(
    place: Path, environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """A command that was broken on purpose, behind the real door."""
    program = (
        "import sys\nimport genoci.cli.commands.ls as ls\n"
        "ls.run = lambda options, session: {}['key']\n"
        f"from genoci.cli.main import main\nsys.exit(main({list(words)!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_bug_is_one_line_and_the_way_to_see_more(
    place: Path, environment: dict[str, str]
) -> None:
    ended = a_bug(place, environment, "ls")
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "error: a bug in genoci: KeyError: 'key'",
        "  Run it again with --debug to see where it is, and please report it.",
    ]


@pytest.mark.parametrize("line", ["--debug ls", "ls --debug"])
def test_debug_shows_the_traceback(line: str, place: Path, environment: dict[str, str]) -> None:
    ended = a_bug(place, environment, *line.split())
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback (most recent call last)")
    assert "error: a bug in genoci: KeyError: 'key'\n" in ended.stderr


def test_a_reader_that_goes_away_is_no_error(
    layout: Layout, place: Path, environment: dict[str, str]
) -> None:
    app = layout.tags()["app"]
    layout.tag({f"a-tag-with-a-long-name-to-fill-the-pipe-{n}": app for n in range(1500)})
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*GENOCI, "ls"],
            cwd=place,
            env=environment,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&- <&-"])
def test_closed_standard_streams_are_no_error(
    closed: str, layout: Layout, place: Path, environment: dict[str, str]
) -> None:
    line = f'exec "$@" {closed}'
    ended = subprocess.run(
        ["sh", "-c", line, "sh", *GENOCI, "tag", "app", "new"],
        cwd=place,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert layout.tags()["new"].digest == layout.tags()["app"].digest


@pytest.mark.parametrize("line", ["ls", "--help", "--version", "ls --help"])
def test_results_that_can_not_be_written_are_an_error(
    line: str, layout: Layout, place: Path, environment: dict[str, str]
) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*GENOCI, *line.split()],
            cwd=place,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: standard output: the results can't be written:")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_with_130_and_a_word(
    number: signal.Signals, place: Path, environment: dict[str, str]
) -> None:
    program = (
        "import os, sys\nimport genoci.cli.commands.ls as ls\n"
        f"ls.run = lambda options, session: os.kill(os.getpid(), {int(number)})\n"
        "from genoci.cli.main import main\nsys.exit(main(['ls']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "error: interrupted\n")


def test_what_nohup_ignores_stays_ignored(
    layout: Layout, place: Path, environment: dict[str, str]
) -> None:
    program = (
        "import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "import genoci.cli.commands.ls as ls\n"
        "ls.run = lambda options, session: os.kill(os.getpid(), signal.SIGHUP) or 0\n"
        "from genoci.cli.main import main\nsys.exit(main(['ls']))"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=place, env=environment, check=False)
    assert ended.returncode == 0


def test_errors_are_red_on_a_terminal_and_hostile_words_harmless(
    on_a_terminal: OnTerminal,
) -> None:
    status, shown = on_a_terminal("\x1b]0;title\x07")
    assert status == 2
    assert shown.startswith("\x1b[1;31merror:\x1b[0m ")
    assert "\x1b]" not in shown and "\x07" not in shown


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_nobody_gets_colours_who_asked_for_none(
    env: dict[str, str], on_a_terminal: OnTerminal
) -> None:
    assert "\x1b" not in on_a_terminal("lss", env=env)[1]
