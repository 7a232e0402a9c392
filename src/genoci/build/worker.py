"""One target, start to end: a Job becomes a Built."""

from __future__ import annotations

import os
from pathlib import Path

from genoci.build import fork, steps, words
from genoci.build.finish import finished
from genoci.build.fork import Send
from genoci.build.job import Built, Job, NotOnPaper
from genoci.build.paper import build_on_paper
from genoci.build.rooted import build_in_a_root
from genoci.build.straight import NotStraight, build_straight, may_be_straight
from genoci.layer.write import Written
from genoci.oci.digest import Digest
from genoci.oci.documents import Platform
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.sandbox.landlock import restrict_writes
from genoci.spec.pinned import Pinned
from genoci.spec.target import Install, Run, Target


def needs_a_root(target: Target) -> bool:
    """Whether something runs: only then there are namespaces, mounts and a root filesystem."""
    if target.pre or target.post:
        return True
    return any(
        isinstance(step, Run) or (isinstance(step, Install) and words.fetches(step))
        for step in target.steps
    )


def work(job: Job, send: Send) -> None:
    """Build the job's target and send the `Built`; everything is stored, nothing is tagged.

    Sends NotOnPaper instead if that is how the job was to be done, and can't be.
    """
    parent = os.getppid()
    layout = Layout.at(Path(job.layout))
    state = Path(job.state)
    base = _image(layout, job)
    if job.on_paper:
        if not restrict_writes((layout.path, state)):
            warn = steps.warner(job.target.name, send)
            warn("this kernel has no Landlock: archives are read without that confinement")
        fork.end_with(parent)
        try:
            written = _without_a_root(job, layout, base, send)
        except steps.NeedsARoot:
            send(NotOnPaper())
            return
        installed: tuple[Pinned, ...] = ()
    else:
        written, installed = build_in_a_root(job, layout, base, send)
    image = finished(
        job.target,
        base,
        written.layer if written else None,
        newest=written.newest if written else None,
        folder=job.folder,
        epoch=job.epoch,
    )
    manifest = layout.write_image(image)
    send(
        Built(
            media_type=manifest.media_type,
            digest=str(manifest.digest),
            size=manifest.size,
            layer=str(written.layer.diff_id) if written else None,
            newest=written.newest if written else None,
            installed=installed,
        )
    )


def _image(layout: Layout, job: Job) -> Image:
    if job.base is not None:
        return layout.image(Digest.parse(job.base))
    return Image.empty(Platform.host())


def _without_a_root(job: Job, layout: Layout, base: Image, send: Send) -> Written | None:
    if not job.target.steps:
        return None
    if may_be_straight(job):
        try:
            return build_straight(job, layout, send)
        except NotStraight:
            pass  # it takes the longer way, to the same layer
    return build_on_paper(job, layout, base, send)
