"""Files as block devices (loop(4)): attached, recognised again, detached with their last user."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from genoci.errors import MachineError

_CLEAR, _GET_STATUS, _CONFIGURE, _GET_FREE = 0x4C01, 0x4C05, 0x4C0A, 0x4C82
_AUTOCLEAR = 4
_INFO = struct.Struct("=5Q4I64s64s32s2Q")  # struct loop_info64 of linux/loop.h
_CONFIG = struct.Struct(f"=2I{_INFO.size}s64x")  # struct loop_config
_CONTROL = "/dev/loop-control"
_ATTEMPTS = 20


class Loop(NamedTuple):
    """A device that is in use: what file is behind it, and the `mark` that it was given."""

    device: Path
    file: tuple[int, int]  # st_dev, st_ino
    mark: str


def attach(fd: int, mark: str) -> tuple[Path, int]:
    """A device for the open file, with a mark of at most 63 bytes; and a descriptor that holds it.

    It is free again when nothing holds or mounts it any more. Raises MachineError if there is none.
    """
    config = _CONFIG.pack(fd, 0, _info(mark.encode()))
    for _ in range(_ATTEMPTS):
        device = Path(f"/dev/loop{_free()}")
        try:
            held = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _none(error) from error
        try:
            fcntl.ioctl(held, _CONFIGURE, config)
            return device, held
        except OSError as error:
            os.close(held)
            if error.errno != errno.EBUSY:  # somebody else was faster
                raise _none(error) from error
    raise _none(OSError(errno.EBUSY, os.strerror(errno.EBUSY)))


def loops() -> Iterator[Loop]:
    """The devices that are in use, as far as the caller may look at them."""
    for name in sorted(os.listdir("/sys/block")):
        if re.fullmatch("loop[0-9]+", name) and Path("/sys/block", name, "loop").is_dir():
            found = _looked_at(Path("/dev", name))
            if found is not None:
                yield found


def detach(device: Path) -> None:
    """Let the device go, now or with its last user."""
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.ioctl(fd, _CLEAR)
    except OSError as error:
        if error.errno != errno.ENXIO:  # it went by itself
            raise
    finally:
        os.close(fd)


def _looked_at(device: Path) -> Loop | None:
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        raw = fcntl.ioctl(fd, _GET_STATUS, bytes(_INFO.size))
    except OSError:  # not attached any more
        return None
    finally:
        os.close(fd)
    fields = _INFO.unpack(raw)
    return Loop(device, (fields[0], fields[1]), fields[9].split(b"\0")[0].decode(errors="replace"))


def _info(mark: bytes) -> bytes:
    return _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR, mark, b"", b"", 0, 0)


def _free() -> int:
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _none(error) from error
    try:
        return fcntl.ioctl(control, _GET_FREE)
    except OSError as error:
        raise _none(error) from error
    finally:
        os.close(control)


def _none(error: OSError) -> MachineError:
    return MachineError(
        f"there is no free loop device: {error.strerror}",
        mend="As root: modprobe loop, and detach what is not needed (losetup --list). A container "
        "must be started with /dev/loop-control and loop devices. Or use another driver: "
        "`driver: overlay` in the config file.",
    )
