"""A piece of work in a process of its own, which talks through a pipe and dies with its parent."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import msgspec

from genoci import linux
from genoci.build.events import (
    AnyEvent,
    Failed,
    Finished,
    Output,
    Progressed,
    Skipped,
    Started,
    Stepped,
    Warned,
)
from genoci.build.job import Answer, Built, NotOnPaper
from genoci.errors import (
    BuildError,
    GenociError,
    Interrupted,
    MachineError,
    StepFailed,
    StorageError,
)

Message = AnyEvent | Built | Answer | NotOnPaper
Send = Callable[[Message], None]

_KINDS: tuple[type[Message], ...] = (
    *(Started, Stepped, Progressed, Output, Warned, Finished, Failed, Skipped),
    *(Built, Answer, NotOnPaper),
)
_BY_NAME = {kind.__name__: msgspec.json.Decoder(kind) for kind in _KINDS}
_envelope = msgspec.json.Decoder(tuple[str, msgspec.Raw]).decode

_BUFFER = 4 << 20  # bytes: larger than any that a worker fills again and again
_TICK = 0.1  # seconds between two chances for a progress display to redraw
_GRACE = 10.0  # seconds that an ended worker has for taking down what it set up

_MEND = "If the machine ran out of memory, its kernel log says so; then build again."
_MENDS = {
    int(signal.SIGSYS): "A filter of system calls (seccomp) kills what it forbids: in a container, "
    "start that with another one."
}


class Worker:
    """A forked worker: `messages()` until it is done, or `stop()` it."""

    def __init__(self, pid: int, reading_end: int) -> None:
        self._pid = pid
        self._pipe = reading_end
        self._rest = b""

    def fileno(self) -> int:
        """What can be read as long as the worker has something to say."""
        return self._pipe

    def messages(self, on_tick: Callable[[], None]) -> Iterator[Message]:
        """Everything the worker sends, until it has ended; `on_tick` runs every tenth of a second.

        Raises BuildError when it was killed. Whoever leaves the loop early calls `stop`.
        """
        while True:
            if not ready([self]):
                on_tick()
                continue
            messages = self.receive()
            if messages is None:
                return
            yield from messages

    def receive(self) -> list[Message] | None:
        """What the worker has sent, waiting for something; None: it has ended, and well.

        Raises BuildError when it was killed.
        """
        data = os.read(self._pipe, 1 << 16)
        if data:
            *lines, self._rest = (self._rest + data).split(b"\n")
            return [decoded(line) for line in lines]
        status = self._reap()
        if status != 0:
            raise BuildError(
                f"the worker was killed by {_named(-status)}"
                if status < 0
                else f"the worker ended with status {status}",
                mend=_MENDS.get(-status, _MEND),
            )
        return None

    def begin_to_stop(self) -> None:
        """Tell the worker to end; `stop` waits for it. Several can so end at the same time."""
        if self._pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)

    def stop(self) -> None:
        """End the worker and everything it started, and wait until that is true. Idempotent."""
        if self._pid < 0:
            return
        self.begin_to_stop()
        ended = os.pidfd_open(self._pid)
        try:
            if not select.select([ended], [], [], _GRACE)[0]:
                os.kill(self._pid, signal.SIGKILL)
        finally:
            os.close(ended)
        self._reap()

    def _reap(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        self._pid = -1
        os.close(self._pipe)
        return os.waitstatus_to_exitcode(status)


def ready(workers: Sequence[Worker]) -> Sequence[Worker]:
    """Those that have something to say, or have ended; after a tenth of a second perhaps none."""
    return select.select(workers, [], [], _TICK)[0]


def start(work: Callable[[Send], None], *, target: str, terminal: bool = False) -> Worker:
    """Fork, and run `work` in the child; an error that it raises arrives as a `Failed` of `target`.

    Called while the process has no second thread. The child ignores the terminal's interrupt
    and leaves its session, so that it is ended by its parent alone and in order; with `terminal`
    it stays there, to talk to the user.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # the process may have been started without it
            stream.flush()
    reading, writing = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(reading)
        os.close(writing)
        raise _no_process(error) from error
    if pid == 0:
        _be_the_worker(work, writing, parent=parent, target=target, terminal=terminal)
    os.close(writing)
    return Worker(pid, reading)


@contextlib.contextmanager
def worker(
    work: Callable[[Send], None], *, target: str, terminal: bool = False
) -> Iterator[Worker]:
    """`start`, and `stop` whatever happens in the block."""
    started = start(work, target=target, terminal=terminal)
    try:
        yield started
    finally:
        started.stop()


def end_with(parent: int) -> None:
    """Be told to end when `parent` dies.

    To be called again after every change of credentials: the kernel then forgets it
    (prctl(2), PR_SET_PDEATHSIG).
    """
    linux.set_parent_death_signal(signal.SIGTERM)
    if os.getppid() != parent:
        raise Interrupted("the build was ended")


def _be_the_worker(
    work: Callable[[Send], None], pipe: int, *, parent: int, target: str, terminal: bool
) -> NoReturn:
    status = 70
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not terminal:
            os.setsid()
        end_with(parent)
        linux.keep_freed_memory(_BUFFER)

        def send(message: Message) -> None:
            _write(pipe, encoded(message) + b"\n")

        try:
            work(send)
        except BaseException as error:
            # A second signal must not cut the report short.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            send(failure(error, target))
        status = 0
    except (BrokenPipeError, Interrupted):
        status = 0  # nobody is listening any more
    finally:
        os._exit(status)


def encoded(message: Message) -> bytes:
    """A line of the pipe, without its end: the name of the message's kind, and what it says."""
    return msgspec.json.encode((type(message).__name__, message))


def decoded(line: bytes) -> Message:
    """What `encoded` gave. Raises msgspec.MsgspecError or KeyError for anything else."""
    name, document = _envelope(line)
    return _BY_NAME[name].decode(document)


def _interrupt(_signal: int, _frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted("the build was ended")


def failure(error: BaseException, target: str) -> Failed:
    if isinstance(error, GenociError):
        command = error if isinstance(error, StepFailed) else None
        return Failed(
            target=target,
            kind=type(error).__name__,
            what=error.what,
            where=error.where,
            mend=error.mend,
            exit_status=error.exit_status,
            status=command.status if command else 0,
            tail=command.tail if command else (),
        )
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return failure(_storage_error(error), target)
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return failure(_no_memory(), target)
    import traceback  # for bugs alone

    return Failed(
        target=target,
        kind=type(error).__name__,
        what=f"{type(error).__name__}: {error}",
        tail=tuple("".join(traceback.format_exception(error)).splitlines()),
    )


# What a disk may say at any moment, to whatever is being done.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE)


def _storage_error(error: OSError) -> StorageError:
    name = error.filename
    path = name if isinstance(name, str) else os.fsdecode(name) if name else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageError(
        "the disk is full" if full else f"the filesystem refuses: {error.strerror}",
        where=path,
        mend="Make room, or put the state or the layout elsewhere (--state, --layout); "
        "`genoci gc` and `genoci clean` free what is not needed."
        if full
        else "",
    )


def _no_process(error: OSError) -> MachineError:
    return MachineError(
        f"no further process can be started: {error.strerror}",
        mend="See how many you may have (ulimit -u), and how much memory is left.",
    )


def _no_memory() -> MachineError:
    return MachineError(
        "out of memory",
        mend="See how much of it is left, and how much a process may have (ulimit -v, cgroups).",
    )


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _named(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
