"""What package managers download: kept in the state, and never in a layer."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from genoci.files import lock, touch
from genoci.layer.remove import remove
from genoci.oci.digest import Digest
from genoci.spec.target import Install, Target


class Places(NamedTuple):
    """Two directories: `cache` stays; `folder` is for this step alone, and empty."""

    cache: Path
    folder: Path


def key(base: Digest | None, target: Target, step: Install) -> str:
    """Who may share a cache: builds in which the same root, as far as is known, fills it.

    What runs in a root can put into its cache whatever it likes. So a cache is never one for
    different bases, nor for a base and what an earlier step of a target has made of it.
    """
    earlier = target.steps[: target.steps.index(step)]
    made_of = msgspec.json.encode([str(base), [*target.pre, *earlier]])
    return hashlib.sha256(made_of).hexdigest()[:32]


@contextlib.contextmanager
def held(state: Path, name: str, on_wait: Callable[[], None]) -> Iterator[Places]:
    """The cache `name`, for this process alone; waits while another one has it."""
    above = state / "packages"
    above.mkdir(mode=0o700, exist_ok=True)
    with _locked(above / f"{name}.lock", on_wait):
        places = Places(above / name / "cache", above / name / "step")
        _clear(places.folder)  # of a build that was killed
        places.cache.mkdir(parents=True, exist_ok=True)
        places.folder.mkdir()
        try:
            yield places
        finally:
            _clear(places.folder)


@contextlib.contextmanager
def _locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(path, wait=False))
        except BlockingIOError:
            on_wait()
            stack.enter_context(lock(path))
        touch(path)
        yield


def _clear(folder: Path) -> None:
    if not os.path.lexists(folder):
        return
    fd = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(fd, os.fsencode(folder.name))
    finally:
        os.close(fd)
