"""An image's layers as snapshots: each extracted once, and only if it is what it should be."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, cast

from genoci.errors import ArchiveError, Damaged
from genoci.layer import tar
from genoci.layer.compress import open_reader
from genoci.layer.extract import Devices, Owners, extract_layer
from genoci.oci.digest import Digest, chain_ids
from genoci.oci.documents import Descriptor
from genoci.oci.image import Image, Layer
from genoci.snapshot.driver import Active, Snapshotter

_CHUNK = 1 << 20


class Blobs(Protocol):
    def open(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """The blob, verified by the time that it was read to its end."""


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
    name = str(layer.descriptor.digest)
    root = os.open(active.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with blobs.open(layer.descriptor) as blob:
            try:
                unpacked = _apply(blob, name, root, warn)
            except ArchiveError:
                _read_to_end(blob)  # if the bytes are damaged, that is the better thing to say
                raise
            _read_to_end(blob)
    finally:
        os.close(root)
    if unpacked != layer.diff_id:
        raise Damaged(
            f"unpacks to {unpacked}, and the image's config says {layer.diff_id}",
            where=f"layer {name}",
            mend="The image was put together wrongly; get it anew.",
        )


def _apply(blob: BinaryIO, name: str, root: int, warn: Callable[[str], None]) -> Digest:
    """Extract the layer into the root; the digest of what it unpacks to."""
    with open_reader(blob, name=name) as stream:
        hashed = _Hashed(stream)
        extract_layer(
            tar.read(cast(BinaryIO, hashed), name=name, verified=True),
            root,
            owners=Owners.KEEP,
            devices=Devices.PLACEHOLDER,
            warn=warn,
        )
        while hashed.read1(_CHUNK):
            pass
    return hashed.digest()


class _Hashed(io.BufferedIOBase):
    """Passes a stream on, and knows the digest of what has passed. It only runs on."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        data: bytes = self._read(size)
        self._hash.update(data)
        return data

    def digest(self) -> Digest:
        return Digest("sha256", self._hash.hexdigest())


def _read_to_end(stream: BinaryIO) -> None:
    while stream.read(_CHUNK):
        pass
