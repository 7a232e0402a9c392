"""Which package managers a root has, by the programs in it."""

from __future__ import annotations

import importlib
import os
from typing import NamedTuple, cast

from genoci.build.install.manager import Manager
from genoci.layer.entry import Kind, join
from genoci.layer.resolve import resolve
from genoci.layer.tree import Tree

_FOLDERS = (b"usr/local/sbin", b"usr/local/bin", b"usr/sbin", b"usr/bin", b"sbin", b"bin")


class Known(NamedTuple):
    """A manager that genoci can work with: the package `family` that it installs.

    A root has it if it has all the `programs`, the first of which names it, and, where there is
    one, a `database` that is not empty. `fetches`: it finds packages by name, and what they need.
    """

    family: str
    programs: tuple[str, ...]
    fetches: bool
    made_by: str
    database: str | None = None

    @property
    def name(self) -> str:
        return self.programs[0]

    def make(self) -> Manager:
        module, _, name = self.made_by.partition(":")
        return cast(Manager, getattr(importlib.import_module(module), name)())


# Where a root has several, the first one that can do what is wanted.
_HERE = "genoci.build.install"
_STATUS = "var/lib/dpkg/status"  # dpkg can be had on other systems, as a tool: there it is empty
MANAGERS = (
    Known("deb", ("apt-get", "dpkg", "sh"), True, f"{_HERE}.apt:Apt", _STATUS),
    Known("deb", ("dpkg", "sh"), False, f"{_HERE}.dpkg:Dpkg", _STATUS),
    Known("rpm", ("dnf", "rpm", "sh"), True, f"{_HERE}.dnf:Dnf"),
    Known("rpm", ("dnf5", "rpm", "sh"), True, f"{_HERE}.dnf:Dnf"),
    Known("rpm", ("zypper", "rpm", "sh"), True, f"{_HERE}.zypper:Zypper"),
    Known("rpm", ("microdnf", "rpm", "sh"), True, f"{_HERE}.microdnf:Microdnf"),
    Known("apk", ("apk", "sh"), True, f"{_HERE}.apk:Apk"),
    Known("rpm", ("rpm", "sh"), False, f"{_HERE}.rpm:Rpm"),
)


def find_manager(tree: Tree, *, family: str | None = None, fetches: bool = False) -> Known | None:
    """The manager of `family` (None: of any) in the root; with `fetches`, one that can do so.

    Without `fetches` it is the plain one, if the root has both.
    """
    found = [
        known
        for known in MANAGERS
        if (family is None or known.family == family)
        and (known.fetches or not fetches)
        and _has(tree, known)
    ]
    return min(found, key=lambda known: known.fetches != fetches) if found else None


def find_program(tree: Tree, name: str) -> bytes | None:
    """Where the program `name` is in the root, links followed."""
    for folder in _FOLDERS:
        found = resolve(tree, join(folder, os.fsencode(name)))
        node = tree.node(found) if found is not None else None
        if node is not None and node.entry.kind is Kind.FILE and node.entry.mode & 0o111:
            return found
    return None


def _has(tree: Tree, known: Known) -> bool:
    if any(find_program(tree, name) is None for name in known.programs):
        return False
    if known.database is None:
        return True
    found = resolve(tree, os.fsencode(known.database))
    node = tree.node(found) if found is not None else None
    return node is not None and node.entry.size > 0
