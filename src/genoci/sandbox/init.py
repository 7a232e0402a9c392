"""PID 1 of a container and the process above it: they set it up, reap, and end with the worker."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import termios
from collections.abc import Collection, Sequence
from typing import NoReturn

import msgspec

from genoci import linux
from genoci.linux.seccomp import Filter
from genoci.sandbox import launch
from genoci.sandbox.command import Command
from genoci.sandbox.launch import Streams
from genoci.sandbox.mounts import Action, Over
from genoci.sandbox.report import Ended, doing, tell, told

_HOST_NAME = "genoci"  # not the machine's, so that no build depends on it
_TIOCSPTLCK, _TIOCGPTN, _TIOCGPTPEER = 0x40045431, 0x80045430, 0x5441  # ioctl_tty(2)
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40  # netdevice(7)


class Plan(msgspec.Struct, frozen=True):
    """Everything that a container needs, ready before the first fork.

    `streams` are the command's, unless there is a `terminal`: a socket, to which one end of a
    terminal of the container's own is sent, of the size `window`. `watched` is a pipe whose other
    end the worker holds; `report` one that it reads.
    """

    command: Command
    actions: Sequence[Action]
    filter: Filter | None
    report: int
    watched: int
    streams: Streams | None = None
    terminal: int | None = None
    window: bytes = b""

    @property
    def descriptors(self) -> set[int]:
        mine = {self.report, self.watched, self.terminal, *(self.streams or ())}
        return {fd for fd in mine if fd is not None}


def keep(plan: Plan, worker: int) -> NoReturn:
    """Make the namespaces and PID 1, and stay until all in them is dead; die with the worker.

    A process may change the namespace of its future children's ids once only: hence this one.
    """
    try:
        with told(plan.report):
            close_all_but(plan.descriptors | {0, 1, 2})  # locks, and the host's directories
            launch.default_signals()
            linux.set_parent_death_signal(signal.SIGKILL)
            if os.getppid() == worker:
                _unshare(plan.command)
                pid = os.fork()
                if pid == 0:
                    _be_first(plan)
                # Its root, and with it its /proc, change under this process with pivot_root.
                for fd in plan.descriptors | {0, 1, 2}:
                    os.close(fd)
                os.waitpid(pid, 0)
    finally:
        os._exit(0)


def _unshare(command: Command) -> None:
    with doing("namespaces"):
        flags = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
        linux.unshare(flags if command.network else flags | linux.CLONE_NEWNET)
        with contextlib.suppress(OSError):  # a kernel without them
            linux.unshare(linux.CLONE_NEWCGROUP)
        socket.sethostname(_HOST_NAME)
        linux.set_domain_name(b"(none)")
        if not command.network:
            _raise_loopback()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def _be_first(plan: Plan) -> NoReturn:
    try:
        with told(plan.report):
            linux.set_parent_death_signal(signal.SIGKILL)
            wake = wake_on_ended_children()
            streams = _enter_root(plan)
            linux.set_process_name(b"genoci-init")
            # Nobody below looks into this process: it has more rights, and the host's memory.
            linux.prctl(linux.PR_SET_DUMPABLE, 0)
            pid = os.fork()
            if pid == 0:
                launch.become(
                    plan.command,
                    streams,
                    plan.filter,
                    plan.report,
                    terminal=plan.terminal is not None,
                )
            hold_nothing_but(plan.report, plan.watched, *wake)
            linux.set_capabilities(effective=0, permitted=0, inheritable=0)
            status = _reap_until(pid, wake[0], plan.watched)
            tell(plan.report, Ended(status if status >= 0 else 128 - status))
    finally:
        os._exit(0)  # … and the kernel kills whatever else is in the namespace (pid_namespaces(7))


def wake_on_ended_children() -> tuple[int, int]:
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read, write


def _enter_root(plan: Plan) -> Streams:
    """Have the container's root be ours, with all that is mounted in it, and nothing else."""
    with doing("root"):
        root_fd = _mounted(os.fsencode(plan.command.root))
    for action in plan.actions:
        with doing(f"mount {action.target}"):
            action.perform(root_fd)
    with doing("terminal"):
        streams = plan.streams or _make_terminal(plan, root_fd)
    with doing("pivot_root"):
        os.fchdir(root_fd)
        os.close(root_fd)
        # pivot_root(2), "pivot_root(".", ".")": the old root lies on the new one, and goes.
        linux.pivot_root(b".", b".")
        linux.umount(b".", linux.MNT_DETACH)
        os.chdir("/")
    return streams


def _mounted(root: bytes) -> int:
    """The root, mounted once more with all below it: what is set here does not reach the build."""
    flags = linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC | linux.AT_RECURSIVE
    tree = linux.open_tree(linux.AT_FDCWD, root, flags)
    closed = linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOSUID
    recursive = linux.AT_EMPTY_PATH | linux.AT_RECURSIVE
    linux.mount_setattr(tree, b"", recursive, set=closed, propagation=linux.MS_PRIVATE)
    linux.move_mount(tree, b"", linux.AT_FDCWD, root, linux.MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _make_terminal(plan: Plan, root_fd: int) -> Streams:
    """A terminal of the container's own, also its /dev/console; its other end to the worker."""
    assert plan.terminal is not None
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master = os.open("dev/pts/ptmx", flags, dir_fd=root_fd)
    fcntl.ioctl(master, _TIOCSPTLCK, b"\0" * 4)
    (number,) = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))
    slave = fcntl.ioctl(master, _TIOCGPTPEER, flags)
    Over(f"dev/pts/{number}", "dev/console").perform(root_fd)
    if plan.command.uid:
        os.fchown(slave, plan.command.uid, -1)
    if plan.window:
        fcntl.ioctl(master, termios.TIOCSWINSZ, plan.window)
    with socket.socket(fileno=plan.terminal) as worker:
        socket.send_fds(worker, [b"!"], [master])
    os.close(master)
    return Streams(slave, slave, slave)


def hold_nothing_but(*kept: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    close_all_but({0, 1, 2, *kept})


def close_all_but(kept: Collection[int]) -> None:
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd not in kept:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(fd)


def _reap_until(pid: int, wake: int, watched: int) -> int:
    """How the command ended (os.waitstatus_to_exitcode); never returns if the worker is gone."""
    events = select.poll()
    events.register(wake, select.POLLIN)
    events.register(watched, select.POLLIN)
    while True:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == pid:
                    return os.waitstatus_to_exitcode(found[1])
        if any(fd == watched for fd, _ in events.poll()):
            os._exit(0)
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)
