"""A target in which something runs: in a root filesystem, in a user namespace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from genoci.build import fork, steps
from genoci.build.copy import members_of_copy
from genoci.build.events import Output
from genoci.build.fork import Send
from genoci.build.freeze import freeze, layer_of
from genoci.build.hooks import Hooks
from genoci.build.images import Images
from genoci.build.job import Job
from genoci.build.run import command_of, run_step
from genoci.build.state import serve
from genoci.build.steps import Warn
from genoci.errors import GenociError, Interrupted
from genoci.layer.compress import open_reader
from genoci.layer.extract import expand
from genoci.layer.tree import LiveTree
from genoci.layer.write import Written
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.sandbox import seccomp, userns
from genoci.snapshot.driver import Active
from genoci.snapshot.probe import pick
from genoci.snapshot.unpack import ensure
from genoci.spec.pinned import Pinned
from genoci.spec.target import Copy, Expand, Install, Run


def enter(
    writable: tuple[Path, ...],
    warn: Warn,
    *,
    before_closing: Callable[[tuple[Path, ...]], None] = lambda writable: None,
) -> userns.IdMap:
    """Become root of a namespace in which only `writable` can be written.

    From here on the process ends with its parent, as it did before its credentials changed.
    `before_closing` is called when all else is still as it is on the host.
    """
    parent = os.getppid()
    seccomp.default_filter()  # its library is the host's
    idmap = userns.plan()
    userns.enter(idmap, warn=warn)
    fork.end_with(parent)
    before_closing(writable)
    userns.private_view(writable)
    return idmap


def build_in_a_root(
    job: Job, layout: Layout, base: Image, send: Send
) -> tuple[Written | None, tuple[Pinned, ...]]:
    """The layer of what the steps changed, None if that is nothing; and what was installed."""
    state = Path(job.state)
    warn = steps.warner(job.target.name, send)
    of_the_machine = steps.warner("", send)
    with Hooks(job, send) as hooks:
        writable = (layout.path, state, *job.driver.places)
        idmap = enter(writable, of_the_machine, before_closing=hooks.begin)
        snapshots = pick(job.driver, state, idmap.key, warn=of_the_machine)
        snapshots.sweep(failed=not job.failed_before)
        serve(state, layout.path, job.driver)
        with Images(layout, state) as images:
            chain = ensure(base, snapshots, layout, warn=warn)
            with snapshots.prepare(chain) as active:
                try:
                    with hooks.around(active.root):
                        installed = _taken(_Site(job, base, active, images, hooks, send))
                    return _frozen(job, layout, base, active, images, warn), installed
                except Interrupted:
                    raise
                except GenociError:
                    active.keep("failed")
                    raise


class _Site(NamedTuple):
    """What the steps of a job work on and with."""

    job: Job
    base: Image
    active: Active
    images: Images
    hooks: Hooks
    send: Send


def _taken(site: _Site) -> tuple[Pinned, ...]:
    """All steps, one after the other; what they have installed by name."""
    job = site.job
    warn = steps.warner(job.target.name, site.send)
    installed: list[Pinned] = []
    for step in job.target.steps:
        site.send(steps.begun(job, step))
        with steps.placed(job, step):
            match step:
                case Expand():
                    _expand(step, site, warn)
                case Copy():
                    _copy(step, site, warn)
                case Install():
                    installed += _install(step, site, tuple(installed), warn)
                case Run():
                    _run(step, site, warn)
    return tuple(installed)


def _expand(step: Expand, site: _Site, warn: Warn) -> None:
    for source in step.sources:
        with (
            _descriptor(site.active.root) as root_fd,
            steps.tarball(step, source, site.job.target.name, site.send) as raw,
            open_reader(raw, name=source) as stream,
        ):
            expand(
                steps.members_of(stream, source),
                root_fd,
                dest=os.fsencode(step.dest),
                strip=step.strip,
                warn=warn,
            )


def _copy(step: Copy, site: _Site, warn: Warn) -> None:
    where = steps.place(site.job, step)
    root = site.active.root
    with LiveTree(root) as tree, _descriptor(root) as root_fd:
        members = members_of_copy(step, tree, site.images, site.job, where=where, warn=warn)
        expand(members, root_fd, dest=b"", strip=0, warn=warn)


def _install(
    step: Install, site: _Site, before: tuple[Pinned, ...], warn: Warn
) -> tuple[Pinned, ...]:
    from genoci.build.install.step import Ground, install_in_a_root

    ground = Ground(site.active.root, site.base, site.hooks.showing, site.send, warn)
    return install_in_a_root(step, site.job, ground, before)


def _run(step: Run, site: _Site, warn: Warn) -> None:
    job, root = site.job, site.active.root
    with LiveTree(root) as tree:
        command = command_of(
            step,
            root,
            tree,
            env=site.base.configure(env=job.target.config.env).env,
            workdir=site.base.workdir,
            where=steps.place(job, step),
        )
    with site.hooks.showing(root):
        run_step(
            step,
            command,
            where=steps.place(job, step),
            on_output=lambda text: site.send(Output(target=job.target.name, text=text)),
            warn=warn,
        )


def _frozen(
    job: Job, layout: Layout, base: Image, active: Active, images: Images, warn: Warn
) -> Written | None:
    """The layer, stored; and the root as the snapshot that the next target stands on."""
    layered = layer_of(
        active, layout, images, epoch=job.epoch, compression=job.compression, warn=warn
    )
    if layered is None:
        return None
    freeze(active, layered, base)
    return layered.written


@contextmanager
def _descriptor(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
