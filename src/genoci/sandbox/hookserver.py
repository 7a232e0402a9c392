"""The hooks' own processes: a namespace made before the worker's is closed, and its PID 1."""

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from genoci import linux
from genoci.sandbox import init, launch
from genoci.sandbox.report import Ended, doing, tell, told

CLONE = linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC | linux.AT_RECURSIVE

_CHUNK = 1 << 16
_LARGEST = 1 << 14  # bytes of a request: a path and its base64
_LONGEST_ARGUMENT = 128 << 10  # bytes, with its end: execve(2), MAX_ARG_STRLEN
_NO_LINKS = linux.RESOLVE_BENEATH | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_NO_MAGICLINKS
_BOTH_ENDS = linux.MOVE_MOUNT_F_EMPTY_PATH | linux.MOVE_MOUNT_T_EMPTY_PATH
_ROOT = "%ROOT%"


class HostCommand(msgspec.Struct, frozen=True):
    """`argv` in the directory `cwd`, with the caller's environment and `env` over it.

    `text` is a shell text, and `argv` the shell that takes it as the argument of -c; %ROOT% in it
    is the path of the root.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = {}
    text: str | None = None


class Attach(msgspec.Struct, frozen=True, tag=True):
    """Put the mount that comes along at `root`."""

    root: bytes


class Start(msgspec.Struct, frozen=True, tag=True):
    """Run command `number`; its output goes to the pipe that comes along."""

    number: int
    status: int | None


class Show(msgspec.Struct, frozen=True, tag=True):
    """Give the root with all that is mounted in it."""


Request = Attach | Start | Show


def keep(
    commands: Sequence[HostCommand], below: Sequence[Path], channel: socket.socket, worker: int
) -> NoReturn:
    """Make the namespaces and PID 1, and stay until all in them is dead; die with the worker.

    Says on `channel` when it is ready. Every request there comes with a socket for its answer.
    """
    try:
        with told(channel.fileno()):
            init.hold_nothing_but(channel.fileno())  # no locks, and not the caller's streams
            launch.default_signals()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(
                    number, signal.SIG_IGN
                )  # it ends with the worker, after the last hook
            # Nobody else in this user namespace looks into these: they act on the host.
            linux.prctl(linux.PR_SET_DUMPABLE, 0)
            linux.set_parent_death_signal(signal.SIGKILL)
            if os.getppid() == worker:
                with doing("namespaces"):
                    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID)
                pid = os.fork()
                if pid == 0:
                    _be_first(commands, below, channel)
                channel.close()
                os.waitpid(pid, 0)
    finally:
        os._exit(0)


def _be_first(
    commands: Sequence[HostCommand], below: Sequence[Path], channel: socket.socket
) -> NoReturn:
    try:
        with told(channel.fileno()):
            linux.set_parent_death_signal(signal.SIGKILL)
            wake = init.wake_on_ended_children()
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            with doing("mount proc"):
                closed = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
                linux.mount(b"proc", b"/proc", b"proc", closed)
            server = _Server(commands, below, channel, wake[0])
            tell(channel.fileno(), Ended(0))
            server.serve()
    finally:
        os._exit(0)  # … and the kernel kills whatever else is in the namespace (pid_namespaces(7))


class _Running(NamedTuple):
    """A command: its output is read from `output` and given to the worker's `sink`."""

    pid: int
    output: int
    sink: int
    reply: socket.socket


class _Server:
    """PID 1: does what it is asked, one thing after the other, and reaps."""

    def __init__(
        self,
        commands: Sequence[HostCommand],
        below: Sequence[Path],
        channel: socket.socket,
        wake: int,
    ) -> None:
        self._commands = commands
        self._below = below
        self._channel = channel
        self._wake = wake
        self._root = b""
        self._tree = -1
        self._running: _Running | None = None
        self._is_silent = False  # it has closed its output
        self._events = select.poll()
        for fd in (channel.fileno(), wake):
            self._events.register(fd, select.POLLIN)

    def serve(self) -> None:
        """Until the worker closes its end."""
        while True:
            for fd, _ in self._events.poll():
                if fd == self._channel.fileno():
                    if not self._do_next():
                        return
                elif fd == self._wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fd, 4096)
                    self._reap()
                else:
                    self._pass_on(fd)

    def _do_next(self) -> bool:
        """False: there is nobody any more to do something for."""
        request, found = received(self._channel, _LARGEST)
        if not found:
            return False
        reply, rest = socket.socket(fileno=found[0]), found[1:]
        with told(reply.fileno()):
            match msgspec.json.decode(request, type=Request):
                case Attach(root=root):
                    with doing("attach the root"):
                        self._attach(root, *rest)
                    tell(reply.fileno(), Ended(0))
                case Show():
                    with doing("show the root"):
                        tree = linux.open_tree(self._tree, b"", CLONE | linux.AT_EMPTY_PATH)
                    socket.send_fds(reply, [msgspec.json.encode(Ended(0))], [tree])
                    os.close(tree)
                case Start(number=number, status=status):
                    self._abandon()
                    with doing("start a process"):
                        self._start(self._commands[number], status, rest[0], reply)
        return True

    def _attach(self, root: bytes, tree: int) -> None:
        """Once, and only where roots are made: the worker may have been taken over by one."""
        if self._root:
            raise OSError(errno.EALREADY, os.strerror(errno.EALREADY))
        for folder in map(os.fsencode, self._below):
            if not root.startswith(folder.rstrip(b"/") + b"/"):
                continue
            above = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            inside = os.path.relpath(root, folder)
            place = linux.openat2(above, inside, os.O_PATH | os.O_DIRECTORY, resolve=_NO_LINKS)
            linux.move_mount(tree, b"", place, b"", _BOTH_ENDS)
            os.close(place)
            os.close(above)
            self._root, self._tree = root, tree
            return
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), root)

    def _start(
        self, command: HostCommand, status: int | None, sink: int, reply: socket.socket
    ) -> None:
        output, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(output, False)
        try:
            pid = os.fork()
        except OSError:
            for fd in (output, theirs, sink):  # or the worker would wait for its end
                os.close(fd)
            raise
        if pid == 0:
            _become(command, os.fsdecode(self._root), status, theirs, reply.fileno())
        os.close(theirs)
        self._running, self._is_silent = _Running(pid, output, sink, reply), False
        self._events.register(output, select.POLLIN)

    def _abandon(self) -> None:
        """End a command that nobody waits for any more; what it has put into the background stays.

        It was interrupted, and the next one is to undo what it did.
        """
        running = self._running
        if running is not None:
            os.kill(running.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):  # it was about to be its own group
                os.killpg(running.pid, signal.SIGKILL)
            _, status = os.waitpid(running.pid, 0)
            self._has_ended(running, status)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if self._running is not None and found[0] == self._running.pid:
                    self._has_ended(self._running, found[1])

    def _has_ended(self, running: _Running, status: int) -> None:
        # No more than is there now: something in the background may write for ever.
        (waiting,) = struct.unpack("i", fcntl.ioctl(running.output, termios.FIONREAD, b"\0" * 4))
        while waiting > 0:
            data = os.read(running.output, min(waiting, _CHUNK))
            _give(running.sink, data)
            waiting -= len(data)
        if self._is_silent:
            os.close(running.output)
        self._running = None
        os.close(running.sink)
        code = os.waitstatus_to_exitcode(status)
        with running.reply, contextlib.suppress(OSError):  # nobody waits for it
            tell(running.reply.fileno(), Ended(code if code >= 0 else 128 - code))

    def _pass_on(self, output: int) -> None:
        """To the worker, as long as the command runs; then it is read, and that is all."""
        runs = self._running is not None and self._running.output == output
        with contextlib.suppress(BlockingIOError):
            data = os.read(output, _CHUNK)
            if data:
                if self._running is not None and runs:
                    _give(self._running.sink, data)
                return
            self._events.unregister(output)
            if runs:
                self._is_silent = True
            else:
                os.close(output)


def received(channel: socket.socket, most: int) -> tuple[bytes, list[int]]:
    """A message of at most `most` bytes, and the descriptors that came along, not inheritable."""
    data, found, _, _ = socket.recv_fds(channel, most, 2)
    for fd in found:  # recv_fds drops the flag that would do it
        os.set_inheritable(fd, False)
    return data, found


def _give(sink: int, data: bytes) -> None:
    view = memoryview(data)
    with contextlib.suppress(BrokenPipeError):  # the worker was interrupted
        while view:
            view = view[os.write(sink, view) :]


def _become(
    command: HostCommand, root: str, status: int | None, output: int, reply: int
) -> NoReturn:
    """Be the command; what fails until then is told to `reply`."""
    try:
        with told(reply):
            os.setsid()
            null = os.open("/dev/null", os.O_RDONLY)
            for target, fd in enumerate((null, output, output)):
                os.dup2(fd, target, inheritable=True)
            launch.default_signals()
            os.umask(0o022)  # as in `run`: what is written into the root is the same for everybody
            with doing("cwd"):
                os.chdir(command.cwd)
            with doing("exec"):
                argv = (*command.argv, *_argument(command.text, root))
                os.execve(argv[0], argv, _environment(command, root, status))
    finally:
        os._exit(127)


def _argument(text: str | None, root: str) -> tuple[str, ...]:
    """What the shell gets of a text: itself, or if it is too long a file that holds it."""
    if text is None:
        return ()
    text = text.replace(_ROOT, root)
    content = os.fsencode(text)
    if len(content) < _LONGEST_ARGUMENT:
        return ("-c", text)
    fd = os.memfd_create("hook", 0)
    with open(os.dup(fd), "wb") as stream:
        stream.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return (f"/proc/self/fd/{fd}",)


def _environment(command: HostCommand, root: str, status: int | None) -> dict[str, str]:
    found = {**os.environ, **command.env, "GENOCI_ROOTFS": root}
    found.pop("GENOCI_STATUS", None)  # of a build that this one is part of
    if status is not None:
        found["GENOCI_STATUS"] = str(status)
    return found
