"""The user's terminal, joined to one in a container."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import termios
import tty


def relay(master: int) -> None:
    """Copy both ways until the container's side is closed; the terminal's modes come back."""
    before = termios.tcgetattr(0)
    _follow_size(master)
    previous = signal.signal(signal.SIGWINCH, lambda *_: _follow_size(master))
    try:
        tty.setraw(0)
        _copy(master)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
        os.close(master)


def _copy(master: int) -> None:
    sources = [0, master]
    while True:
        ready = select.select(sources, [], [])[0]
        if master in ready:
            try:
                data = os.read(master, 1 << 16)
            except OSError:  # EIO: nobody has the other side open any more
                return
            if not data:
                return
            _write(1, data)
        if 0 in ready:
            typed = os.read(0, 1 << 12)
            if typed:
                _write(master, typed)
            else:
                sources.remove(0)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _follow_size(master: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
