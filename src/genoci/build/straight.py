"""One tarball onto `empty`: from tar to layer in one pass, in the archive's own order.

A pass can't look ahead. An archive that brings a name twice, goes through a link of its own or
leaves out a parent directory is told by NotStraight, and built on paper instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from genoci.build import steps
from genoci.build.fork import Send
from genoci.build.images import Images
from genoci.build.job import Job
from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.compress import open_reader
from genoci.layer.entry import Entry, Kind, split
from genoci.layer.member import refuse_whiteout
from genoci.layer.write import Written, write_layer
from genoci.oci.layout import Layout
from genoci.spec.target import Expand


class NotStraight(Exception):
    """The archive needs more than one pass; says why."""


def may_be_straight(job: Job) -> bool:
    """Whether the target is one tarball onto nothing, at the root."""
    if job.base is not None or len(job.target.steps) != 1:
        return False
    step = job.target.steps[0]
    return isinstance(step, Expand) and len(step.sources) == 1 and not step.dest and not step.strip


def build_straight(job: Job, layout: Layout, send: Send) -> Written | None:
    """The layer of the job's only step, stored; raises NotStraight as soon as that is known."""
    step = job.target.steps[0]
    assert isinstance(step, Expand)
    send(steps.begun(job, step))
    source = step.sources[0]
    with (
        steps.placed(job, step),
        steps.tarball(step, source, job.target.name, send) as raw,
        open_reader(raw, name=source) as stream,
    ):
        members = _straightened(steps.members_of(stream, source), job.epoch)
        written = write_layer(layout, members, compression=job.compression)
    if written is not None:
        Images(layout, Path(job.state)).remember(written)
    return written


def _straightened(
    members: Iterable[tar.Member], epoch: int | None
) -> Iterator[tuple[Entry, Iterable[bytes]]]:
    kinds: dict[bytes, Kind] = {b"": Kind.DIRECTORY}
    rooted = False
    for member in members:
        entry = member.entry
        parent, _ = split(entry.path)
        refuse_whiteout(entry)
        if entry.path in kinds and not (entry.path == b"" and not rooted):
            raise NotStraight(f"{_shown(entry)} comes twice")
        if kinds.get(parent) is not Kind.DIRECTORY:
            raise NotStraight(f"the parent directory of {_shown(entry)} is missing or is a link")
        if entry.path == b"":
            rooted = True
            if entry.kind is not Kind.DIRECTORY:
                raise ArchiveError("the archive's root is not a directory")
        if entry.kind is Kind.HARDLINK and kinds.get(entry.link) in (None, Kind.DIRECTORY):
            raise NotStraight(f"{_shown(entry)} is a link to what did not come before it")
        kinds[entry.path] = kinds[entry.link] if entry.kind is Kind.HARDLINK else entry.kind
        yield steps.clamped(entry, epoch), member.chunks()


def _shown(entry: Entry) -> str:
    return entry.path.decode(errors="backslashreplace")
