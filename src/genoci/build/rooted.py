"""A target in which something runs: in a root filesystem, in a user namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genoci.build import fork, steps
from genoci.build.copy import members_of_copy
from genoci.build.events import Output
from genoci.build.fork import Send
from genoci.build.freeze import freeze, layer_of
from genoci.build.images import Images
from genoci.build.job import Job
from genoci.build.run import command_of, run_step
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
from genoci.spec.target import Copy, Expand, Run, Step


def enter(writable: tuple[Path, ...], warn: Warn) -> userns.IdMap:
    """Become root of a namespace in which only `writable` can be written.

    From here on the process ends with its parent, as it did before its credentials changed.
    """
    parent = os.getppid()
    seccomp.default_filter()  # it looks for its library on the host, and writes while it does
    idmap = userns.plan()
    userns.enter(idmap, warn=warn)
    userns.private_view(writable)
    fork.end_with(parent)
    return idmap


def build_in_a_root(job: Job, layout: Layout, base: Image, send: Send) -> Written | None:
    """The layer of what the steps changed; None if that is nothing."""
    state = Path(job.state)
    warn = steps.warner(job.target.name, send)
    idmap = enter((layout.path, state, *job.driver.places), warn)
    snapshots = pick(job.driver, state, idmap.key, warn=warn)
    snapshots.sweep(failed=not job.failed_before)
    with Images(layout, state) as images:
        chain = ensure(base, snapshots, layout, warn=warn)
        with snapshots.prepare(chain) as active:
            try:
                for step in job.target.steps:
                    send(steps.begun(job, step))
                    with steps.placed(job, step):
                        _apply(step, job, base, active, images, send)
                return _frozen(job, layout, base, active, images, warn)
            except Interrupted:
                raise
            except GenociError:
                active.keep("failed")
                raise


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


def _apply(step: Step, job: Job, base: Image, active: Active, images: Images, send: Send) -> None:
    warn = steps.warner(job.target.name, send)
    match step:
        case Expand():
            for source in step.sources:
                with (
                    _descriptor(active.root) as root_fd,
                    steps.tarball(step, source, job.target.name, send) as raw,
                    open_reader(raw, name=source) as stream,
                ):
                    expand(
                        steps.members_of(stream, source),
                        root_fd,
                        dest=os.fsencode(step.dest),
                        strip=step.strip,
                        warn=warn,
                    )
        case Copy():
            where = steps.place(job, step)
            with LiveTree(active.root) as tree, _descriptor(active.root) as root_fd:
                members = members_of_copy(step, tree, images, job, where=where, warn=warn)
                expand(members, root_fd, dest=b"", strip=0, warn=warn)
        case Run():
            with LiveTree(active.root) as tree:
                command = command_of(
                    step,
                    active.root,
                    tree,
                    env=base.configure(env=job.target.config.env).env,
                    workdir=base.workdir,
                    where=steps.place(job, step),
                )
            run_step(
                step,
                command,
                where=steps.place(job, step),
                on_output=lambda text: send(Output(target=job.target.name, text=text)),
                warn=warn,
            )


@contextmanager
def _descriptor(root: Path) -> Iterator[int]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
