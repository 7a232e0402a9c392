"""Nodes as the kinds of values that keys take; each raises a Mistake for a node of another kind."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from genoci.spec.keys import unknown
from genoci.spec.nodes import Mapping, Node, Scalar, Sequence, describe, is_null
from genoci.spec.problems import Mistake, Problems
from genoci.spec.wording import quoted

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")


def wrong_kind(node: Node, key: str, wanted: str, example: str = "") -> Mistake:
    """`key` has a value of a kind that it can't have."""
    mend = f"for example: `{example}`" if example else ""
    if is_null(node):
        return Mistake(node.place, f"`{key}` has no value", mend)
    return Mistake(node.place, f"`{key}` must be {wanted}, not {describe(node)}", mend)


def text(node: Node, key: str, *, example: str = "") -> Scalar:
    """A scalar that is not null or blank. A number stays as it was written."""
    if not isinstance(node, Scalar) or is_null(node):
        raise wrong_kind(node, key, "text", example)
    if not node.text.strip():
        raise Mistake(node.place, f"`{key}` is empty", f"for example: `{example}`" * bool(example))
    return node


def items(node: Node, key: str, *, example: str = "") -> tuple[Node, ...]:
    """The items of a list; any other value but null is its own one item."""
    if is_null(node):
        raise wrong_kind(node, key, "a list", example)
    return node.items if isinstance(node, Sequence) else (node,)


def some_items(node: Node, key: str, *, example: str) -> tuple[Node, ...]:
    """As `items`, and at least one."""
    found = items(node, key, example=example)
    if not found:
        mend = f"delete it, or give it a value: `{example}`"
        raise Mistake(node.place, f"`{key}` is an empty list", mend)
    return found


def item_text(node: Node, key: str, *, example: str = "") -> Scalar:
    """An item of a list as text; an empty one must be quoted to be meant."""
    if not isinstance(node, Scalar):
        mend = f"for example: `{example}`" if example else ""
        raise Mistake(node.place, f"an item of `{key}` must be text, not {describe(node)}", mend)
    if is_null(node):
        raise Mistake(node.place, f"an item of `{key}` is empty", "quote it if it is meant: ''")
    return node


def fields(node: Mapping, allowed: Collection[str], problems: Problems) -> dict[str, Node]:
    """The values of a mapping's `allowed` keys; any other key goes to `problems`."""
    found: dict[str, Node] = {}
    for entry in node.entries:
        if entry.key.text in allowed:
            found[entry.key.text] = entry.value
        else:
            problems.add(unknown(entry.key, allowed))
    return found


def integer(node: Node, key: str, *, least: int, most: int) -> int:
    wanted = f"a whole number from {least} to {most}"
    if is_null(node):
        raise wrong_kind(node, key, wanted)
    if not isinstance(node, Scalar) or node.kind == "string":
        raise wrong_kind(node, key, wanted)
    value = node.integer
    if value is None or not least <= value <= most:
        raise Mistake(node.place, f"`{key}` must be {wanted}, not {quoted(node.text)}")
    return value


def sha256(node: Node) -> str:
    """64 hexadecimal digits in lower case; they may have been written after `sha256:`."""
    what = "`sha256` must be 64 hexadecimal digits"
    mend = "`sha256sum FILE` prints them"
    if not isinstance(node, Scalar):
        raise Mistake(node.place, f"{what}, not {describe(node)}", mend)
    found = _SHA256.fullmatch(node.text)
    if found is None:
        raise Mistake(node.place, f"{what}, not {quoted(node.text)}", mend)
    return found[1].lower()


def words(scalar: Scalar, key: str) -> list[str]:
    """`scalar` split as a shell would: blanks, quotes and backslashes, but no `$` and no `*`."""
    try:
        return shlex.split(scalar.text)
    except ValueError as error:
        if "quotation" in str(error):
            what, mend = "a quote in it is never closed", "write `\\'` or `\\\"` for a mere quote"
        else:
            what, mend = "it ends with a backslash", "write `\\\\` for a mere backslash"
        raise Mistake(scalar.place, f"`{key}` can't be split into words: {what}", mend) from error


def inside(scalar: Scalar, dest: str, key: str) -> str:
    """`dest` as a clean path relative to the image's root; "" is the root itself."""
    clean: list[str] = []
    for part in dest.split("/"):
        if part == "..":
            if not clean:
                raise Mistake(
                    scalar.place,
                    f"{quoted(dest)} leaves the image's root",
                    f"`{key}` is a path in the image, relative to `/`",
                )
            clean.pop()
        elif part not in ("", "."):
            clean.append(part)
    return "/".join(clean)
