"""The key `expand`: tarballs to unpack."""

from __future__ import annotations

from genoci.spec.host import Folder
from genoci.spec.keys import STEPS
from genoci.spec.nodes import Mapping, Node, Scalar, Sequence
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import Expand
from genoci.spec.values import (
    fields,
    inside,
    integer,
    item_text,
    sha256,
    some_items,
    text,
    wrong_kind,
)
from genoci.spec.wording import quoted

_EXAMPLE = STEPS["expand"]
_FIELDS = ("src", "sha256", "dest", "strip")
_DEEPEST_STRIP = 1000


def read_expand(node: Node, folder: Folder, problems: Problems) -> list[Expand]:
    """The steps that an `expand` stands for: paths in a row are one."""
    if isinstance(node, Scalar):
        return [Expand(_split(node, folder, problems), node.place)]
    steps: list[Expand] = []
    plain: list[Scalar] = []
    for item in some_items(node, "expand", example=_EXAMPLE):
        with problems.collected():
            if isinstance(item, Mapping):
                steps += _paths(plain, folder, problems)
                plain = []
                steps.append(_mapping(item, folder, problems))
            else:
                plain.append(item_text(item, "expand", example=_EXAMPLE))
    return steps + _paths(plain, folder, problems)


def _split(node: Scalar, folder: Folder, problems: Problems) -> tuple[str, ...]:
    """The files of a string, which is split on white space."""
    whole = text(node, "expand", example=_EXAMPLE).text
    patterns = whole.split()
    if len(patterns) > 1 and folder.is_file(whole):
        raise Mistake(
            node.place,
            f"{quoted(whole)} is split at its blanks",
            "for a path with blanks write a list: `expand: ['a b.tar']`",
        )
    return _files(patterns, node, folder, problems)


def _files(patterns: list[str], by: Scalar, folder: Folder, problems: Problems) -> tuple[str, ...]:
    found: list[str] = []
    for pattern in patterns:
        with problems.collected():
            found += folder.files(pattern, by)
    return tuple(found)


def _paths(plain: list[Scalar], folder: Folder, problems: Problems) -> list[Expand]:
    if not plain:
        return []
    found = [path for item in plain for path in _files([item.text], item, folder, problems)]
    return [Expand(tuple(found), plain[0].place)]


def _mapping(node: Mapping, folder: Folder, problems: Problems) -> Expand:
    if all(entry.key.text != "src" for entry in node.entries):
        mend = "for example: `expand: {src: rootfs.tar.gz, dest: /opt}`"
        raise Mistake(node.place, "`expand` lacks `src`", mend)
    given = fields(node, _FIELDS, problems)
    sources: tuple[str, ...] = ()
    digest, dest, strip = None, "", 0
    with problems.collected():
        sources = _sources(given["src"], folder, problems)
    if "sha256" in given:
        with problems.collected():
            digest = _sha256(given["sha256"], len(sources))
    if "dest" in given:
        with problems.collected():
            scalar = text(given["dest"], "dest", example="dest: /opt")
            dest = inside(scalar, scalar.text, "dest")
    if "strip" in given:
        with problems.collected():
            strip = integer(given["strip"], "strip", least=0, most=_DEEPEST_STRIP)
    return Expand(sources, node.place, sha256=digest, dest=dest, strip=strip)


def _sources(node: Node, folder: Folder, problems: Problems) -> tuple[str, ...]:
    if isinstance(node, Scalar):
        return _split(node, folder, problems)
    if not isinstance(node, Sequence):
        raise wrong_kind(node, "src", "a path or a list of paths", "src: rootfs.tar.gz")
    scalars = [item_text(i, "src") for i in some_items(node, "src", example="src: rootfs.tar.gz")]
    return tuple(p for s in scalars for p in _files([s.text], s, folder, problems))


def _sha256(node: Node, sources: int) -> str:
    found = sha256(node)
    if sources > 1:
        raise Mistake(
            node.place,
            f"`sha256` goes with one file, and `src` stands for {sources}",
            "write a list, with a `{src: …, sha256: …}` for each",
        )
    return found
