"""An image's layers as snapshots: each extracted once, and only if it is what it should be."""

from __future__ import annotations

import os
from collections.abc import Callable

from genoci.layer import tar
from genoci.layer.extract import Devices, Owners, extract_layer
from genoci.layer.stored import Blobs, open_layer
from genoci.oci.digest import Digest, chain_ids
from genoci.oci.image import Image, Layer
from genoci.snapshot.driver import Active, Snapshotter


def ensure(
    image: Image, snapshots: Snapshotter, blobs: Blobs, *, warn: Callable[[str], None]
) -> Digest | None:
    """Make all of the image's layers snapshots; the chain ID of the topmost, None of none.

    Success means that the snapshots exist, not that this call made them: other processes may do
    the same at the same time. Raises Damaged for bytes that are not what their digests say,
    ArchiveError for a layer that can't be applied; the layers below it are snapshots then.
    """
    chain = chain_ids(image.diff_ids)
    # The topmost that exists has all below it: to look at them one by one reads the chain anew
    # for each.
    tops = range(len(chain), 0, -1)
    whole = next((number for number in tops if snapshots.exists(chain[number - 1])), 0)
    for number, top in enumerate(chain[whole:], whole):
        with snapshots.making(top):
            if not snapshots.exists(top):
                with snapshots.prepare(chain[number - 1] if number else None) as active:
                    _extract(image.layers[number], active, blobs, warn)
                    active.commit(top)
    return chain[-1] if chain else None


def _extract(layer: Layer, active: Active, blobs: Blobs, warn: Callable[[str], None]) -> None:
    root = os.open(active.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open_layer(blobs, layer) as stream:
            extract_layer(
                tar.read(stream, name=str(layer.descriptor.digest), verified=True),
                root,
                owners=Owners.KEEP,
                devices=Devices.PLACEHOLDER,
                warn=warn,
            )
    finally:
        os.close(root)
