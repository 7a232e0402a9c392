"""Every mistake of mistakes.txt gets exactly the message that stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import SpecError
from genoci.spec.target import Spec

_CASE = re.compile(r"^=== (.*)\n", re.MULTILINE)


def _cases() -> list[tuple[str, str, str]]:
    """The name of each case, its YAML, and the whole message."""
    parts = _CASE.split((Path(__file__).parent / "mistakes.txt").read_text())[1:]
    cases = []
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        text, message = body.split(">>>\n")
        cases.append((name, text, message.rstrip("\n")))
    return cases


CASES = _cases()


@pytest.mark.parametrize(("text", "message"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_mistake_gets_its_message(
    spec: Callable[[str], Spec], folder: Path, text: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        spec(text)
    assert str(caught.value).replace(f"{folder}/", "") == message
    assert caught.value.exit_status == 2


def test_the_table_is_long_and_no_case_is_there_twice() -> None:
    assert len(CASES) >= 100
    assert len({name for name, _, _ in CASES}) == len(CASES)
    assert len({text for _, text, _ in CASES}) == len(CASES)


def test_the_error_is_the_first_mistake_and_carries_the_others(
    spec: Callable[[str], Spec], folder: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        spec("b: {base: nowhere-to-be-found, run: x}\na: {bose: empty, run: x}\n")
    assert type(caught.value) is SpecError
    assert caught.value.where == f"{folder}/f.yaml:1:11"
    assert [other.where for other in caught.value.others] == [f"{folder}/f.yaml:2:5"]
    assert caught.value.others[0].mend == "did you mean `base`?"


def test_of_very_many_mistakes_only_the_first_are_shown(spec: Callable[[str], Spec]) -> None:
    with pytest.raises(SpecError) as caught:
        spec("".join(f"a{n}: {{base: empty, ruin: x}}\n" for n in range(50)))
    assert len(caught.value.others) == 20
    assert str(caught.value).endswith("f.yaml:21:20: and 30 more from here on")


def test_duplicate_keys_are_told_along_with_a_later_syntax_error(
    spec: Callable[[str], Spec],
) -> None:
    with pytest.raises(SpecError) as caught:
        spec("a: {base: empty, base: empty}\nb: [x\n")
    assert "there twice" in caught.value.what
    assert "closing `]`" in caught.value.others[0].what
