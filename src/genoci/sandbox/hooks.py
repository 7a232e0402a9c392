"""Hooks: commands of the caller's own on the host, beside a worker that is closed off from it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path

import msgspec

from genoci import linux
from genoci.errors import BuildError, MachineError
from genoci.sandbox import hookserver, landlock
from genoci.sandbox.hookserver import Attach, HostCommand, Request, Show, Start
from genoci.sandbox.report import Ended, Refused, heard

_CHUNK = 1 << 16
_LARGEST = 1 << 12  # bytes of an answer
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_NOT_FOLLOWED = linux.MNT_DETACH | linux.UMOUNT_NOFOLLOW


@contextlib.contextmanager
def host_side(commands: Sequence[HostCommand], below: Sequence[Path]) -> Iterator[HostSide]:
    """Processes that see the host as it is now, whatever becomes of our own view of it.

    For root of a user namespace (`userns.enter`), before `private_view`. They can be asked for
    nothing but `commands`, with a root that lies at a path below one of `below`; and from here on
    this process can't look into them, where the kernel has Landlock's scopes (Linux 6.12). When
    the block ends, none of them is left, nor anything that was mounted there.
    """
    side = _started(tuple(commands), tuple(below))
    try:
        side.wait_until_ready()
        # It will read what others have made, and has the same user and namespace as the hooks.
        linux.set_no_new_privileges()
        landlock.restrict_scope()
        yield side
    finally:
        side.end()


def _started(commands: tuple[HostCommand, ...], below: tuple[Path, ...]) -> HostSide:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # An interrupt between the fork and its note would leave a process that nobody ends.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        with theirs:
            pid = os.fork()
            if pid == 0:
                hookserver.keep(commands, below, theirs, worker)
            return HostSide(pid, ours)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class HostSide:
    """The hooks' processes, as their worker knows them: by a socket."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self._pid = pid
        self._channel = channel

    def wait_until_ready(self) -> None:
        _answer(self._channel)

    def attach(self, root: Path) -> None:
        """Show them the root, at its own path; once. What they mount there is not seen here."""
        tree = linux.open_tree(linux.AT_FDCWD, os.fsencode(root), hookserver.CLONE)
        try:
            linux.mount_setattr(
                tree,
                b"",
                linux.AT_EMPTY_PATH | linux.AT_RECURSIVE,
                set=linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOSUID,
                propagation=linux.MS_PRIVATE,
            )
            with self._asked(Attach(os.fsencode(root)), tree) as reply:
                _answer(reply)
        finally:
            os.close(tree)

    def run(
        self,
        number: int,
        on_output: Callable[[bytes], None],
        *,
        status: int | None = None,
        until: float | None = None,
    ) -> int:
        """Run command `number`, hand over what it prints as it comes, and give its exit status.

        The status is 128 + N for signal N. What it has started in the background goes on until
        the end, unheard; what still runs of a command that was not waited for is ended first.
        `status` is its GENOCI_STATUS. At `until` (time.monotonic) all of them are ended, and
        BuildError is raised. Raises FileNotFoundError if there is no such program.
        """
        read, write = os.pipe()
        with FileIO(read) as output, FileIO(write, "w") as theirs, contextlib.ExitStack() as stack:
            reply = stack.enter_context(self._asked(Start(number, status), write))
            theirs.close()
            while self._may_be_read(output, until):
                data = output.read(_CHUNK)
                if not data:
                    break
                on_output(data)
            return _answer(reply).status

    @contextlib.contextmanager
    def showing(self, root: Path) -> Iterator[None]:
        """Until the block ends, the path `root` shows it with what hooks have mounted in it."""
        with self._asked(Show()) as reply:
            tree = _answer_with_descriptor(reply)
        path = os.fsencode(root)
        try:
            linux.move_mount(tree, b"", linux.AT_FDCWD, path, linux.MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)
        try:
            yield
        finally:
            linux.umount(path, _NOT_FOLLOWED)

    def end(self) -> None:
        """Their PID 1 ends when it sees its socket closed, and all the others with it."""
        self._channel.close()
        if self._pid:
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _asked(self, request: Request, *descriptors: int) -> socket.socket:
        """Where the answer to a request will come."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                told = msgspec.json.encode(request)
                socket.send_fds(self._channel, [told], [theirs.fileno(), *descriptors])
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise _killed() from error
                raise
        return ours

    def _may_be_read(self, output: FileIO, until: float | None) -> bool:
        if until is None or select.select([output], [], [], max(0, until - time.monotonic()))[0]:
            return True
        self.end()
        raise BuildError("it took too long, and was ended")


def _answer(reply: socket.socket) -> Ended:
    return _understood(reply.recv(_LARGEST))


def _answer_with_descriptor(reply: socket.socket) -> int:
    told, found = hookserver.received(reply, _LARGEST)
    _understood(told)
    return found[0]


def _understood(told: bytes) -> Ended:
    for message in heard(told):
        if isinstance(message, Refused):
            raise _translated(message)
        return message
    raise _killed()


def _killed() -> BuildError:
    return BuildError(
        "the first process of the hooks was killed",
        mend="If the machine ran out of memory, its kernel log says so; then build again.",
    )


def _translated(refused: Refused) -> Exception:
    reason = os.strerror(refused.error)
    if refused.doing == "exec":
        return OSError(refused.error, reason)  # a FileNotFoundError for ENOENT
    if refused.doing == "cwd":
        return BuildError(f"the YAML file's directory can't be entered: {reason}")
    if refused.doing == "show the root":
        return BuildError(
            f"what hooks have mounted in the root can't be shown: {reason}",
            mend="A hook may unmount what it has mounted, but not the root itself.",
        )
    if refused.doing == "bug":
        return RuntimeError(f"in the first process of the hooks: {refused.detail}")
    return MachineError(
        f"hooks can't be run on this machine: {refused.doing}: {refused.detail}",
        mend="In a container, start that with its /proc unmasked: --security-opt unmask=ALL "
        "(podman), --security-opt systempaths=unconfined (docker)."
        if refused.doing == "mount proc"
        else "",
    )
