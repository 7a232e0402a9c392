from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoci.build.events import Failed, Finished, Output, Skipped, Started, Stepped, Warned
from genoci.cli.progress.lines import Assembler, Telling


def assembled(*pieces: str) -> list[str]:
    assembler = Assembler()
    return [line for piece in pieces for line in assembler.feed(piece)] + assembler.rest()


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["one\ntwo\n"], ["one", "two"]),
        (["half a", " line\n"], ["half a line"]),
        (["no newline at the end"], ["no newline at the end"]),
        (["\n\n"], ["", ""]),
        (["dos\r\n", "dos again\r", "\nend"], ["dos", "dos again", "end"]),
        (["10%\r20%\r", "30%\r\ndone\n"], ["10%", "20%", "30%", "done"]),
        (["\r10%\r20%\n"], ["10%", "20%"]),
        (["a\r", "\r", "\nb"], ["a", "b"]),
    ],
)
def test_pieces_become_whole_lines(pieces: list[str], lines: list[str]) -> None:
    assert assembled(*pieces) == lines


@given(st.lists(st.text("ab\r\n"), max_size=8))
def test_however_the_output_is_cut_the_lines_are_the_same(pieces: list[str]) -> None:
    assert assembled(*pieces) == assembled("".join(pieces))


@given(st.lists(st.text("ab \x1b\r\n"), max_size=8))
def test_nothing_but_line_ends_is_dropped(pieces: list[str]) -> None:
    bare = str.maketrans("", "", "\r\n")
    assert "".join(assembled(*pieces)) == "".join(pieces).translate(bare)


def test_a_line_without_end_is_shown_in_pieces_and_complete() -> None:
    pieces = ["x" * 1_000_000] * 10
    lines = assembled(*pieces)
    assert len(lines) > 1
    assert "".join(lines) == "".join(pieces)


def told(*events: object, debug: bool = False) -> list[str]:
    telling = Telling(debug=debug)
    return [line.lead + line.text for event in events for line in telling.lines(event)]  # type: ignore[arg-type]


def test_a_build_is_told_in_order() -> None:
    lines = told(
        Started("app", 1, 2),
        Stepped("app", "run: apt-get update\napt-get install gcc"),
        Output("app", "Hit:1\nGet"),
        Output("app", ":2\n"),
        Warned("app", "no Landlock here", "Take a newer kernel."),
        Warned("", "the file is old"),
        Finished("app", ("app", "app-2026-11-23_1"), "sha256:0"),
        Skipped("other", "base"),
    )
    took = lines.pop(7)
    assert took.startswith("  done in ") and took.endswith(" s: app, app-2026-11-23_1")
    assert lines == [
        "[1/2] app",
        "  run: apt-get update …",
        "  | Hit:1",
        "  | Get:2",
        "warning: target app: no Landlock here",
        "  Take a newer kernel.",
        "warning: the file is old",
        "other: not built, because of base",
    ]


def test_an_unfinished_line_is_ended_before_anything_else_is_said() -> None:
    assert told(Output("a", "Password: "), Stepped("a", "copy: x /")) == [
        "  | Password: ",
        "  copy: x /",
    ]


def test_a_failure_tells_the_place_the_last_twenty_lines_and_the_mend() -> None:
    lines = told(
        Failed(
            "app",
            kind="StepFailed",
            what="the command ended with exit status 3",
            where="target app, run: make",
            mend="To look around in what it left:  genoci shell --failed",
            status=3,
            tail=tuple(f"line {n}" for n in range(30)),
        )
    )
    assert lines == [
        "error: target app, run: make: the command ended with exit status 3",
        "  the last lines of its output:",
        *(f"  | line {n}" for n in range(10, 30)),
        "  To look around in what it left:  genoci shell --failed",
    ]


def test_output_can_not_pass_for_a_message_of_ours() -> None:
    assert told(Output("a", "ok\rerror: forged\nwarning: forged\n")) == [
        "  | ok",
        "  | error: forged",
        "  | warning: forged",
    ]


def test_a_bug_in_a_worker_shows_its_traceback_only_when_asked() -> None:
    bug = Failed("app", kind="KeyError", what="KeyError: 'x'", tail=("Traceback", "  File …"))
    assert told(bug) == [
        "error: target app: a bug in genoci: KeyError: 'x'",
        "  Run it again with --debug to see where it is, and please report it.",
    ]
    assert told(bug, debug=True)[:2] == ["Traceback", "  File …"]


def test_what_the_machine_refused_a_worker_is_no_bug() -> None:
    what = "PermissionError: [Errno 13] Permission denied: '/state'"
    assert told(Failed("app", kind="PermissionError", what=what)) == [
        "error: target app: Permission denied: '/state'"
    ]


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("", "target app: "),
        ("root.tar", "target app: root.tar: "),
        ("target app, run: make", "target app, run: make: "),
    ],
)
def test_a_failure_always_names_its_target(where: str, place: str) -> None:
    failed = Failed("app", kind="ArchiveError", what="cut off", where=where)
    assert told(failed) == [f"error: {place}cut off"]
