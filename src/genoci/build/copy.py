"""The `copy` step: where its files come from, and whose they become."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from genoci.build.host_source import host_members
from genoci.build.image_source import image_members
from genoci.build.images import Images
from genoci.build.job import Job
from genoci.build.ownership import Ownership
from genoci.build.users import find_owner
from genoci.layer.member import Sourced
from genoci.layer.tree import Tree
from genoci.oci.digest import Digest
from genoci.spec.target import Copy


def members_of_copy(
    step: Copy, tree: Tree, images: Images, job: Job, *, where: str, warn: Callable[[str], None]
) -> Iterator[Sourced]:
    """What the step brings into `tree`, from the host or from another image."""
    uid, gid = find_owner(tree, step.owner, where=where) if step.owner else (0, 0)
    ownership = Ownership(uid, gid, step.mode)
    if step.image is None:
        return host_members(step, tree, ownership, where=where, warn=warn)
    origin = images.of_manifest(Digest.parse(job.images[step.image]))
    return image_members(step, origin, tree, ownership)
