from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.build.events import (
    AnyEvent,
    Failed,
    Finished,
    Output,
    Progressed,
    Skipped,
    Started,
    Stepped,
    Warned,
    as_document,
)
from genoci.build.fork import encoded

OnTerminal = Callable[..., tuple[int, str]]
Screen = Callable[[str, int], list[str]]

DIGEST = "sha256:" + "a" * 64
# Plays events from a file through the display that `genoci build` would choose.
PLAYER = """
import sys, time
from genoci.build.events import Finished
from genoci.build.fork import decoded
from genoci.cli.messages import Messages
from genoci.cli.progress import choose
from genoci.cli.streams import Stream
kind, file = sys.argv[1:]
progress = choose(kind, Messages(Stream(sys.stderr, essential=False)), debug=False)
for line in open(file, "rb"):
    event = decoded(line.rstrip())
    progress(event)
    progress.tick()
    if isinstance(event, Finished):
        with progress.aside():
            print(event.target, event.digest, flush=True)
progress.close()
"""
BUILD: list[AnyEvent] = [
    Started("base", 1, 2),
    Stepped("base", "expand: ./root.tar"),
    *(Progressed("base", done * 10**7, 10**8) for done in range(1, 11)),
    Finished("base", ("base", "base-2026-11-23_1"), DIGEST),
    Started("app", 2, 2),
    Stepped("app", "run: make\nmake install"),
    *(Output("app", f"line {n}\n") for n in range(200)),
    Output("app", "no newline"),
    Warned("app", "something odd", "Mend it."),
    Failed(
        "app",
        kind="StepFailed",
        what="the command ended with exit status 2",
        where="target app, run: make …",
        mend="To look around in what it left:  genoci shell --failed",
        status=2,
        tail=("line 199", "no newline"),
    ),
    Skipped("top", "app"),
]
TOLD = [
    "[1/2] base",
    "  expand: ./root.tar",
    "  done in",
    f"base {DIGEST}",
    "[2/2] app",
    "  run: make …",
    *(f"  | line {n}" for n in range(200)),
    "  | no newline",
    "warning: target app: something odd",
    "  Mend it.",
    "error: target app, run: make …: the command ended with exit status 2",
    "  the last lines of its output:",
    "  | line 199",
    "  | no newline",
    "  To look around in what it left:  genoci shell --failed",
    "top: not built, because of app",
]


@pytest.fixture
def player(tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """The command line that plays events on a display of some kind."""

    def prepared(kind: str, events: list[AnyEvent]) -> tuple[str, ...]:
        file = tmp_path / "events"
        file.write_bytes(b"\n".join(map(encoded, events)))
        return (sys.executable, "-c", PLAYER, kind, str(file))

    return prepared


Player = Callable[[str, list[AnyEvent]], tuple[str, ...]]


def without_times(lines: list[str]) -> list[str]:
    return ["  done in" if line.startswith("  done in ") else line for line in lines if line]


def through_a_pipe(
    words: tuple[str, ...], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, errors="replace", check=True
    )


@pytest.mark.parametrize("width", [120, 80])
def test_a_terminal_keeps_everything_that_was_said(
    width: int, player: Player, on_a_terminal: OnTerminal, screen: Screen
) -> None:
    status, shown = on_a_terminal(program=player("tty", BUILD), width=width)
    assert status == 0
    assert without_times(screen(shown, width)) == TOLD


@pytest.mark.parametrize("width", [30, 12, 5, 2])
def test_a_narrow_terminal_wraps_lines_and_keeps_no_trace_of_the_status(
    width: int, player: Player, on_a_terminal: OnTerminal, screen: Screen
) -> None:
    _, shown = on_a_terminal(program=player("tty", BUILD), width=width)
    # Wrapped rows lose the blanks at their ends, so blanks can't be compared.
    told = "".join(screen(shown, width)).replace(" ", "")
    told = re.sub(r"donein[0-9.]+s:base,base-[0-9_-]+", "donein", told)
    assert told == "".join(TOLD).replace(" ", "")


def test_a_terminal_shows_target_step_bytes_and_elapsed_time(
    player: Player, on_a_terminal: OnTerminal
) -> None:
    _, shown = on_a_terminal(program=player("tty", BUILD[:6]), env={"NO_COLOR": "1"})
    assert re.search(r"0:\d\d base expand: ./root.tar", shown)
    assert "40.0 MB of 100.0 MB" in shown


def test_an_unfinished_line_is_seen_before_it_ends(
    player: Player, on_a_terminal: OnTerminal, screen: Screen
) -> None:
    events = [Started("a", 1, 1), Stepped("a", "run: x"), Output("a", "Password: ")]
    _, shown = on_a_terminal(program=player("tty", events))
    # Below as it came, and above, for good, when the display was closed.
    assert shown.count("  | Password: ") >= 2
    assert screen(shown, 80)[2] == "  | Password:"


HOSTILE = [
    Started("a", 1, 1),
    Stepped("a", "run: \x1b[2Jevil\x07"),
    Output("a", "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[10A\x1b[?1049h gone?\n"),
    Output("a", "10%\r20%\r30%\r\n"),
    Output("a", "\x1bc\x0e\x9b2J back\x08\x08 \ufffd tab\there\n"),
    Output("a", "\x1b["),
    Output("a", "2J cut in two\n"),
]


@pytest.mark.parametrize("kind", ["tty", "plain"])
def test_hostile_output_does_not_rule_the_terminal(
    kind: str, player: Player, on_a_terminal: OnTerminal, screen: Screen
) -> None:
    _, shown = on_a_terminal(program=player(kind, HOSTILE), env={"NO_COLOR": "1"})
    assert [row for row in screen(shown, 80) if row][2:] == [
        "  | red ^[]0;title^G  gone?",
        "  | 10%",
        "  | 20%",
        "  | 30%",
        "  | ^[c^N back^H^H \ufffd tab        here",
        "  |  cut in two",
    ]


def test_a_line_of_a_megabyte_is_complete_on_a_terminal(
    player: Player, on_a_terminal: OnTerminal, screen: Screen
) -> None:
    line = "0123456789" * 100_000
    events = [
        Started("a", 1, 1),
        *(Output("a", line[n : n + 65536]) for n in range(0, len(line), 65536)),
    ]
    _, shown = on_a_terminal(program=player("tty", events))
    assert "".join(screen(shown, 80)[1:]).removeprefix("  | ") == line


def test_no_color_leaves_a_terminal_without_colours(
    player: Player, on_a_terminal: OnTerminal
) -> None:
    _, shown = on_a_terminal(program=player("tty", BUILD), env={"NO_COLOR": "1"})
    colours = set(part.split("m")[0] for part in shown.split("\x1b[")[1:] if "m" in part[:8])
    assert not {c for c in colours if c and set(c.split(";")) & {"31", "32", "33", "36"}}


def test_the_cursor_is_there_whenever_genoci_is_killed(
    player: Player, on_a_terminal: OnTerminal
) -> None:
    _, shown = on_a_terminal(program=player("tty", BUILD))
    for hidden in shown.split("\x1b[?25l")[1:]:
        assert hidden.startswith("\x1b[?25h")


@pytest.mark.parametrize("env", [{"CI": "true"}, {"TERM": "dumb"}])
def test_terminals_of_machines_get_plain_lines(
    env: dict[str, str], player: Player, on_a_terminal: OnTerminal, screen: Screen
) -> None:
    _, shown = on_a_terminal(program=player("auto", BUILD), env=env)
    assert "\x1b" not in shown
    assert without_times(screen(shown, 80)) == TOLD


def test_a_terminal_gets_the_full_display_by_itself(
    player: Player, on_a_terminal: OnTerminal
) -> None:
    assert "\x1b[" in on_a_terminal(program=player("auto", BUILD))[1]


def test_plain_lines_through_a_pipe_are_complete_and_as_they_came(
    player: Player, environment: dict[str, str]
) -> None:
    ended = through_a_pipe(player("auto", BUILD), environment)
    assert ended.stdout == f"base {DIGEST}\n"
    assert without_times(ended.stderr.splitlines()) == [t for t in TOLD if t[:5] != "base "]
    hostile = through_a_pipe(player("plain", HOSTILE[:3]), environment).stderr
    assert hostile.endswith(f"  | {HOSTILE[2].text}")  # type: ignore[union-attr]


def test_json_lines_are_the_events(player: Player, environment: dict[str, str]) -> None:
    ended = through_a_pipe(player("json", [*BUILD, *HOSTILE]), environment)
    lines = ended.stderr.splitlines()
    assert ended.stderr.isascii()
    events = [json.loads(json.dumps(as_document(event))) for event in (*BUILD, *HOSTILE)]
    assert [json.loads(line) for line in lines] == events
    first = {"event": "started", "target": "base", "number": 1, "total": 2, "because": []}
    assert json.loads(lines[0]) == first


def test_quiet_tells_failures_only(player: Player, environment: dict[str, str]) -> None:
    ended = through_a_pipe(player("quiet", BUILD), environment)
    assert ended.stderr.splitlines() == TOLD[-6:-1]


def test_a_terminal_display_without_a_terminal_is_a_usage_error(
    player: Player, environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        player("tty", BUILD), env=environment, capture_output=True, text=True, check=False
    )
    assert "UsageError: --progress tty: standard error is no terminal" in ended.stderr


def test_a_gone_reader_of_messages_does_not_end_the_build(
    player: Player, environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        ["sh", "-c", '"$@" 2>&1 >&3 | true', "sh", *player("plain", BUILD * 200)],
        env=environment,
        pass_fds=(),
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0
