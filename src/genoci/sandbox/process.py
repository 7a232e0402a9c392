"""A command in a container of its own: started, listened to, and gone to the last process."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from genoci.errors import BuildError, MachineError
from genoci.sandbox import init, mounts, seccomp, terminal
from genoci.sandbox.command import Command
from genoci.sandbox.init import Plan
from genoci.sandbox.launch import Streams
from genoci.sandbox.mounts import HostFolder, PrivateFile
from genoci.sandbox.report import Refused, heard
from genoci.sandbox.stubs import Stubs

__all__ = ["Command", "interactive", "run"]

Warn = Callable[[str, str], None]

_CHUNK = 1 << 16
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_MENDS_OF_EXEC = {
    errno.ENOEXEC: "Is it meant for this machine's processor, and has it a #! line?",
    errno.EACCES: "Has it the mode of a program, and may its user reach it?",
    errno.E2BIG: "One argument, or a shell text, may have 128 KiB: put it into a script.",
}
_OWN_PLACES = ("proc", "sys", "dev")
_OWN_NAME = b"127.0.1.1\tgenoci\n"


def run(command: Command, on_output: Callable[[bytes], None], *, warn: Warn) -> int:
    """Run it, hand over all that it prints as it comes, and give its exit status.

    The status is 128 + N for signal N. When this returns or raises, no process of the container
    is left, and nothing that was mounted or made for it. For root of a user namespace
    (`userns.enter`). Raises FileNotFoundError if the root has no such program or not its
    interpreter, BuildError if the image can't be run in, MachineError if the machine forbids it.
    """
    with contextlib.ExitStack() as stack:
        output, theirs = _pipe(stack)
        streams = Streams(None, theirs.fileno(), theirs.fileno())
        step = stack.enter_context(_started(command, warn, streams=streams))
        theirs.close()
        while data := output.read(_CHUNK):
            on_output(data)
        return step.status()


def interactive(command: Command, *, warn: Warn) -> int:
    """Run it at the caller's terminal; or with his streams, where standard input is none.

    No descriptor of the caller's comes into the container: everything is copied. Otherwise as
    `run`.
    """
    if os.isatty(0):
        return _at_the_terminal(command, warn)
    with contextlib.ExitStack() as stack:
        theirs_in, stdin = _pipe(stack)
        stdout, theirs_out = _pipe(stack)
        stderr, theirs_err = _pipe(stack)
        theirs = (theirs_in, theirs_out, theirs_err)
        streams = Streams(*(end.fileno() for end in theirs))
        step = stack.enter_context(_started(command, warn, streams=streams))
        for end in theirs:
            end.close()
        terminal.join(stdin, {stdout: 1, stderr: 2})
        return step.status()


def _at_the_terminal(command: Command, warn: Warn) -> int:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        starting = _started(command, warn, terminal=theirs.fileno(), window=terminal.window())
        with starting as step:
            theirs.close()
            for master in socket.recv_fds(ours, 1, 1)[1]:
                terminal.relay(FileIO(master, "r+"))
            return step.status()


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    """A pipe whose ends are closed with the stack, if they were not before."""
    read, write = os.pipe()
    return stack.enter_context(FileIO(read)), stack.enter_context(FileIO(write, "w"))


class _Step:
    """A container that was started; `end` leaves no process of it."""

    def __init__(self, command: Command, pid: int, report: FileIO, alive: FileIO) -> None:
        self._command = command
        self._pid = pid
        self._report = report
        self._alive = alive

    def status(self) -> int:
        """How the command ended, once it has and all is dead."""
        told = self._report.read()
        self._reap()
        for message in heard(told):
            if isinstance(message, Refused):
                raise _translated(message, self._command)
            return message.status
        raise BuildError(
            "the container's first process was killed",
            mend="If the machine ran out of memory, its kernel log says so; then build again.",
        )

    def end(self) -> None:
        """PID 1 ends when it sees its pipe closed, and the kernel kills the others with it."""
        self._alive.close()
        self._reap()

    def _reap(self) -> None:
        if self._pid:
            os.waitpid(self._pid, 0)
            self._pid = 0


@contextlib.contextmanager
def _started(
    command: Command,
    warn: Warn,
    *,
    streams: Streams | None = None,
    terminal: int | None = None,
    window: bytes = b"",
) -> Iterator[_Step]:
    """The container, set up and running until the block ends."""
    _refuse_impossible(command)
    chosen = seccomp.default_filter()
    if chosen is None:
        warn(
            "libseccomp is missing: commands run without a filter of system calls",
            "Install the package libseccomp2 (libseccomp elsewhere).",
        )
    with contextlib.ExitStack() as stack:
        root_fd = os.open(command.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, root_fd)
        actions = _actions(command, stack.enter_context(Stubs(root_fd)), terminal is not None)
        report, theirs = _pipe(stack)
        watched, alive = _pipe(stack)
        told, held = theirs.fileno(), watched.fileno()
        plan = Plan(command, actions, chosen, told, held, streams, terminal, window)
        step = _forked(plan, report, alive)
        stack.callback(step.end)
        theirs.close()
        watched.close()
        yield step


def _refuse_impossible(command: Command) -> None:
    """What execve(2) can't take: an image's config may hold it."""
    for name, value in command.env.items():
        if not _passable(name, value) or "=" in name or not name:
            raise BuildError(
                f"the environment variable {name!r} can't be given to a command",
                mend="See the key env; null deletes one that the base has.",
            )
    for word in (*command.argv, command.cwd):
        if not _passable(word):
            raise BuildError(f"{word!r} can't be given to the kernel")


def _passable(*words: str) -> bool:
    try:
        return not any(b"\0" in os.fsencode(word) for word in words)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _forked(plan: Plan, report: FileIO, alive: FileIO) -> _Step:
    worker = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # An interrupt between the fork and its note would leave a process that nobody ends.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        pid = os.fork()
        if pid == 0:
            init.keep(plan, worker)
        return _Step(plan.command, pid, report, alive)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _actions(command: Command, stubs: Stubs, terminal: bool) -> list[mounts.Action]:
    """What is set up in the root; the places that it needs there are made."""
    try:
        for name in _OWN_PLACES:
            stubs.directory(name)
    except OSError as error:
        raise BuildError(
            f"the places for /proc, /sys and /dev can't be made in the image: {error.strerror}"
        ) from error
    if command.cwd.strip("/").split("/")[0] not in _OWN_PLACES:
        stubs.folder(command.cwd)
    scripts = [
        PrivateFile(path.lstrip("/"), content, mode=0o555, locked=True)
        for path, content in command.files
    ]
    shown: list[PrivateFile | HostFolder] = []
    for path, content in _name_resolution().items():
        if stubs.is_mounted_over(path):  # by a hook, which knows better
            continue
        place = stubs.file(path)
        if place is not None and place.split("/")[0] not in _OWN_PLACES:
            shown.append(PrivateFile(place, content))
    shown += _asked_for(command, stubs)
    return mounts.container(scripts, shown, terminal=terminal)


def _asked_for(command: Command, stubs: Stubs) -> Iterator[PrivateFile | HostFolder]:
    """What the command shows over its root, in places that are there or made."""
    for source, path in command.shown:
        yield HostFolder(source, _there(path, stubs.folder(path)))
    for path, content, mode in command.overlaid:
        yield PrivateFile(_there(path, stubs.file(path, through_link=False)), content, mode=mode)


def _there(path: str, place: str | None) -> str:
    """The place; raises BuildError if there is none, or if it is the container's own."""
    if not place or place.split("/")[0] in _OWN_PLACES:
        raise BuildError(
            f"nothing can be shown at {path} in the image: something else stands there, or on "
            "the way",
            mend="Remove it in an earlier step, or use another base.",
        )
    return place


def _name_resolution() -> dict[str, bytes]:
    """The host's files that say how names are found: copies, which may be written."""
    found = {}
    for path, more in (("/etc/resolv.conf", b""), ("/etc/hosts", _OWN_NAME)):
        with contextlib.suppress(OSError):
            content = Path(path).read_bytes()
            found[path] = content + (b"\n" if content[-1:] not in (b"", b"\n") else b"") + more
    return found


def _translated(refused: Refused, command: Command) -> Exception:
    reason = os.strerror(refused.error)
    if refused.doing == "exec":
        if refused.error in (errno.ENOENT, errno.ENOTDIR):
            return FileNotFoundError(refused.error, reason, command.argv[0])
        return BuildError(
            f"{command.argv[0]} can't be executed: {reason}",
            mend=_MENDS_OF_EXEC.get(refused.error, ""),
        )
    if refused.doing == "cwd":
        return BuildError(
            f"{command.cwd} can't be the working directory: {reason}",
            mend="It must be a directory in the image; see the key workdir.",
        )
    if refused.doing == "user":
        return MachineError(
            f"nothing can run as the user {command.uid}:{command.gid} in your user namespace",
            mend="Without a range of subordinate ids there is only one user, 0: install the "
            "package uidmap, and as root: usermod --add-subuids 100000-165535 "
            "--add-subgids 100000-165535 USER",
        )
    if refused.doing == "mount proc":
        return MachineError(
            f"a container's own /proc may not be mounted here ({reason}), and nothing is run "
            "without one: the one that is here would show the way out",
            mend="In a container, start that with its /proc unmasked: --security-opt "
            "unmask=ALL (podman), --security-opt systempaths=unconfined (docker).",
        )
    if refused.doing == "bug":
        return RuntimeError(f"in a container's first process: {refused.detail}")
    return MachineError(
        f"a container can't be set up on this machine: {refused.doing}: {refused.detail}"
    )
