"""Why a key is not an older one: what in its document changed, in the words of the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from genoci.build.key import Key
from genoci.build.words import seen_from
from genoci.spec.target import Copy, Expand, Hook, Install, Run, Step, Target

_MOST = 8  # reasons that are told
_Document = Mapping[str, Any]
_WORDS = {
    "format": "this version of genoci writes layers differently",
    "platform": "the platform changed",
    "compression": "the compression changed",
    "epoch": "SOURCE_DATE_EPOCH changed",
    "workdir": "the base's workdir changed",
    "target": "the target's name changed, which its hooks are told",
    "pins": "genoci.lock changed",
}


def reasons(target: Target, folder: str, key: Key, older: Iterable[bytes]) -> tuple[str, ...]:
    """What differs from the nearest of `older` preimages; that there is none is a reason, too."""
    nearest: tuple[str, ...] = ()
    for preimage in older:
        try:
            before = msgspec.json.decode(preimage, type=dict[str, Any])
        except msgspec.MsgspecError:  # of another version, or of nobody
            continue
        found = tuple(_differences(target, folder, before, key.document))
        if found and (not nearest or len(found) < len(nearest)):
            nearest = found
    if len(nearest) > _MOST:
        return (*nearest[:_MOST], f"and {len(nearest) - _MOST} more")
    return nearest or ("it was never built",)


def _differences(target: Target, folder: str, before: _Document, after: _Document) -> Iterator[str]:
    if before.get("base") != after.get("base"):
        yield f"base: {target.base} changed"
    for name, words in _WORDS.items():
        if before.get(name) != after.get(name):
            yield words
    yield from _env(before.get("env") or {}, after.get("env") or {})
    for name, hooks in (("pre", target.pre), ("post", target.post)):
        yield from _steps(name, hooks, folder, before.get(name) or [], after.get(name) or [])
    yield from _steps("steps", target.steps, folder, before["steps"], after["steps"])


def _env(before: _Document, after: _Document) -> Iterator[str]:
    names = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
    yield from (f"env: {name} changed" for name in names)


def _steps(
    what: str,
    steps: tuple[Step | Hook, ...],
    folder: str,
    before: list[_Document],
    after: list[_Document],
) -> Iterator[str]:
    if [_kind(one) for one in before] != [_kind(one) for one in after]:
        yield f"{what}: not the same steps as before" if what == "steps" else f"{what} changed"
        return
    for step, old, new in zip(steps, before, after, strict=True):
        if old != new:
            yield from _step(what, step, folder, old, new)


def _kind(document: _Document) -> str:
    return next((kind for kind in ("expand", "copy", "install", "run") if kind in document), "")


def _step(
    what: str, step: Step | Hook, folder: str, old: _Document, new: _Document
) -> Iterator[str]:
    match step:
        case Expand():
            yield from _sources("expand", step.sources, folder, old, new)
        case Copy() if step.image is not None:
            changed = f"copy: the image {step.image} changed"
            yield changed if old.get("from") != new.get("from") else f"copy {step.dest} changed"
        case Copy():
            yield from _sources("copy", step.sources, folder, old, new)
        case Install():
            names = (p.name or p.url or seen_from(folder, p.path or "") for p in step.packages)
            yield from _listed("install", list(names), old["install"], new["install"])
        case Run() | Hook():
            word = "run" if isinstance(step, Run) else what
            yield f"{word}: {_line(str(old.get('run')), str(new.get('run')))}"


def _sources(
    word: str, sources: tuple[str, ...], folder: str, old: _Document, new: _Document
) -> Iterator[str]:
    names = [seen_from(folder, source) for source in sources]
    if old[word] == new[word]:
        yield f"{word} {' '.join(names)}: another {_field(old, new)}"
    else:
        yield from _listed(word, names, old[word], new[word])


def _field(old: _Document, new: _Document) -> str:
    return next((name for name in new if old.get(name) != new.get(name)), "definition")


def _listed(word: str, names: list[str], old: list[Any], new: list[Any]) -> Iterator[str]:
    if len(old) != len(new):
        yield f"{word}: {len(new)} items instead of {len(old)}"
        return
    for name, before, after in zip(names, old, new, strict=True):
        if before != after:
            yield f"{word} {name}{_inside(before, after)}"


def _inside(before: Any, after: Any) -> str:
    """What changed in a directory, as far as its files were told; else that it changed."""
    old = before.get("files") if isinstance(before, dict) else None
    new = after.get("files") if isinstance(after, dict) else None
    if not isinstance(old, dict) or not isinstance(new, dict):
        return " changed"
    changed = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
    if not changed:
        return " changed"
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    verb = "is new" if changed[0] not in old else "is gone" if changed[0] not in new else "changed"
    return f": {changed[0]} {verb}{more}"


def _line(before: str, after: str) -> str:
    """The first line of a text that is not the old one's."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for tag, _, _, start, end in matcher.get_opcodes():
        if tag == "delete":
            return f"line {start + 1} is gone"
        if tag != "equal":
            return (
                f"line {start + 1} changed"
                if end - start == 1 or start == 0
                else (f"lines {start + 1} to {end} changed")
            )
    return "changed"
