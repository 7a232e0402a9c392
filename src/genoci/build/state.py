"""The state's directory: made where it may be, and held while something is in it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genoci import files
from genoci.errors import BuildError, UsageError
from genoci.oci.digest import Digest
from genoci.snapshot.driver import AUTO, Driver

SERVED = "layouts"  # in a folder: a file for each layout that it serves, which holds its path
_RECORD = re.compile(r"[0-9a-f]{64}")
_LONGEST = 4096  # bytes of a path (PATH_MAX)
_MEND = "Name a directory that you may write to: --state DIR, or GENOCI_STATE."


@contextlib.contextmanager
def using(state: Path) -> Iterator[None]:
    """Keep `clean` from deleting the state until the block ends; made if it is missing.

    The lock is on the directory itself, and every process forked meanwhile holds it too: as long
    as a worker takes down what it set up, the state stays.
    """
    fd = _held(state)
    try:
        yield
    finally:
        os.close(fd)


def claim(state: Path, key: Digest) -> contextlib.ExitStack | None:
    """Until the stack is closed nobody else builds, in this state, what has this key.

    None: somebody does, at this moment.
    """
    folder = state / "building"
    folder.mkdir(exist_ok=True)
    path = folder / key.hex
    while True:
        with contextlib.ExitStack() as stack:
            try:
                fd = stack.enter_context(files.lock(path, wait=False))
            except BlockingIOError:
                return None
            if os.fstat(fd).st_nlink:  # else its holder has ended, and removed it
                stack.callback(os.unlink, path)
                return stack.pop_all()


@contextlib.contextmanager
def deleting(state: Path) -> Iterator[None]:
    """Have the state, which exists, alone; raises BuildError when somebody uses it."""
    fd = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BuildError(
            "the state is in use by a build or a shell",
            where=str(state),
            mend="Try again when that has ended.",
        ) from error
    finally:
        os.close(fd)


def serve(state: Path, layout: Path, driver: Driver = AUTO) -> None:
    """Note that the state, and the driver's place if it has one, serve this layout, now.

    So that `gc` knows whose images it has to ask before it drops anything.
    """
    path = os.fsencode(layout.resolve())
    for folder in folders(state, driver):
        record = folder / SERVED / hashlib.sha256(path).hexdigest()
        with contextlib.suppress(OSError):  # where we may not write, `gc` may not either
            try:
                os.utime(record)
            except FileNotFoundError:
                record.parent.mkdir(exist_ok=True)
                files.write(record, path)


def folders(state: Path, driver: Driver) -> list[Path]:
    """Where it is noted which layouts are served."""
    return [state, *([driver.folder(state)] if driver.places else [])]


class Served(NamedTuple):
    """A layout that a folder serves; `used` is when it last did, in seconds since 1970.

    `record` is the file that says so.
    """

    record: Path
    layout: Path
    used: float


def served(folder: Path) -> list[Served]:
    """Those noted by `serve`, whether or not they are still there."""
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for record in sorted((folder / SERVED).iterdir()):
            if _RECORD.fullmatch(record.name) and record.is_file() and not record.is_symlink():
                status = record.stat()
                layout = Path(os.fsdecode(record.read_bytes()[:_LONGEST].replace(b"\0", b"")))
                found.append(Served(record, layout, status.st_mtime))
    return found


def make(state: Path) -> None:
    """Raises UsageError where it can't be made, or written to."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the state can't be kept there: {error.strerror}", where=str(state), mend=_MEND
        ) from error
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(
            "the state can't be kept there: you may not write to it",
            where=str(state),
            mend=_MEND,
        )


def _held(state: Path) -> int:
    while True:
        make(state)
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH)
                if os.path.samestat(os.fstat(fd), os.stat(state)):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was deleted while we waited
