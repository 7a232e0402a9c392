"""docs/layer-rules.md names tests that exist, for each of its forty-eight rules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = re.findall(
    r"^\| ([0-9]+) \| .* \| (.*) \|$", (ROOT / "docs" / "layer-rules.md").read_text(), re.MULTILINE
)


def functions_of(path: Path) -> set[str]:
    body = ast.parse(path.read_text()).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_every_rule_has_a_row() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 49))


@pytest.mark.parametrize(("number", "held_by"), ROWS, ids=[number for number, _ in ROWS])
def test_the_named_tests_exist(number: str, held_by: str) -> None:
    for of_a_file in held_by.split("; "):
        path, *names = re.findall(r"`([^`]+)`", of_a_file)
        assert names, f"rule {number} names no test of {path}"
        missing = set(names) - functions_of(ROOT / path)
        assert not missing, f"{path} has no {', '.join(sorted(missing))}"
