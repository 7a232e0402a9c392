"""The user's config file, in the YAML of build files: where things are, and on which driver."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

import msgspec

from genoci.spec import nodes
from genoci.spec.nodes import Node, Scalar, describe, is_null
from genoci.spec.problems import Mistake, Problems
from genoci.spec.source import read_text
from genoci.spec.target import Place
from genoci.spec.values import text
from genoci.spec.wording import did_you_mean, listed, quoted
from genoci.spec.yaml import parse

DRIVERS = {name: name for name in ("auto", "overlay", "btrfs", "copy")} | {"vfs": "copy"}
"""What a file may call the drivers, and what they are called here."""

_KEYS = {
    "driver": "driver: btrfs",
    "lofile": "lofile: ~/genoci.btrfs",
    "btrfsmount": "btrfsmount: ~/genoci",
    "layoutdir": "layoutdir: ./oci",
    "statedir": "statedir: ~/.local/share/genoci",
}
_SYNONYMS = {
    "layout": "layoutdir",
    "state": "statedir",
    "loopfile": "lofile",
    "loop": "lofile",
    "mount": "btrfsmount",
    "mountpoint": "btrfsmount",
    "storage": "driver",
}


class ConfigFile(msgspec.Struct, frozen=True):
    """What `path` says; None: nothing. The driver by genoci's own name; relative paths as given."""

    path: Path
    driver: str | None = None
    lofile: Path | None = None
    btrfsmount: Path | None = None
    layoutdir: Path | None = None
    statedir: Path | None = None


def read_config_file(path: Path, home: Path | None) -> ConfigFile:
    """The config file `path`; `home` is what `~` stands for.

    Raises one SpecError that tells every mistake, with its place. Paths are looked at: a file
    where a directory is meant is a mistake of the file.
    """
    file = os.fsencode(path).decode(errors="backslashreplace")
    problems = Problems()
    found: dict[str, Path | str] = {}
    with problems.collected():
        for key, node in _entries(path, file, problems).items():
            with problems.collected():
                found[key] = _driver(node) if key == "driver" else _path(node, key, home)
    problems.check()
    return ConfigFile(path, **found)  # type: ignore[arg-type]


def _entries(path: Path, file: str, problems: Problems) -> Mapping[str, Node]:
    root = parse(read_text(path, file), file, problems)
    if root is None or is_null(root):
        return {}
    if not isinstance(root, nodes.Mapping):
        what = f"the config file must be a mapping, not {describe(root)}"
        raise Mistake(root.place, what, f"for example: `{_KEYS['driver']}`")
    known: dict[str, Node] = {}
    for entry in root.entries:
        if entry.key.text in _KEYS:
            known[entry.key.text] = entry.value
        else:
            problems.add(_unknown(entry.key))
    return known


def _unknown(key: Scalar) -> Mistake:
    word = key.text.lower()
    what = f"there is no key {quoted(key.text)} in a config file"
    if word in _SYNONYMS:
        return Mistake(key.place, what, f"here that is `{_SYNONYMS[word]}`")
    every = f"the keys are {listed(_KEYS, at_most=len(_KEYS))}"
    return Mistake(key.place, what, did_you_mean(word, list(_KEYS), otherwise=every))


def _driver(node: Node) -> str:
    name = text(node, "driver", example=_KEYS["driver"])
    if name.text not in DRIVERS:
        every = f"the drivers are {listed(DRIVERS, at_most=len(DRIVERS))}"
        mend = did_you_mean(name.text, list(DRIVERS), otherwise=every)
        raise Mistake(name.place, f"`driver` can't be {quoted(name.text)}", mend)
    return DRIVERS[name.text]


def _path(node: Node, key: str, home: Path | None) -> Path:
    scalar = text(node, key, example=_KEYS[key])
    path = _expanded(scalar, key, home)
    try:
        _check(path, key, scalar.place)
    except OSError as error:
        what = f"`{key}`: {path} can't be looked at: {error.strerror}"
        raise Mistake(scalar.place, what) from error
    return path


def _expanded(scalar: Scalar, key: str, home: Path | None) -> Path:
    first, slash, rest = scalar.text.partition("/")
    if not first.startswith("~"):
        return Path(scalar.text)
    if first == "~":
        if home is None:
            raise Mistake(scalar.place, f"`{key}`: there is no home directory for `~`", "set HOME")
        return home / rest if slash else home
    try:
        return Path(pwd.getpwnam(first[1:]).pw_dir) / rest
    except (KeyError, ValueError) as error:
        what = f"`{key}`: there is no user {quoted(first[1:])}"
        raise Mistake(scalar.place, what, "`~/` is your own home directory") from error


def _check(path: Path, key: str, place: Place) -> None:
    """What is there already must be what the key means."""
    if key != "lofile":
        if path.exists() and not path.is_dir():
            raise Mistake(place, f"`{key}`: {path} is not a directory", "name one, or a new name")
        return
    if path.exists() and not path.is_file():
        raise Mistake(place, f"`{key}`: {path} is not a file", "`lpack setup` makes one")
    if not path.absolute().parent.is_dir():
        raise Mistake(place, f"`{key}`: the folder {path.parent} does not exist", "make it first")
