"""What `setup` has made, recorded beside the file that it made: nothing else is ever destroyed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from genoci import files
from genoci.errors import StorageError

_LARGEST = 1 << 16


class Made(msgspec.Struct, frozen=True):
    """A filesystem in the file `lofile`, mounted at `mount`; all paths are absolute.

    `file` is the file's device and inode number. `config` is the config file for which it was
    made, whether or not there was one; `wrote_config`: it is ours, too. `folders` were made for
    the mount, the outermost first.
    """

    lofile: str
    file: tuple[int, int]
    mount: str
    config: str
    wrote_config: bool = False
    folders: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether the file that was made is the one that is there now."""
        return identity(Path(self.lofile)) == self.file


def identity(path: Path) -> tuple[int, int] | None:
    """The device and inode number of a regular file; None: there is none."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def mark_of(config: Path) -> str:
    """What the loop devices of a config file's filesystems are marked with."""
    return f"genoci:{hashlib.sha256(os.fsencode(config)).hexdigest()[:40]}"


def record_beside(lofile: Path) -> Path:
    return lofile.with_name(f"{lofile.name}.genoci")


def unfinished(lofile: Path) -> Path:
    """Where the file is made before it gets its name."""
    return lofile.with_name(f"{lofile.name}.genoci-new")


def recorded(lofile: Path) -> Made | None:
    """The record beside the file, if it is one that this user wrote, and of this file."""
    try:
        fd = os.open(record_beside(lofile), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(fd, "rb") as stream:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            return None  # anybody could have written it, and what it names is destroyed
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            made = msgspec.json.decode(stream.read(_LARGEST), type=Made)
            if made.lofile == str(lofile):
                return made
    return None


def record(made: Made) -> None:
    files.write(record_beside(Path(made.lofile)), msgspec.json.encode(made))


def config_text(lofile: Path, mount: Path) -> str:
    """What `setup` writes where there is no config file, for names in its own folder."""
    return (
        "# Written by `lpack setup`; `lpack unsetup` takes it away again.\n"
        "driver: btrfs\n"
        f"lofile: ./{lofile.name}\n"
        f"btrfsmount: ./{mount.name}\n"
    )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Until the block ends, no other `setup` or `unsetup` is at work in the folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(fd, folder)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageError(
            "another `lpack setup` is at work here", where=str(folder), mend="Wait for its end."
        ) from error
