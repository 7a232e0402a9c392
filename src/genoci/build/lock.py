"""What was installed, as a lock file: the same content is always the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from genoci import files
from genoci.build import words
from genoci.errors import BuildError
from genoci.spec.lock import VERSION, Lock, Locked, as_line
from genoci.spec.pinned import Pinned
from genoci.spec.target import Install, Target

_HEAD = "# Written by `genoci lock`, which makes it anew. A build installs exactly what is here.\n"


def fetching(target: Target) -> bool:
    """Whether the target installs anything that only repositories have."""
    return any(isinstance(step, Install) and words.fetches(step) for step in target.steps)


def locked(target: Target, installed: Iterable[Pinned]) -> Locked:
    """What the target asks for, and what that was; raises BuildError if it can't be written."""
    packages: dict[str, Pinned] = {}
    for one in installed:
        clean = msgspec.structs.replace(one, source=_without_login(one.source) or "-")
        try:
            packages.setdefault(as_line(clean), clean)
        except ValueError as error:
            raise BuildError(
                f"a package is called what no lock file can hold: {one.name} {one.version}",
                where=f"target {target.name}",
                mend="Leave it out, or install it as a file.",
            ) from error
    names = {one.name for step in _installs(target) for one in step.packages if one.name}
    return Locked(tuple(sorted(names)), tuple(packages.values()))


def addresses(targets: Iterable[Target]) -> dict[str, str]:
    """The digests of what is fetched, by its address."""
    packages = [one for target in targets for step in _installs(target) for one in step.packages]
    return {one.url: one.sha256 for one in packages if one.url and one.sha256}


def write(path: Path, sections: Mapping[str, Lock]) -> bool:
    """Replace the lock file, atomically; False: it had this content already."""
    content = rendered(sections).encode()
    if path.exists() and path.read_bytes() == content:
        return False
    files.write(path, content)
    return True


def rendered(sections: Mapping[str, Lock]) -> str:
    """Everything sorted but the packages, which stand in the order of their installation."""
    lines = [_HEAD, f"version: {VERSION}\n", "files:\n" if sections else "files: {}\n"]
    for file, lock in sorted(sections.items()):
        lines += [f"  {_quoted(file)}:\n", *_section(lock)]
    return "".join(lines)


def _section(lock: Lock) -> Iterator[str]:
    yield "    targets:\n" if lock.targets else "    targets: {}\n"
    for name, it in sorted(lock.targets.items()):
        yield f"      {_quoted(name)}:\n"
        yield from _list("names", it.names)
        yield from _list("packages", [as_line(one) for one in it.packages])
    if lock.urls:
        yield "    urls:\n"
        yield from (f"      {_quoted(u)}: {_quoted(d)}\n" for u, d in sorted(lock.urls.items()))


def _list(key: str, items: Iterable[str]) -> Iterator[str]:
    lines = [f"          - {_quoted(item)}\n" for item in items]
    yield f"        {key}:\n" if lines else f"        {key}: []\n"
    yield from lines


def changes(before: Mapping[str, Locked], after: Mapping[str, Locked]) -> Iterator[str]:
    """A line for each package that came, went or changed, by target and name."""
    for target in sorted({*before, *after}):
        old, new = _versions(before.get(target)), _versions(after.get(target))
        for name in sorted({*old, *new}):
            if name not in new:
                yield f"{target}: {name} {old[name][0]} removed"
            elif name not in old:
                yield f"{target}: {name} {new[name][0]} added"
            elif old[name][0] != new[name][0]:
                yield f"{target}: {name} {old[name][0]} -> {new[name][0]}"
            elif old[name] != new[name]:
                yield f"{target}: {name} {new[name][0]} has another digest"


def _versions(it: Locked | None) -> dict[str, tuple[str, str]]:
    packages = it.packages if it else ()
    return {f"{p.name} ({p.architecture})": (p.version, p.sha256) for p in packages}


def _installs(target: Target) -> list[Install]:
    return [step for step in target.steps if isinstance(step, Install)]


def _without_login(source: str) -> str:
    parts = urlsplit(source)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _quoted(text: str) -> str:
    """A double-quoted scalar, which YAML and JSON read alike."""
    whole = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in whole)
