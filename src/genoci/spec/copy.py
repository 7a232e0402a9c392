"""The key `copy`: files from the host, or from another image."""

from __future__ import annotations

import re

from genoci.spec import names
from genoci.spec.host import Folder
from genoci.spec.keys import STEPS
from genoci.spec.nodes import Mapping, Node, Scalar, describe, is_null
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import Copy, Place
from genoci.spec.values import fields, inside, item_text, some_items, text, words
from genoci.spec.wording import listed, quoted

_EXAMPLE = STEPS["copy"]
_FIELDS = ("src", "dest", "from", "mode", "owner", "exclude")
_MODE = re.compile(r"(?:0o)?([0-7]{1,5})")
_HIGHEST_MODE = 0o7777


def read_copy(node: Node, folder: Folder, problems: Problems) -> list[Copy]:
    """The steps that a `copy` stands for: one for each pair or mapping."""
    items = some_items(node, "copy", example=_EXAMPLE)
    if len(items) == 2 and all(_is_one_word(item) for item in items):
        raise Mistake(
            node.place,
            "`copy` is a list of pairs, each in one string",
            f"for example: `{_EXAMPLE}`",
        )
    steps: list[Copy] = []
    for item in items:
        with problems.collected():
            if isinstance(item, Mapping):
                steps.append(_mapping(item, folder, problems))
            else:
                steps.append(_pair(item, folder))
    return steps


def _is_one_word(node: Node) -> bool:
    return isinstance(node, Scalar) and len(node.text.split()) == 1


def _pair(node: Node, folder: Folder) -> Copy:
    scalar = item_text(node, "copy", example=_EXAMPLE)
    pair = words(scalar, "copy")
    if len(pair) < 2:
        what = f"`copy` needs a source and a destination, not only {quoted(scalar.text)}"
        raise Mistake(scalar.place, what, f"for example: `{_EXAMPLE}`")
    if len(pair) > 2:
        raise Mistake(
            scalar.place,
            f"`copy` takes a source and a destination, not {len(pair)} words",
            "quote a path with blanks; for several sources: `copy: {src: [a, b], dest: /c/}`",
        )
    source, dest = pair
    _refuse_blank(source, scalar)
    return Copy(tuple(folder.files_and_folders(source, scalar)), _dest(scalar, dest), scalar.place)


def _refuse_blank(source: str, by: Scalar) -> None:
    if not source.strip():
        raise Mistake(by.place, "the source of `copy` is empty", "`.` is the YAML file's folder")


def _dest(by: Scalar, dest: str) -> str:
    """As written, but clean: what ends with a slash, or a dot, is a directory to copy into."""
    if not dest.strip():
        mend = "`/` is the image's root"
        raise Mistake(by.place, "the destination of `copy` is empty", mend)
    clean = inside(by, dest, "dest")
    is_folder = dest.endswith("/") or dest.rpartition("/")[2] in (".", "..")
    return f"/{clean}/" if clean and is_folder else f"/{clean}"


def _mapping(node: Mapping, folder: Folder, problems: Problems) -> Copy:
    missing = [n for n in ("src", "dest") if all(n != e.key.text for e in node.entries)]
    if missing:
        mend = "for example: `copy: {src: hello.txt, dest: /etc/}`"
        raise Mistake(node.place, f"`copy` lacks {listed(missing)}", mend)
    given = fields(node, _FIELDS, problems)
    image, image_place = None, None
    sources: tuple[str, ...] = ()
    dest, mode, owner = "/", None, None
    exclude: tuple[str, ...] = ()
    if "from" in given:
        with problems.collected():
            image, image_place = _image(given["from"])
    with problems.collected():
        # Even a `from` that is wrong says that these are no files of the host.
        sources = _sources(given["src"], None if "from" in given else folder, problems)
    with problems.collected():
        scalar = text(given["dest"], "dest", example="dest: /etc/")
        dest = _dest(scalar, scalar.text)
    if "mode" in given:
        with problems.collected():
            mode = _mode(given["mode"])
    if "owner" in given:
        with problems.collected():
            owner = names.user(text(given["owner"], "owner", example="owner: 1000:1000"), "owner")
    if "exclude" in given:
        with problems.collected():
            exclude = _exclude(given["exclude"])
    return Copy(sources, dest, node.place, image, mode, owner, exclude, image_place)


def _image(node: Node) -> tuple[str, Place]:
    scalar = text(node, "from", example="from: builder")
    if scalar.text == names.EMPTY:
        raise Mistake(scalar.place, "`from: empty` has nothing to copy")
    return scalar.text, scalar.place


def _sources(node: Node, folder: Folder | None, problems: Problems) -> tuple[str, ...]:
    """Host paths; without a `folder`, the patterns as they stand."""
    found: list[str] = []
    for item in some_items(node, "src", example="src: hello.txt"):
        with problems.collected():
            scalar = item_text(item, "src", example="src: hello.txt")
            _refuse_blank(scalar.text, scalar)
            if folder is None:
                inside(scalar, scalar.text, "src")
                found.append(scalar.text)
            else:
                found += folder.files_and_folders(scalar.text, scalar)
    return tuple(found)


def _mode(node: Node) -> int:
    """Always octal, as chmod reads it: `0755`, `755`, `"0755"` and `0o755` are the same."""
    mend = "write octal digits, as for chmod: `mode: 0644`"
    if not isinstance(node, Scalar) or is_null(node):
        raise Mistake(node.place, f"`mode` must be an octal number, not {describe(node)}", mend)
    found = _MODE.fullmatch(node.text)
    mode = int(found[1], 8) if found else None
    if mode is None or mode > _HIGHEST_MODE:
        what = f"`mode` must be an octal number up to 7777, not {quoted(node.text)}"
        raise Mistake(node.place, what, mend)
    return mode


def _exclude(node: Node) -> tuple[str, ...]:
    patterns: list[str] = []
    for item in some_items(node, "exclude", example="exclude: ['*.o', .git]"):
        scalar = item_text(item, "exclude")
        if not scalar.text.strip("/ "):
            raise Mistake(scalar.place, "an item of `exclude` is empty")
        patterns.append(scalar.text)
    return tuple(patterns)
