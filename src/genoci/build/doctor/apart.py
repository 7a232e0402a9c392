"""A look at something in a process of its own, confined as a build's worker is."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from genoci.build import state
from genoci.build.calling import call
from genoci.build.doctor.finding import Finding
from genoci.build.rooted import enter
from genoci.layer.remove import remove
from genoci.sandbox.idmap import IdMap


def in_a_process(check: Callable[[], Finding]) -> Finding:
    """What `check` finds in a fork, which may do to itself what it likes, and be killed."""
    finding: Finding = call(lambda _send: check(), Finding, lambda event: None)
    return finding


def in_a_namespace(check: Callable[[IdMap], Finding], *writable: Path) -> Finding:
    """The same as root of a user namespace; raises MachineError where there is none."""

    def inside() -> Finding:
        return check(enter(writable, lambda what, mend="": None))

    return in_a_process(inside)


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A new directory in the state `folder`, gone at the end, as is a state that was not there.

    Raises UsageError where no state can be kept.
    """
    folder = folder.absolute()
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with state.using(folder):
        place = Path(tempfile.mkdtemp(prefix=".genoci-doctor-", dir=folder))
        try:
            yield place
        finally:
            above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                remove(above, os.fsencode(place.name))
            finally:
                os.close(above)
            with contextlib.suppress(OSError):  # a build has come meanwhile
                for path in missing:
                    path.rmdir()
