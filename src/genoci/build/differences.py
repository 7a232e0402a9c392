"""How two states of a list, of a text, or of what was copied differ, in words."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

_KINDS = {"file": "a file", "link": "a link", "d": "a folder", "p": "a FIFO"}


class Difference(NamedTuple):
    """Something that changed; `weight` is how many things it stands for."""

    words: str
    weight: int = 1


def total(differences: Iterable[Difference]) -> int:
    return sum(difference.weight for difference in differences)


def paired(
    before: Sequence[Any], after: Sequence[Any], label: Callable[[Any], str]
) -> Iterator[tuple[Any, int | None]]:
    """What is not the same in two lists of documents: what was, and the number of what is now.

    Of documents that changed, those with the same label belong together. What was is None for
    what is new, the number is None for what is gone.
    """
    matcher = difflib.SequenceMatcher(None, _spelled(before), _spelled(after), autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag == "equal":
            continue
        left = list(before[start:end])
        for number in range(first, last):
            old = next((one for one in left if label(one) == label(after[number])), None)
            if old is not None:
                left.remove(old)
            yield old, number
        yield from ((old, None) for old in left)


def lines(before: str, after: str) -> Difference | None:
    """Which lines of a text are not the old one's; None if it is the same."""
    if before == after:
        return None
    old, new = before.splitlines(), after.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    changed = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    if not changed:
        return Difference("white space at its end changed")
    tag, first, last, start, end = changed[0]
    if tag == "delete":
        words = f"{_numbered(first, last)} {'is' if last - first == 1 else 'are'} gone"
    elif tag == "insert":
        words = f"{_numbered(start, end)} {'is' if end - start == 1 else 'are'} new"
    else:
        words = f"{_numbered(start, end)} changed"
    return Difference(words + _more(len(changed)), len(changed))


def inside(name: str, before: Any, after: Any) -> Difference:
    """What changed in a file or a folder called `name`, as far as that is known."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return Difference(" changed")
    old, new = before.get("files"), after.get("files")
    here = name.removeprefix("./")
    found = list(_files(old, new, here)) if isinstance(old, dict) and isinstance(new, dict) else []
    same = all(before.get(what) == after.get(what) for what in ("sha256", "tree"))
    if before.get("mode") != after.get("mode") and (same or found):
        found.insert(0, f"{here} {_mode(int(before['mode']), int(after['mode']))}")
    if not found:
        return Difference(" changed")
    return Difference(f": {found[0]}{_more(len(found))}", len(found))


def _files(old: Mapping[str, str], new: Mapping[str, str], above: str) -> Iterator[str]:
    for path in sorted({*old, *new}):
        parent = path.rpartition("/")[0]
        shown = path if above == "." else f"{above}/{path}"
        if path not in old:
            if parent in old or not parent:
                yield f"{shown} is new"
        elif path not in new:
            if parent in new or not parent:
                yield f"{shown} is gone"
        elif old[path] != new[path]:
            yield f"{shown} {_entry(old[path].split(' '), new[path].split(' '))}"


def _entry(old: list[str], new: list[str]) -> str:
    if old[0] != new[0]:
        return f"is {_KINDS.get(new[0], 'a device')} now"
    if old[0] != "link" and old[1] != new[1] and old[2:] == new[2:]:
        return _mode(int(old[1], 8), int(new[1], 8))
    return "changed"


def _mode(old: int, new: int) -> str:
    return f"has the mode {new:04o} and had {old:04o}"


def _numbered(start: int, end: int) -> str:
    return f"line {end}" if end - start == 1 else f"lines {start + 1} to {end}"


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _spelled(documents: Sequence[Any]) -> list[bytes]:
    return [msgspec.json.encode(one, order="sorted") for one in documents]
