"""What of a store's directories nobody needs: snapshots that no image stands on, and debris."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

from genoci.files import TEMPORARY, is_free
from genoci.snapshot.directory import is_in_use, is_whole, last_used, parent_of
from genoci.snapshot.store import ACTIVE, DEAD, KEPT, KEPT_AS, SNAPSHOT, Store

_DIRECTORY = re.compile(f"(?:{ACTIVE}|{DEAD}|{KEPT_AS})[0-9a-f]{{16}}")
_FILE = re.compile(rf"{SNAPSHOT.pattern}\.making|{re.escape(TEMPORARY)}[0-9a-f]{{16}}")


class Unneeded(NamedTuple):
    """`snapshots` come before what they stand on; `debris` are directories and files.

    `staying` are the directories that are neither. `spared` is how many snapshots stay only because
    they were used of late.
    """

    snapshots: tuple[Path, ...]
    debris: tuple[Path, ...]
    staying: tuple[Path, ...]
    spared: int


def unneeded(store: Store, needed: Container[str], *, before: float) -> Unneeded:
    """What may go, where `needed` are the chain IDs (in hexadecimal) that stay.

    With them stays what they stand on, what a kept root stands on, whatever a process holds, and
    what was used at the time `before` or later (infinity: that is no reason). What is called as
    nothing of ours, and every link, is left alone. Changes nothing.
    """
    snapshots: dict[str, Path] = {}
    debris: list[Path] = []
    directories: list[Path] = []
    kept = [path for path in map(store.named, KEPT) if path is not None]
    with os.scandir(store.folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name, path = entry.name, store.folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                directories.append(path)
                if SNAPSHOT.fullmatch(name):
                    snapshots[name] = path
                elif _DIRECTORY.fullmatch(name) and path not in kept:
                    debris.append(path)
            elif _FILE.fullmatch(name) and is_free(path):
                debris.append(path)
    below = {name: _parent(path) for name, path in snapshots.items()}
    whole = _whole(snapshots, below)
    held = [name for name, path in snapshots.items() if is_in_use(path)]
    tops = [*(name for name in whole if name in needed), *held, *map(_parent, kept)]
    stay = {name for top in tops for name in _chain(top, below)}
    recent = [name for name in whole if last_used(snapshots[name]) >= before]
    spared = {name for top in recent for name in _chain(top, below)} - stay
    going = sorted(whole - stay - spared, key=lambda name: (-len(_chain(name, below)), name))
    gone = [snapshots[name] for name in going]
    debris = [path for path in debris if not is_in_use(path)]
    debris += [path for name, path in snapshots.items() if name not in whole | stay]
    staying = [path for path in directories if path not in {*gone, *debris}]
    return Unneeded(tuple(gone), tuple(debris), tuple(staying), len(spared))


def _whole(snapshots: Mapping[str, Path], below: Mapping[str, str | None]) -> set[str]:
    """Those that are whole, and all below them too."""
    sound = {name for name, path in snapshots.items() if _is_sound(path)}
    whole = set()
    for name in sound:
        chain = _chain(name, below)
        if below[chain[-1]] == "" and sound.issuperset(chain):
            whole.add(name)
    return whole


def _is_sound(path: Path) -> bool:
    try:
        return is_whole(path) and not (path / "fs").is_symlink()
    except OSError:  # another user's
        return False


def _parent(directory: Path) -> str | None:
    """The name of what it stands on, empty for the lowest; None: nobody knows."""
    try:
        parent = parent_of(directory)
    except (OSError, ValueError):
        return None
    return parent.hex if parent else ""


def _chain(name: str | None, below: Mapping[str, str | None]) -> list[str]:
    """A snapshot and those below it, as far as they are there; each once, whatever they say."""
    found: dict[str, None] = {}
    while name is not None and name in below and name not in found:
        found[name] = None
        name = below[name]
    return list(found)
