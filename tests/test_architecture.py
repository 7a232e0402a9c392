"""The house rules that imports and syntax can tell."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "genoci"

# Who may import whom: each room, and everything below it.
BELOW = {
    "errors": set(),
    "version": set(),
    "files": {"errors"},
    "linux": {"errors", "files"},
    "spec": {"linux", "errors", "files"},
    "config_file": {"spec", "errors"},
    "settings": {"config_file", "linux", "errors"},
    "oci": {"linux", "errors", "files"},
    "layer": {"oci", "linux", "errors", "files"},
    "sandbox": {"linux", "errors", "files"},
    "snapshot": {"sandbox", "layer", "oci", "linux", "errors", "files"},
    "package": {"layer", "oci", "linux", "errors", "files"},
    "fetch": {"linux", "errors", "files"},
}
BELOW["build"] = {*BELOW["snapshot"], "snapshot", "package", "fetch", "spec", "version"}
BELOW["lpack"] = {*BELOW["build"], "build", "settings", "config_file"}
BELOW["cli"] = {*BELOW["lpack"], "lpack"}

MODULES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def rooms_imported(path: Path) -> set[str]:
    names = [name.split(".") for name in imports_of(path)]
    rooms = {parts[1] for parts in names if parts[0] == "genoci" and len(parts) > 1}
    return {room for room in rooms if room in BELOW}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downward_only(path: Path) -> None:
    room = room_of(path)
    if room not in BELOW:  # __init__ and __main__, the doors
        return
    wrong = rooms_imported(path) - BELOW[room] - {room}
    assert not wrong, f"{room} may not import {sorted(wrong)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_linux_touches_ctypes(path: Path) -> None:
    if room_of(path) != "linux":
        assert not {name for name in imports_of(path) if name.split(".")[0] == "ctypes"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    if room_of(path) in ("cli", "__main__"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "exit", "sys.exit", "input"), f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_stays_under_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_every_room_is_known() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= set(BELOW)
