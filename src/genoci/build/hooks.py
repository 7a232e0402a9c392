"""`pre` and `post`: commands on the host, around the steps of a target."""

from __future__ import annotations

import errno
import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from genoci.build import steps, words
from genoci.build.events import Output, Stepped
from genoci.build.fork import Send
from genoci.build.job import Job
from genoci.build.run import Listener, how_it_ended
from genoci.errors import BuildError, GenociError, Interrupted, StepFailed, UsageError
from genoci.spec.target import Hook, Target

if TYPE_CHECKING:  # few targets have hooks
    from genoci.sandbox.hooks import HostSide
    from genoci.sandbox.hookserver import HostCommand

_LAST_SECONDS = 8.0  # for `post` after an interrupt: a little less than the worker is given
_INTERRUPTED = 130


def refuse_hooks(targets: Sequence[Target]) -> None:
    """Raise UsageError if there is a hook in one of the targets."""
    hooks = [hook for target in targets for hook in (*target.pre, *target.post)]
    if not hooks:
        return
    first = min(hooks, key=lambda hook: (hook.place.line, hook.place.column))
    more = f", and {len(hooks) - 1} more" if len(hooks) > 1 else ""
    raise UsageError(
        f"a hook would act on this machine with your rights, and --no-hooks forbids it{more}",
        where=str(first.place),
        mend="Read what the keys pre and post do, and leave the option out; or take them out.",
    )


class Hooks:
    """The hooks of a job's target. A context manager: its end leaves nothing of them."""

    def __init__(self, job: Job, send: Send) -> None:
        self._job = job
        self._send = send
        self._hooks = [("pre", hook) for hook in job.target.pre]
        self._hooks += [("post", hook) for hook in job.target.post]
        self._stack = ExitStack()
        self._side: HostSide | None = None

    def __enter__(self) -> Hooks:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, below: Sequence[Path]) -> None:
        """To be called while the namespace still is as open as the host; no hook is run yet.

        `below` are the directories in which the root will be.
        """
        if not self._hooks:
            return
        for key, hook in self._hooks:
            self._refuse_strange_path(key, hook, below)
        from genoci.sandbox.hooks import host_side

        commands = [self._command(hook) for _, hook in self._hooks]
        self._side = self._stack.enter_context(host_side(commands, below))

    @contextmanager
    def around(self, root: Path) -> Iterator[None]:
        """Run `pre`, the block, and `post` whatever happened; then nothing of them is left.

        What goes wrong first is raised; what goes wrong in `post` after that is a warning.
        """
        if self._side is None:
            yield
            return
        with self._stack:
            self._side.attach(root)
            try:
                self._pre(self._side)
                yield
            except Exception as error:
                self._post_after(error, self._side)
                raise
            self._post(self._side, self._shown)

    def showing(self, root: Path) -> AbstractContextManager[None]:
        """Until the block ends, the path `root` shows it with what the hooks have mounted there."""
        return self._side.showing(root) if self._side is not None else nullcontext()

    def _pre(self, side: HostSide) -> None:
        for number, (key, _) in enumerate(self._hooks):
            if key == "pre":
                self._run(number, side, self._shown)

    def _post(
        self,
        side: HostSide,
        on_output: Callable[[str], None],
        *,
        status: int = 0,
        until: float | None = None,
    ) -> None:
        """All of them, also after one that fails; raises what the first failure was."""
        failed: GenociError | None = None
        for number, (key, _) in enumerate(self._hooks):
            if key != "post":
                continue
            try:
                self._run(number, side, on_output, status=status, until=until)
            except Interrupted:
                raise
            except GenociError as error:
                failed = failed or error
                status = status or _status(error)
        if failed is not None:
            raise failed

    def _post_after(self, error: Exception, side: HostSide) -> None:
        """After an interrupt nobody listens any more, and there is not much time."""
        if isinstance(error, (Interrupted, BrokenPipeError)):
            until = time.monotonic() + _LAST_SECONDS
            with suppress(GenociError):  # there is nobody to tell it to
                self._post(side, lambda text: None, status=_INTERRUPTED, until=until)
            return
        try:
            self._post(side, self._shown, status=_status(error))
        except Interrupted:
            raise
        except GenociError as second:
            warn = steps.warner(self._job.target.name, self._send)
            warn(f"after the failure, this failed too: {second.where}: {second.what}")

    def _run(
        self,
        number: int,
        side: HostSide,
        on_output: Callable[[str], None],
        *,
        status: int | None = None,
        until: float | None = None,
    ) -> None:
        key, hook = self._hooks[number]
        text = words.hook_line(key, hook, self._job.folder)
        where = f"target {self._job.target.name}, {text}"
        listener = Listener(on_output)
        if until is None:
            self._send(Stepped(target=self._job.target.name, step=text))
        try:
            ended = side.run(number, listener.take, status=status, until=until)
        except BuildError as error:
            error.where = where
            raise
        except OSError as error:
            raise _not_executed(hook, error, where) from error
        tail = listener.lines()
        if ended:
            raise StepFailed(
                how_it_ended(ended),
                status=ended,
                tail=tail,
                where=where,
                mend="It ran on this machine, not in the container. To look around in the root "
                "that it left:  genoci shell --failed",
            )

    def _shown(self, text: str) -> None:
        self._send(Output(target=self._job.target.name, text=text))

    def _command(self, hook: Hook) -> HostCommand:
        from genoci.sandbox.hookserver import HostCommand

        cwd, env = Path(self._job.folder), {"GENOCI_TARGET": self._job.target.name}
        if hook.script is not None:
            return HostCommand(_script_argv(hook.script), cwd, env)
        return HostCommand(("/bin/sh", "-e"), cwd, env, text=hook.shell)

    def _refuse_strange_path(self, key: str, hook: Hook, below: Sequence[Path]) -> None:
        """What replaces %ROOT% must be one word to a shell, between quotes and without."""
        if hook.shell is None or "%ROOT%" not in hook.shell:
            return
        for folder in map(str, below):
            if shlex.quote(folder) != folder:
                text = words.hook_description(key, hook, self._job.folder)
                raise BuildError(
                    f"%ROOT% can't stand for a path in {folder!r}, which a shell takes apart",
                    where=f"target {self._job.target.name}, {words.first_line(text)}",
                    mend='Write "$GENOCI_ROOTFS" for it, or put the state elsewhere: --state.',
                )


def _status(error: Exception) -> int:
    return error.status if isinstance(error, StepFailed) else 1


def _script_argv(script: str) -> tuple[str, ...]:
    """As the kernel would execute it, but whether or not it has the mode of a program.

    Without a `#!` line it is for the shell, unless it is a program.
    """
    path = os.fsencode(script)
    with open(path, "rb") as stream:
        start = stream.readline(4096)
    if start.startswith(b"\x7fELF"):
        return (script,)
    if not start.startswith(b"#!"):
        return ("/bin/sh", "-e", script)
    # execve(2): the interpreter, and all that follows as one argument
    words = start[2:].strip(b" \t\r\n").split(None, 1)
    return (*(os.fsdecode(word) for word in words or (b"/bin/sh",)), script)


def _not_executed(hook: Hook, error: OSError, where: str) -> BuildError:
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    if hook.script is not None and missing:
        what = f"the interpreter in the #! line of {os.path.basename(hook.script)} is not there"
    else:
        what = f"the hook can't be executed: {error.strerror}"
    return BuildError(
        what,
        where=where,
        mend="A hook runs on this machine, with its programs: install what it needs here.",
    )
