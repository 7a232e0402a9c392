from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoci.cli import text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain words", "plain words"),
        ("a tab\tand\na newline", "a tab\tand\na newline"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone?", "gone?"),
        ("\x1b]0;a title\x07text", "^[]0;a title^Gtext"),
        ("\x1bPq a device string \x1b\\", "^[Pq a device string ^[\\"),
        ("\x9b31mred in eight bits", "red in eight bits"),
        ("bell\x07 back\x08 delete\x7f", "bell^G back^H delete^?"),
        ("ten\rtwo", "ten^Mtwo"),
        ("\udcff\udc80", "\\xff\\x80"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\x1b[" + "1;" * 1000 + "m hidden?", "^[[" + "1;" * 1000 + "m hidden?"),
        ("Grüße, 世界 🎉", "Grüße, 世界 🎉"),
    ],
)
def test_what_a_terminal_would_obey_is_dropped_or_shown(hostile: str, shown: str) -> None:
    assert text.harmless(hostile) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_harmless_text_holds_no_control_character_and_stays_as_it_is(hostile: str) -> None:
    shown = text.harmless(hostile)
    assert not [c for c in shown if ord(c) < 32 and c not in "\t\n"]
    assert "\x7f" not in shown and not [c for c in shown if 0x80 <= ord(c) < 0xA0]
    assert text.harmless(shown) == shown
    shown.encode()


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_printable_text_is_never_changed(printable: str) -> None:
    assert text.harmless(printable) == printable


def test_one_line_is_one_line_from_which_nothing_is_dropped() -> None:
    shown = text.one_line("two\nlines\tand\x1b[2J more\r\x9b1m\udcff")
    assert shown == r"two\nlines\tand\x1b[2J more\x0d\x9b1m\xff"


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=())), st.data())
def test_names_that_differ_look_different(name: str, data: st.DataObject) -> None:
    sequence = data.draw(st.sampled_from(["\x1b[31m", "\x9b0m", "\x07", "\n", "\x1b[2J"]))
    place = data.draw(st.integers(0, len(name)))
    other = name[:place] + sequence + name[place:]
    shown = text.one_line(other)
    assert shown != text.one_line(name)
    assert not [c for c in shown if ord(c) < 32 or 0x7F <= ord(c) < 0xA0]


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (3_400_000_000, "3.4 GB"),
        (2 * 10**15, "2.0 PB"),
    ],
)
def test_sizes_are_powers_of_a_thousand(count: int, shown: str) -> None:
    assert text.size(count) == shown


def test_times_are_short() -> None:
    assert [text.clock(s) for s in (0, 7, 754, 3723)] == ["0:00", "0:07", "12:34", "1:02:03"]
    assert [text.duration(s) for s in (0.04, 59.9, 59.96, 754)] == [
        "0.0 s",
        "59.9 s",
        "0:59",
        "12:34",
    ]


def test_columns_are_aligned_without_trailing_blanks() -> None:
    assert text.columns([("a", "bbb", "c"), ("aaa", "b", "")]) == ["a    bbb  c", "aaa  b"]
