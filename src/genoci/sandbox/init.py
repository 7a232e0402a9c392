"""PID 1 of a container: sets it up, starts the command, reaps, and ends with its worker."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import termios
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn, Protocol

import msgspec

from genoci import linux
from genoci.sandbox import capabilities, landlock
from genoci.sandbox.mounts import Action, Filesystem
from genoci.sandbox.seccomp import Filter


class Report(msgspec.Struct, frozen=True):
    """How it ended: the exit status, or what was being done when `error` (an errno) came."""

    status: int = 0
    doing: str = ""
    error: int = 0


class Plan(msgspec.Struct, frozen=True):
    """What is set up before the command starts."""

    actions: Sequence[Action]
    filter: Filter | None
    host_name: str


class Program(Protocol):
    """The part of a Command that PID 1 needs."""

    @property
    def argv(self) -> tuple[str, ...]: ...
    @property
    def root(self) -> os.PathLike[str]: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def cwd(self) -> str: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def groups(self) -> tuple[int, ...]: ...
    @property
    def network(self) -> bool: ...


Streams = tuple[int, int, int] | socket.socket | None


class _Failed(Exception):
    """Something could not be done; says what, and the errno."""

    def __init__(self, doing: str, error: OSError) -> None:
        self.report = Report(doing=doing, error=error.errno or errno.EIO)


def tell(fd: int, report: Report) -> None:
    os.write(fd, msgspec.json.encode(report))


def main(
    command: Program, plan: Plan, streams: Streams, output: int, report: int, watched: int
) -> NoReturn:
    """Be PID 1. `output` is what the command prints to, `watched` a pipe that its worker holds."""
    try:
        linux.set_parent_death_signal(signal.SIGKILL)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with _doing("the root"):
            _become_root(command, plan)
        _serve(command, plan, streams, output, report, watched)
    except _Failed as failed:
        tell(report, failed.report)
    except BaseException as error:
        doing = f"{type(error).__name__}: {error}"
        tell(report, Report(doing=doing, error=getattr(error, "errno", None) or errno.EIO))
    finally:
        os._exit(0)


@contextlib.contextmanager
def _doing(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Failed(what, error) from error


def _become_root(command: Program, plan: Plan) -> None:
    linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
    socket.sethostname(plan.host_name)
    if not command.network:
        _raise_loopback()
    root_fd = os.open(command.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for action in plan.actions:
        named = f"mount {action.target}" if isinstance(action, Filesystem) else str(action)
        with _doing(named):
            action.perform(root_fd)
    os.fchdir(root_fd)
    os.close(root_fd)
    linux.pivot_root(b".", b".")
    linux.umount(b".", linux.MNT_DETACH)
    os.chdir("/")


def _raise_loopback() -> None:
    """`ip link set lo up` (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        up = 0x1 | 0x40  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", up))  # SIOCSIFFLAGS


def _serve(
    command: Program, plan: Plan, streams: Streams, output: int, report: int, watched: int
) -> None:
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    failed_read, failed_write = os.pipe2(os.O_CLOEXEC)
    fds = _terminal(streams) if isinstance(streams, socket.socket) else streams
    pid = os.fork()
    if pid == 0:
        _be_the_command(command, plan, fds, output, failed_write)
    os.close(failed_write)
    _keep_only(report, watched, wake_read, wake_write, failed_read)
    failure = os.read(failed_read, 4096)
    status = _reap_until(pid, wake_read, watched)
    if failure:
        os.write(report, failure)
    else:
        tell(report, Report(status=status if status >= 0 else 128 - status))


_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430  # ioctl_tty(2)


def _terminal(to_worker: socket.socket) -> tuple[int, int, int]:
    """A terminal of the container's own; its other end goes to the worker."""
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, b"\0" * 4)
    number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))[0]
    slave = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    socket.send_fds(to_worker, [b"t"], [master])
    os.close(master)
    return slave, slave, slave


def _keep_only(*kept: int) -> None:
    """Close every other descriptor: locks that a worker holds, and the host's directories."""
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    _close_all_but({0, 1, 2, *kept})


def _close_all_but(kept: set[int]) -> None:
    low = 0
    for fd in sorted(kept):
        if low < fd:  # an empty range would be taken for an endless one
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, _HIGHEST)


_HIGHEST = 1 << 16


def _reap_until(pid: int, wake: int, watched: int) -> int:
    """The command's exit status, as `os.waitstatus_to_exitcode` has it; ends with the worker."""
    while True:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == pid:
                    return os.waitstatus_to_exitcode(found[1])
        ready = select.select([wake, watched], [], [])[0]
        if watched in ready:
            os._exit(0)
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)


def _be_the_command(
    command: Program, plan: Plan, streams: tuple[int, int, int] | None, output: int, failed: int
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        with _doing("streams"):
            _take_streams(streams, output)
        _close_all_but({0, 1, 2, failed})
        os.umask(0o022)
        with _doing("confinement"):
            linux.set_no_new_privileges()
            landlock.restrict_scope()
            capabilities.keep_default()
        with _doing("identity"):
            _become(command)
        with _doing("chdir"):
            os.chdir(command.cwd)
        _default_signals()
        with _doing("the filter of system calls"):
            if plan.filter is not None:
                plan.filter.load()
        with _doing("exec"):
            _execute(command)
    except _Failed as error:
        tell(failed, error.report)
    finally:
        os._exit(127)


def _take_streams(streams: tuple[int, int, int] | None, output: int) -> None:
    if streams is None:
        null = os.open("/dev/null", os.O_RDONLY)
        streams = (null, output, output)
    for target, fd in enumerate(streams):
        os.dup2(fd, target, inheritable=True)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _become(command: Program) -> None:
    try:
        os.setgroups(command.groups)
    except PermissionError:  # a map of a single id: there is no other group to be in
        if command.groups:
            raise
    os.setresgid(command.gid, command.gid, command.gid)
    os.setresuid(command.uid, command.uid, command.uid)


def _default_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(command: Program) -> None:
    name = command.argv[0]
    if "/" in name:
        os.execve(name, command.argv, command.env)
    os.execvpe(name, command.argv, command.env)
