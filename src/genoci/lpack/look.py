"""`status`, `chroot` and `unshare`: what was changed in the checkout, and work in it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec

from genoci.build import difference, steps
from genoci.build.calling import OnEvent, call
from genoci.build.fork import Send
from genoci.build.freeze import compared
from genoci.build.shell import interact
from genoci.build.state import using
from genoci.build.steps import Warn
from genoci.errors import GenociError, UsageError
from genoci.lpack import record
from genoci.lpack.checkout import show
from genoci.lpack.opened import active_root, base_of, opened
from genoci.lpack.record import Checkout
from genoci.oci.layout import Layout
from genoci.sandbox import userns
from genoci.snapshot.root import Snapshots

TreeDiff = difference.TreeDiff

_ENDING = (signal.SIGINT, signal.SIGQUIT)


class Status(msgspec.Struct, frozen=True):
    """What is out, where, and what has changed since; `note` tells what became of its tag."""

    tag: str
    mounted: str
    visible: bool
    layout: str
    digest: str | None
    driver: str
    note: str
    changes: TreeDiff


def status(state: Path, on_event: OnEvent) -> Status | None:
    """None: nothing is checked out. The changes are found in the root, whoever made them."""
    state = state.absolute()
    out, visible = _out(state, on_event)
    if out is None:
        return None

    def work(send: Send) -> TreeDiff:
        warn = steps.warner("", send)
        with (
            opened(out, state, warn=warn) as (_, active),
            compared(active, epoch=None, warn=warn) as trees,
        ):
            return difference.difference_of(trees.found, trees.before, trees.after)

    with using(state):
        changes = call(work, TreeDiff, on_event)
    return Status(
        tag=out.tag,
        mounted=out.mounted,
        visible=visible,
        layout=out.layout,
        digest=out.manifest,
        driver=out.driver.name,
        note=_what_became_of(out),
        changes=changes,
    )


def chroot(state: Path, argv: tuple[str, ...], on_event: OnEvent) -> int:
    """A shell, or a command, in the checkout, confined as a build's `run`; its exit status."""
    state = state.absolute()
    out = _required(state, on_event)

    def work(send: Send) -> int:
        warn = steps.warner("", send)
        env, workdir = _config_of(out, warn)
        with opened(out, state, warn=warn) as (_, active):
            usage = "lpack chroot /path/to/program"
            return interact(active, argv, env, workdir, "", warn, usage=usage)

    with using(state):
        return call(work, int, on_event, terminal=True)


def unshare(
    state: Path, argv: tuple[str, ...], environment: Mapping[str, str], on_event: OnEvent
) -> int:
    """A command of the host where the checkout can be seen and written; its exit status.

    Root's own view is such a place. Others become root of a namespace in which the checkout is
    mounted. The command has the caller's rights, directory, environment and terminal.
    """
    state = state.absolute()
    out = _required(state, on_event)
    env = {**environment, "GENOCI_ROOTFS": out.mounted}
    argv = argv or (environment.get("SHELL") or "/bin/sh",)
    program = shutil.which(argv[0], path=environment.get("PATH", os.defpath))
    if program is None:
        raise UsageError(f"there is no command {argv[0]} on this machine")

    def work(send: Send) -> int:
        warn: Warn = steps.warner("", send)
        if os.geteuid() == 0 and show(out, state).for_everybody:
            return _run(program, argv, env)
        here = os.getcwd()
        userns.enter(userns.plan(), warn=warn)
        with active_root(out, Snapshots(out.store(state)), warn=warn):
            os.chdir(here)  # it may lie below what is mounted now
            return _run(program, argv, env)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:  # the terminal sends them to the command as well, and it decides
        with using(state):
            return call(work, int, on_event, terminal=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _out(state: Path, on_event: OnEvent) -> tuple[Checkout | None, bool]:
    """What is out, seen again if it has to be mounted for that; and whether everybody sees it."""
    if not state.exists():
        return None, False
    with record.alone(state):
        out = record.current(state)
        if out is None:
            return None, False
        shown = show(out, state)
        if not shown.for_everybody and os.geteuid() == 0:
            _restore(out, state, on_event)
            shown = show(out, state)
        return out, shown.for_everybody


def _required(state: Path, on_event: OnEvent) -> Checkout:
    out, _ = _out(state, on_event)
    return out if out is not None else record.required(state)


def _restore(out: Checkout, state: Path, on_event: OnEvent) -> None:
    """After a restart what the root stands on may have to be made again, by a worker."""
    if out.store(state).kept_path(record.NAME) is not None:
        return

    def work(send: Send) -> None:
        with opened(out, state, warn=steps.warner("", send)):
            pass

    call(work, type(None), on_event)


def _config_of(out: Checkout, warn: Warn) -> tuple[dict[str, str], str]:
    """The image's environment and working directory; those of none where the layout is gone."""
    try:
        base = base_of(out)
    except GenociError as error:
        warn(f"the image's environment is not known: {error.what}")
        return {}, "/"
    return base.env, base.workdir


def _what_became_of(out: Checkout) -> str:
    """Of the tag, since it was checked out."""
    if out.base is None:
        return ""
    try:
        now = Layout.at(Path(out.layout)).resolve_descriptor(out.tag)
    except GenociError as error:
        return f"the tag {out.tag} is not there any more: {error.what}"
    if now.digest != out.base:
        return f"the tag {out.tag} has moved since; a check-in stands on what was checked out"
    return ""


def _run(program: str, argv: tuple[str, ...], env: Mapping[str, str]) -> int:
    """The command as a child that dies in order if this process is told to; its status."""
    defaults = [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE]
    pid = os.posix_spawn(program, argv, env, setsigdef=defaults)
    try:
        _, told = os.waitpid(pid, 0)
    except BaseException:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        raise
    status = os.waitstatus_to_exitcode(told)
    return status if status >= 0 else 128 - status
