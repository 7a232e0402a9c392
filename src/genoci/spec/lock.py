"""The lock file: the packages that `genoci lock` found, for builds to install exactly these.

It lies beside the YAML file, and has a section for each YAML file of its folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from genoci.spec.host import UNSEEN, Looks
from genoci.spec.nodes import Mapping as MappingNode
from genoci.spec.nodes import Node, Scalar, Sequence
from genoci.spec.pinned import Pinned
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import Install, Package, Place, Target
from genoci.spec.values import fields, sha256, text, wrong_kind
from genoci.spec.wording import quoted

NAME = "genoci.lock"
VERSION = "1"
_ANEW = "`genoci lock` makes the file anew; delete it first"
_WORD = re.compile(r"[!-~]+")
_PACKAGE = "MANAGER NAME VERSION ARCHITECTURE SHA256 SOURCE"


class Locked(msgspec.Struct, frozen=True):
    """What one target installs: the `names` that it asked for, and all `packages`, in order."""

    names: tuple[str, ...]
    packages: tuple[Pinned, ...]


class Lock(msgspec.Struct, frozen=True):
    """The section of one YAML file: its targets, and the digests of its addresses."""

    targets: Mapping[str, Locked] = {}
    urls: Mapping[str, str] = {}


def beside(file: Path) -> Path:
    """Where the lock file of the YAML file `file` is, if there is one."""
    return file.parent / NAME


def read_lock(path: Path, looks: Looks = UNSEEN) -> dict[str, Lock] | None:
    """The sections by the name of their YAML file; None: there is no lock file.

    `looks` are told of it. Raises SpecError that tells every mistake.
    """
    looks.path(os.path.abspath(path))
    if not path.exists():
        return None
    from genoci.spec.source import read_text
    from genoci.spec.yaml import parse

    problems, found = Problems(), {}
    with problems.collected():
        root = parse(read_text(path, str(path)), str(path), problems)
        found = _sections(root, Place(str(path), 1, 1), problems)
    problems.check()
    return found


def _sections(root: Node | None, top: Place, problems: Problems) -> dict[str, Lock]:
    if not isinstance(root, MappingNode):
        raise Mistake(root.place if root else top, "this is no lock file", _ANEW)
    given = fields(root, ("version", "files"), problems)
    version = given.get("version")
    if not isinstance(version, Scalar) or version.text != VERSION:
        place = version.place if version else root.place
        raise Mistake(place, f"this genoci reads lock files of version {VERSION}", _ANEW)
    return {
        name.text: _section(node, problems) for name, node in _entries(given, "files", problems)
    }


def _entries(given: Mapping[str, Node], key: str, problems: Problems) -> list[tuple[Scalar, Node]]:
    with problems.collected():
        if key in given:
            node = given[key]
            if not isinstance(node, MappingNode):
                raise wrong_kind(node, key, "a mapping")
            return [(entry.key, entry.value) for entry in node.entries]
    return []


def _section(node: Node, problems: Problems) -> Lock:
    targets: dict[str, Locked] = {}
    urls: dict[str, str] = {}
    with problems.collected():
        given = _fields(node, ("targets", "urls"), problems)
        for name, value in _entries(given, "targets", problems):
            with problems.collected():
                targets[name.text] = _locked(value, problems)
        for url, value in _entries(given, "urls", problems):
            with problems.collected():
                urls[url.text] = sha256(value)
    return Lock(targets, urls)


def _fields(node: Node, allowed: tuple[str, ...], problems: Problems) -> dict[str, Node]:
    if not isinstance(node, MappingNode):
        raise Mistake(node.place, "a mapping is needed here", _ANEW)
    return fields(node, allowed, problems)


def _locked(node: Node, problems: Problems) -> Locked:
    given = _fields(node, ("names", "packages"), problems)
    names = tuple(text(item, "names").text for item in _items(given, "names"))
    packages: dict[tuple[str, ...], Pinned] = {}
    for item in _items(given, "packages"):
        with problems.collected():
            one = _package(text(item, "packages"))
            which = (one.manager, one.name, one.version, one.architecture)
            if which in packages:
                raise Mistake(item.place, f"{quoted(one.name)} is there twice", _ANEW)
            packages[which] = one
    return Locked(names, tuple(packages.values()))


def _items(given: Mapping[str, Node], key: str) -> tuple[Node, ...]:
    if key not in given:
        return ()
    node = given[key]
    if not isinstance(node, Sequence):
        raise wrong_kind(node, key, "a list")
    return node.items


def _package(scalar: Scalar) -> Pinned:
    words = scalar.text.split(" ")
    if len(words) != 6 or not all(_WORD.fullmatch(word) for word in words):
        raise Mistake(scalar.place, f"{quoted(scalar.text)} is not `{_PACKAGE}`", _ANEW)
    digest = sha256(Scalar(words[4], False, scalar.place))
    return Pinned(words[0], words[1], words[2], words[3], digest, words[5])


def as_line(one: Pinned) -> str:
    """A package as it stands in a lock file. Raises ValueError for one that can't stand there."""
    words = (one.manager, one.name, one.version, one.architecture, one.sha256, one.source)
    if not all(_WORD.fullmatch(word) for word in words):
        raise ValueError(words)
    return " ".join(words)


def check_covers(lock: Lock, targets: Iterable[Target], file: str) -> None:
    """Raise one SpecError that tells what `targets` of the YAML `file` install beyond `lock`."""
    problems = Problems()
    mend = f"`genoci lock -f {file}` pins what is newest now"
    for target in targets:
        locked = lock.targets.get(target.name)
        for package in _packages(target):
            if package.url is not None:
                _check_digest(package, lock, mend, problems)
            elif package.name is not None and (locked is None or package.name not in locked.names):
                what = f"{quoted(package.name)} of target {quoted(target.name)} is not in {NAME}"
                problems.add(Mistake(package.place, what, mend))
            if package.deps_from_repo and locked is None:
                what = f"what target {quoted(target.name)} needs of repositories is not in {NAME}"
                problems.add(Mistake(package.place, what, mend))
    problems.check()


def _check_digest(package: Package, lock: Lock, mend: str, problems: Problems) -> None:
    pinned = lock.urls.get(package.url or "", package.sha256)
    if pinned != package.sha256:
        what = f"the `sha256` is {package.sha256}, and {NAME} says {pinned}"
        problems.add(Mistake(package.place, what, mend))


def _packages(target: Target) -> list[Package]:
    installs = [step for step in target.steps if isinstance(step, Install)]
    return [package for step in installs for package in step.packages]
