"""The `run` step: what a command of the container gets to see, and what its end means."""

from __future__ import annotations

import codecs
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from genoci.build.users import find_user
from genoci.errors import BuildError, StepFailed
from genoci.layer.resolve import resolve
from genoci.layer.tree import Tree
from genoci.sandbox import process
from genoci.spec.target import Run

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_TAIL = 20  # lines that a failure repeats
_LONGEST_ARGUMENT = 128 << 10  # bytes, with its end: execve(2), MAX_ARG_STRLEN
_SCRIPT = "/dev/genoci/script"  # in the container's own /dev, so that the image never holds it


class Tail:
    """The last lines of an output that may be endless."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_TAIL)
        self._rest = ""

    def feed(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[-4096:]
        self._lines.extend(line[-4096:] for line in lines)

    def lines(self) -> tuple[str, ...]:
        return (*self._lines, self._rest)[-_TAIL:] if self._rest else tuple(self._lines)


class Listener:
    """Takes a command's output as it comes, hands it on as text, and keeps its last lines."""

    def __init__(self, on_output: Callable[[str], None]) -> None:
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._tail = Tail()

    def take(self, data: bytes, *, last: bool = False) -> None:
        text = self._decoder.decode(data, last)
        self._tail.feed(text)
        if text:
            self._on_output(text)

    def lines(self) -> tuple[str, ...]:
        """The last lines, now that there are no more."""
        self.take(b"", last=True)
        return self._tail.lines()


def run_step(
    step: Run,
    command: process.Command,
    *,
    where: str,
    on_output: Callable[[str], None],
    warn: Callable[..., None],
) -> None:
    """Run the step's command; raises StepFailed for any status but 0."""
    listener = Listener(on_output)
    try:
        status = process.run(command, listener.take, warn=warn)
    except FileNotFoundError as error:
        raise _missing(step, command.argv[0], where) from error
    tail = listener.lines()
    if status != 0:
        raise StepFailed(
            how_it_ended(status),
            status=status,
            tail=tail,
            where=where,
            mend="To look around in what it left:  genoci shell --failed",
        )


def environment(env: Mapping[str, str], *, home: str, epoch: str | None) -> dict[str, str]:
    """The image's environment over our few defaults, and the host's proxies under it."""
    found = {"PATH": _PATH, "HOME": home}
    for name in PROXIES:
        for spelled in (name, name.upper()):
            if spelled in os.environ:
                found[spelled] = os.environ[spelled]
    if epoch is not None:
        found["SOURCE_DATE_EPOCH"] = epoch
    return found | dict(env)


def command_of(
    step: Run, root: Path, tree: Tree, *, env: Mapping[str, str], workdir: str, where: str
) -> process.Command:
    """What the step runs in `root`, whose content `tree` tells; `env` is the image's."""
    user = find_user(tree, step.user or "", where=where)
    _refuse_ambiguity(step, tree, where)
    text = (step.shell or "").encode()
    argv: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]
    if step.script is not None:
        argv = _script_argv(Path(step.script))
        files = ((_SCRIPT, Path(step.script).read_bytes()),)
    elif len(text) < _LONGEST_ARGUMENT:
        argv, files = ("/bin/sh", "-e", "-c", step.shell or ""), ()
    else:
        argv, files = ("/bin/sh", "-e", _SCRIPT), ((_SCRIPT, text),)
    return process.Command(
        argv=argv,
        root=root,
        env=environment(env, home=user.home, epoch=os.environ.get("SOURCE_DATE_EPOCH")),
        cwd=workdir or "/",
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        network=step.network,
        files=files,
    )


def _script_argv(script: Path) -> tuple[str, ...]:
    """A script with a `#!` line is executed, so that the kernel honours it; else read by sh."""
    with script.open("rb") as stream:
        starts = stream.read(4)
    if starts.startswith(b"#!") or starts == b"\x7fELF":
        return (_SCRIPT,)
    return ("/bin/sh", "-e", _SCRIPT)


def _refuse_ambiguity(step: Run, tree: Tree, where: str) -> None:
    if step.implicit is None or resolve(tree, os.fsencode(step.implicit)) is None:
        return
    raise BuildError(
        f"{step.implicit!r} is a file on the host and in the image: which one is meant?",
        where=where,
        mend=f"Write  run: {{script: {step.implicit}}}  for the host's, "
        f"or  run: {{shell: {step.implicit}}}  for the image's.",
    )


def _missing(step: Run, program: str, where: str) -> BuildError:
    if step.script is not None and program == _SCRIPT:
        return BuildError(
            f"the interpreter in the #! line of {Path(step.script).name} is not in the image",
            where=where,
            mend="Install it in an earlier step, or use a base that has it.",
        )
    return BuildError(
        f"the image has no {program}",
        where=where,
        mend="Give the image a shell (a static busybox is one), or use a base that has it.",
    )


def how_it_ended(status: int) -> str:
    if status > 128:
        return f"the command was killed by signal {status - 128}"
    return f"the command ended with exit status {status}"
