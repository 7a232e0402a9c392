"""From a fork of PID 1 to the command: all rights go, in an order that still permits the next."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import termios
from typing import NamedTuple, NoReturn

from genoci import linux
from genoci.linux.seccomp import Filter
from genoci.sandbox import capabilities, landlock
from genoci.sandbox.command import Command
from genoci.sandbox.report import doing, told

_NOT_HERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


class Streams(NamedTuple):
    """The command's standard streams, as descriptors; without `stdin` it is /dev/null."""

    stdin: int | None
    stdout: int
    stderr: int


def become(
    command: Command, streams: Streams, chosen: Filter | None, report: int, *, terminal: bool
) -> NoReturn:
    """Be the command; what fails until then is told to `report`.

    All descriptors that it must not have are closed on execve, as Python makes them.
    """
    try:
        with told(report):
            os.setsid()
            with doing("streams"):
                _take(streams, terminal=terminal)
            default_signals()
            os.umask(0o022)
            with contextlib.suppress(OSError):  # a kernel without keyrings
                linux.join_new_session_keyring()
            with doing("cwd"):
                os.chdir(command.cwd)
            with doing("confinement"):
                linux.set_no_new_privileges()
                landlock.restrict_scope()
                capabilities.keep_default()
            with doing("user"):
                _change_user(command)
            with doing("seccomp"):
                if chosen is not None:
                    chosen.load()
            with doing("exec"):
                _execute(command)
    finally:
        os._exit(127)


def default_signals() -> None:
    """No handler, nothing ignored or blocked: Python ignores SIGPIPE, a worker SIGINT."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):  # those that the C library keeps
            signal.signal(number, signal.SIG_DFL)
    linux.reset_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _take(streams: Streams, *, terminal: bool) -> None:
    stdin = os.open("/dev/null", os.O_RDONLY) if streams.stdin is None else streams.stdin
    # None of them is 0, 1 or 2: those are open in every process that starts a container.
    for target, fd in enumerate((stdin, streams.stdout, streams.stderr)):
        os.dup2(fd, target, inheritable=True)
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _change_user(command: Command) -> None:
    try:
        os.setgroups(command.groups)
    except PermissionError:  # denied where one id is mapped: there is no other group to be in
        if command.groups:
            raise
    os.setresgid(command.gid, command.gid, command.gid)
    os.setresuid(command.uid, command.uid, command.uid)


def _execute(command: Command) -> None:
    """execve(2), after a search as execvp(3) does it; raises the OSError of what it found."""
    name = command.argv[0]
    folders = [""] if "/" in name else command.env.get("PATH", os.defpath).split(":")
    refused: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    for folder in folders:
        try:
            os.execve(os.path.join(folder, name), command.argv, command.env)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            if error.errno == errno.EACCES or "/" in name:
                refused = error
    raise refused
