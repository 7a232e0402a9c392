"""The files that a target's `install` has addresses of: in the state before its worker begins."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

from genoci.build import fork, steps
from genoci.build.events import Progressed, Stepped, Warned
from genoci.build.fork import Send
from genoci.errors import BuildError
from genoci.fetch.address import shown
from genoci.fetch.download import fetch as fetch_one
from genoci.fetch.download import is_whole
from genoci.fetch.partial import sweep
from genoci.files import touch
from genoci.sandbox.landlock import restrict_writes
from genoci.spec.target import Install, Package, Target

_EVERY = 1 << 18  # bytes between two progress events
_MEMORY = 1 << 30  # bytes that a worker needs by far not, whatever a server may say


def downloaded(state: Path, package: Package) -> Path:
    """Where the file of a package with a `url` lies, its digest checked once more.

    Raises BuildError if it is not there, or not any more what it was when `fetch` gave it.
    """
    sha256 = package.sha256 or ""
    path = _folder(state) / sha256
    if not sha256 or not is_whole(path, sha256):
        raise BuildError(
            f"what was downloaded from {shown(package.url or '')} is gone, or has changed",
            mend="Build again: it is then fetched anew.",
        )
    touch(path)
    return path


def fetching(target: Target, state: Path) -> Callable[[Send], None] | None:
    """The work of having the files of the target's addresses in `state`; None: there are none.

    For a worker of its own: whatever servers say is read by a process that can write to the folder
    of downloads alone.
    """
    packages = _with_address(target)
    if not packages:
        return None
    folder = _folder(state)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def work(send: Send) -> None:
        confine(folder, target.name, send)
        sweep(folder)
        for package in packages:
            _have(package, folder, target.name, send)

    return work


def _folder(state: Path) -> Path:
    return state / "downloads" / "sha256"


def _with_address(target: Target) -> list[Package]:
    installs = [step for step in target.steps if isinstance(step, Install)]
    return [one for step in installs for one in step.packages if one.url is not None]


def confine(folder: Path, target: str, send: Send) -> None:
    """Let this worker write below `folder` alone, and take no more memory than it can need."""
    parent = os.getppid()
    if not restrict_writes((folder,)):
        warn = steps.warner(target, send)
        warn("this kernel has no Landlock: downloads are received without that confinement")
    fork.end_with(parent)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _have(package: Package, folder: Path, target: str, send: Send) -> None:
    url, sha256 = package.url or "", package.sha256 or ""
    path = folder / sha256
    if is_whole(path, sha256):
        return
    step = f"download {shown(url)}"
    if path.exists():
        send(Warned(target=target, what=f"{step}: the one in the state is damaged, and replaced"))
    send(Stepped(target=target, step=step))
    try:
        fetch_one(url, sha256, folder, _Telling(target, step, send))
    except BuildError as error:
        here = f"target {target}, {step}"
        error.where = f"{here}: {error.where}" if error.where else here
        raise


class _Telling:
    """Says how a download goes."""

    def __init__(self, target: str, step: str, send: Send) -> None:
        self._target = target
        self._step = step
        self._send = send
        self._told = -_EVERY

    def arrived(self, done: int, total: int) -> None:
        if done - self._told >= _EVERY or done == total or done < self._told:
            self._told = done
            self._send(Progressed(target=self._target, done=done, total=total))

    def waiting(self) -> None:
        self._send(Stepped(target=self._target, step=f"{self._step}: another build fetches it"))

    def again(self, why: str) -> None:
        self._send(Warned(target=self._target, what=f"{self._step}: {why}; another attempt"))
