"""Why a key is not an older one: what in its document changed, in the words of the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from genoci.build.differences import Difference, inside, lines, paired, total
from genoci.build.key import Key
from genoci.build.words import path_from
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
_NOT_IN_EVERY_KEY = ("platform", "compression", "epoch", "workdir", "target", "env")
_FIELDS = {
    "dest": "another dest",
    "mode": "another mode",
    "owner": "another owner",
    "exclude": "another exclude",
    "strip": "another strip",
    "sha256 expected": "another sha256 is expected",
    "user": "another user",
    "network": "another network",
    "implicit": "the script is named in another way",
}
_KINDS = ("expand", "copy", "install", "run")


def reasons(target: Target, folder: str, key: Key, older: Iterable[bytes]) -> tuple[str, ...]:
    """What differs from the nearest of `older` preimages; that there is none is a reason, too."""
    nearest: tuple[Difference, ...] = ()
    for preimage in older:
        try:
            before = msgspec.json.decode(preimage, type=dict[str, Any])
            found = tuple(_differences(target, folder, before, key.document))
        except (msgspec.MsgspecError, LookupError, TypeError, AttributeError, ValueError):
            continue  # of another version, or of nobody
        if found and (not nearest or total(found) < total(nearest)):
            nearest = found
    told = tuple(_on_one_line(difference.words) for difference in nearest)
    if len(told) > _MOST:
        return (*told[:_MOST], f"and {len(told) - _MOST} more")
    return told or ("it was never built",)


def _on_one_line(words: str) -> str:
    """Names may hold any characters, and are shown."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)


def _differences(
    target: Target, folder: str, before: _Document, after: _Document
) -> Iterator[Difference]:
    if before.get("base") != after.get("base"):
        yield Difference(f"base: {target.base} changed")
    one_sided = {name for name in _NOT_IN_EVERY_KEY if not (name in before and name in after)}
    for name, words in _WORDS.items():
        if name not in one_sided and before.get(name) != after.get(name):
            yield Difference(words)
    if "env" not in one_sided:
        yield from _env(before["env"], after["env"])
    for name, hooks in (("pre", target.pre), ("post", target.post)):
        yield from _steps(name, hooks, folder, before.get(name) or [], after.get(name) or [])
    yield from _steps("run", target.steps, folder, before["steps"], after["steps"])


def _env(before: _Document, after: _Document) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield Difference(f"env: {name} is new")
        elif name not in after:
            yield Difference(f"env: {name} is gone")
        elif before[name] != after[name]:
            yield Difference(f"env: {name} changed")


def _steps(
    word: str,
    steps: tuple[Step | Hook, ...],
    folder: str,
    before: list[_Document],
    after: list[_Document],
) -> Iterator[Difference]:
    """`word` is what commands are called: run, pre or post."""
    names = [_name(word, number, steps, folder) for number in range(len(steps))]
    for old, number in paired(before, after, _kind):
        if number is None:
            yield Difference(f"{_kind(old) if word == 'run' else word}: a step is gone")
        elif old is None:
            yield Difference(f"{names[number]} is new")
        else:
            yield from _step(names[number], steps[number], folder, old, after[number])


def _kind(document: _Document) -> str:
    return next((kind for kind in _KINDS if kind in document), "")


def _name(word: str, number: int, steps: tuple[Step | Hook, ...], folder: str) -> str:
    """What a step is called: of several that run something, with its number or its script."""
    step = steps[number]
    match step:
        case Expand():
            return f"expand {' '.join(path_from(folder, path) for path in step.sources)}"
        case Copy() if step.image is not None:
            return f"copy {' '.join(step.sources)} from {step.image}"
        case Copy():
            return f"copy {' '.join(path_from(folder, path) for path in step.sources)}"
        case Install():
            return "install"
    if step.script is not None:
        return f"{word} {path_from(folder, step.script)}"
    alike = [n for n, one in enumerate(steps) if isinstance(one, Run | Hook)]
    return f"{word} {alike.index(number) + 1}" if len(alike) > 1 else word


def _step(
    name: str, step: Step | Hook, folder: str, old: _Document, new: _Document
) -> Iterator[Difference]:
    another = [words for field, words in _FIELDS.items() if old.get(field) != new.get(field)]
    yield from (Difference(f"{name}: {words}") for words in another)
    match step:
        case Expand():
            yield from _listed("expand", step.sources, folder, old["expand"], new["expand"])
        case Copy() if step.image is not None:
            if old.get("from") != new.get("from"):
                yield Difference(f"{name}: the image {step.image} changed")
            elif old["copy"] != new["copy"]:
                yield Difference(f"{name}: another src")
        case Copy():
            if old.get("mode") == new.get("mode"):  # else it is each file's
                yield from _listed("copy", step.sources, folder, old["copy"], new["copy"])
        case Install():
            named = tuple(p.path or p.name or p.url or "" for p in step.packages)
            yield from _listed("install", named, folder, old["install"], new["install"])
        case Run() | Hook():
            told = lines(str(old["run"]), str(new["run"]))
            if told is not None:
                yield Difference(f"{name}: {told.words}", told.weight)
            elif old.get("script") != new.get("script"):
                yield Difference(f"{name} changed")


def _listed(
    word: str, sources: tuple[str, ...], folder: str, before: list[Any], after: list[Any]
) -> Iterator[Difference]:
    names = [path_from(folder, s) if s.startswith("/") else s for s in sources]
    for old, number in paired(before, after, _label):
        if number is None:
            yield Difference(f"{word}: {_label(old) or _unnamed(word, old)} is gone")
        elif old is None:
            yield Difference(f"{word} {names[number]} is new")
        else:
            told = inside(names[number], old, after[number])
            yield Difference(f"{word} {names[number]}{told.words}", told.weight)


def _label(document: Any) -> str:
    return str(document.get("name", "")) if isinstance(document, dict) else ""


def _unnamed(word: str, document: Any) -> str:
    if isinstance(document, dict) and "tree" in document:
        return "a folder"
    return "a tarball" if word == "expand" else "a file"
