"""What changed in a root becomes a layer, and the root the snapshot of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from genoci.build.images import Images
from genoci.build.steps import Warn
from genoci.layer.compression import Compression
from genoci.layer.diff import Changes, changes, settle
from genoci.layer.tree import EMPTY_TREE, LiveTree, Tree
from genoci.layer.write import Written, write_layer
from genoci.oci.digest import chain_id
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.snapshot.driver import Active


class Compared(NamedTuple):
    """The trees of a root, before and now, and what differs; open until its block ends."""

    before: Tree
    after: Tree
    found: Changes


class Layered(NamedTuple):
    """A layer that is stored, and the changes that it was made from."""

    written: Written
    found: Changes


@contextmanager
def compared(active: Active, *, epoch: int | None, warn: Warn) -> Iterator[Compared]:
    """What has changed in the root since it was its parent."""
    with ExitStack() as trees:
        before: Tree = EMPTY_TREE
        if active.parent is not None:
            before = trees.enter_context(LiveTree(active.parent))
        after = trees.enter_context(LiveTree(active.root))
        found = changes(before, after, active.candidates(), epoch=epoch, warn=warn)
        yield Compared(before, after, found)


def layer_of(
    active: Active,
    layout: Layout,
    images: Images,
    *,
    epoch: int | None,
    compression: Compression,
    warn: Warn,
) -> Layered | None:
    """Store the layer of what has changed; None if nothing has. The root is as it was."""
    with compared(active, epoch=epoch, warn=warn) as trees:
        written = write_layer(layout, trees.found, compression=compression)
    if written is None:
        return None
    images.remember(written)
    return Layered(written, trees.found)


def freeze(active: Active, layered: Layered, base: Image) -> None:
    """Make the root, which stood on `base`, equal to its layer, and the snapshot of that."""
    settle(active.root, layered.found)
    active.commit(chain_id(base.chain_id, layered.written.layer.diff_id))
