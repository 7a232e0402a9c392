"""A target in which nothing runs: resolved against listings; no namespace, no mount, no root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from genoci.build import steps
from genoci.build.copy import members_of_copy
from genoci.build.fork import Send
from genoci.build.images import Images
from genoci.build.job import Job
from genoci.build.straight import may_be_straight
from genoci.layer.compress import open_reader
from genoci.layer.diff import changes
from genoci.layer.draft import Content, Draft, Keep
from genoci.layer.entry import Entry
from genoci.layer.member import Placeable
from genoci.layer.spool import Spool
from genoci.layer.tree import Tree
from genoci.layer.write import Written, write_layer
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.snapshot.driver import Candidate
from genoci.spec.target import Copy, Expand, Install, Step


def build_on_paper(job: Job, layout: Layout, base: Image, send: Send) -> Written | None:
    """The layer of what the steps change; None if that is nothing."""
    with ExitStack() as stack:
        images = stack.enter_context(Images(layout, Path(job.state)))
        spool = stack.enter_context(Spool(Path(job.state)))
        before = images.tree(base)
        _refuse_what_needs_a_root(job, before)
        draft = Draft(before)
        for step in job.target.steps:
            if not may_be_straight(job):  # that was tried, and has told of its step
                send(steps.begun(job, step))
            with steps.placed(job, step):
                _apply(step, job, base, draft, images, spool, send)
        written = write_layer(
            layout,
            _members(job, before, draft, send),
            compression=job.compression,
        )
        if written is not None:
            images.remember(written)
        return written


def _members(
    job: Job, before: Tree, draft: Draft, send: Send
) -> Iterable[tuple[Entry, Iterable[bytes]]]:
    """What differs; but of a tarball onto nothing all, in the archive's own order."""
    if may_be_straight(job):
        return _clamped(draft.placed(), job.epoch)
    return changes(
        before,
        draft,
        (Candidate(path) for path in draft.touched()),
        epoch=job.epoch,
        warn=steps.warner(job.target.name, send),
    )


def _clamped(
    members: Iterable[tuple[Entry, Iterator[bytes]]], epoch: int | None
) -> Iterator[tuple[Entry, Iterable[bytes]]]:
    for entry, chunks in members:
        yield steps.clamped(entry, epoch), chunks


def _refuse_what_needs_a_root(job: Job, before: Tree) -> None:
    """Raise NeedsARoot now, if the base tells, and not when half of the work is done."""
    if any(isinstance(step, Install) for step in job.target.steps):
        from genoci.build.install.step import refuse_paper

        refuse_paper(before)


def _apply(
    step: Step,
    job: Job,
    base: Image,
    draft: Draft,
    images: Images,
    spool: Spool,
    send: Send,
) -> None:
    warn = steps.warner(job.target.name, send)
    if isinstance(step, Expand):
        for source in step.sources:
            with (
                steps.tarball(step, source, job.target.name, send) as raw,
                open_reader(raw, name=source) as stream,
            ):
                draft.place(
                    steps.members_of(stream, source),
                    _keeper(spool),
                    dest=os.fsencode(step.dest),
                    strip=step.strip,
                )
    elif isinstance(step, Copy):
        where = steps.place(job, step)
        members = members_of_copy(step, draft, images, job, where=where, warn=warn)
        draft.place(members, _as_it_lies)
    elif isinstance(step, Install):
        from genoci.build.install.step import install_on_paper

        draft.place(install_on_paper(step, job, base, draft, warn=warn), _keeper(spool))


def _keeper(spool: Spool) -> Keep:
    """Keeps the contents of a stream, which pass by only once."""

    def keep(member: Placeable) -> Content:
        extent = spool.put(member.runs(), member.entry.size)
        return lambda: spool.read(extent)

    return keep


def _as_it_lies(member: Placeable) -> Content:
    """A host's file, or one in a spool, can be read again."""
    return member.chunks
