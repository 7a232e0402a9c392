"""The caller's terminal or streams, joined to those of a container by copying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Mapping
from io import FileIO

_CHUNK = 1 << 16


def window() -> bytes:
    """The size of the caller's terminal, as ioctl_tty(2) has it; empty: unknown."""
    with contextlib.suppress(OSError):
        return fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
    return b""


def relay(master: FileIO) -> None:
    """Join the caller's terminal to `master` until nobody has its other side; closes it.

    Every key goes into the container, Ctrl-C as well; the terminal's modes come back.
    """
    before = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, lambda *_: _follow_size(master))
    try:
        tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead stays
        join(master, {master: 1})
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
        master.close()


def _follow_size(master: FileIO) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(master, termios.TIOCSWINSZ, window())


def join(sink: FileIO, sources: Mapping[FileIO, int]) -> None:
    """Copy standard input to `sink`, and each source to its target, until all sources have ended.

    At the end of standard input `sink` is closed, if it is not a source as well. A command that
    is slow to read does not hold up what it writes.
    """
    os.set_blocking(sink.fileno(), False)
    outward = dict(sources)
    typed: bytes | None = b""  # what was read and not yet written; None: there is no more
    while outward:
        ready = _ready(sink, outward, typed)
        for source in [one for one in outward if one.fileno() in ready]:
            if not _copied(source, outward[source]):
                del outward[source]
        if typed is None:
            continue
        if typed and sink.fileno() in ready:
            typed = _written(sink, typed)
        elif not typed and 0 in ready:
            typed = _typed()
        if typed is None and sink not in sources:
            sink.close()


def _typed() -> bytes | None:
    try:
        return os.read(0, _CHUNK) or None
    except OSError:  # a directory, or a terminal that has hung up
        return None


def _ready(sink: FileIO, outward: Mapping[FileIO, int], typed: bytes | None) -> set[int]:
    interest = {source.fileno(): select.POLLIN for source in outward}
    if typed:
        interest[sink.fileno()] = interest.get(sink.fileno(), 0) | select.POLLOUT
    elif typed is not None:
        interest[0] = select.POLLIN
    events = select.poll()
    for fd, mask in interest.items():
        events.register(fd, mask)
    return {fd for fd, _ in events.poll()}


def _copied(source: FileIO, target: int) -> bool:
    """Copy what there is; False at the end."""
    try:
        data = source.read(_CHUNK)
    except OSError:  # EIO: nobody has the other side of the terminal any more
        return False
    if data is None:
        return True
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return bool(data)


def _written(sink: FileIO, typed: bytes) -> bytes | None:
    """What is left of `typed`; None: nobody reads it."""
    try:
        return typed[sink.write(typed) or 0 :]
    except OSError:
        return None
