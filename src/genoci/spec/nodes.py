"""What a YAML file holds before it means anything: scalars, sequences and mappings with places."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from genoci.spec.target import Place

Kind = Literal["null", "boolean", "integer", "float", "string"]

# YAML 1.2.2, section 10.3.2 'Tag Resolution' of the core schema. No `yes`, no sexagesimals,
# and a leading zero means nothing.
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("null", re.compile(r"null|Null|NULL|~|")),
    ("boolean", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("integer", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (
        "float",
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
        ),
    ),
)
_INTEGER_AT_MOST = 20  # characters: whatever is longer is beyond every limit that a key has


class Scalar(msgspec.Struct, frozen=True):
    """One piece of text, unfolded and unescaped; `plain`: neither quoted nor a block."""

    text: str
    plain: bool
    place: Place

    @property
    def kind(self) -> Kind:
        """What the core schema takes it for; only a plain scalar can be anything but a string."""
        if self.plain:
            for kind, pattern in _KINDS:
                if pattern.fullmatch(self.text):
                    return kind
        return "string"

    @property
    def integer(self) -> int | None:
        """Its value (`010` is ten, `0o10` eight); None if it is no integer, or an absurd one."""
        if self.kind != "integer" or len(self.text) > _INTEGER_AT_MOST:
            return None
        base = {"0o": 8, "0x": 16}.get(self.text[:2], 10)
        return int(self.text, base)


class Sequence(msgspec.Struct, frozen=True):
    items: tuple[Node, ...]
    place: Place


class Entry(msgspec.Struct, frozen=True):
    key: Scalar
    value: Node


class Mapping(msgspec.Struct, frozen=True):
    """Entries in the file's order, merges done; no two keys have the same text."""

    entries: tuple[Entry, ...]
    place: Place


Node = Scalar | Sequence | Mapping


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind == "null"


def describe(node: Node) -> str:
    """What a message calls it, with its article."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    return {
        "null": "empty",
        "boolean": "true or false",
        "integer": "a number",
        "float": "a number",
        "string": "text",
    }[node.kind]
