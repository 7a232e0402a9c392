"""The tar of a stored layer, of which by its end nothing is left to doubt: blob and diff ID."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol, cast

from genoci.errors import ArchiveError, Damaged
from genoci.layer.decompress import Reader, open_reader
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.image import Layer

_PIECE = 2 << 20  # no reader's pieces are larger
_AHEAD = 12  # pieces: the next are unpacked while many small files are made


class Blobs(Protocol):
    def open(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """The blob, verified by the time that it was read to its end."""


@contextmanager
def open_layer(blobs: Blobs, layer: Layer) -> Iterator[BinaryIO]:
    """What the layer unpacks to, to be read onward.

    That the block ended without an exception says that the blob has its digest, and unpacks to the
    layer's diff ID. Raises Damaged; for bytes that are not the blob's also in place of an
    ArchiveError of the block.
    """
    name = str(layer.descriptor.digest)
    found = hashlib.sha256()
    with blobs.open(layer.descriptor) as blob:
        try:
            with (
                open_reader(blob, name=name) as stream,
                Reader(_hashed(stream, found), ahead=_AHEAD) as hashed,
            ):
                yield cast(BinaryIO, hashed)
                _read_to_end(hashed)
        except ArchiveError:
            _read_to_end(blob)
            raise
        _read_to_end(blob)
    unpacked = Digest("sha256", found.hexdigest())
    if unpacked != layer.diff_id:
        raise Damaged(
            f"unpacks to {unpacked}, and the image's config says {layer.diff_id}",
            where=f"layer {name}",
            mend="The image was put together wrongly; get it anew.",
        )


def _hashed(stream: BinaryIO, found: hashlib._Hash) -> Iterator[bytes]:
    """The stream in pieces, each of them hashed before it is given."""
    read = getattr(stream, "read1", stream.read)
    while piece := read(_PIECE):
        found.update(piece)
        yield piece


def _read_to_end(stream: BinaryIO | Reader) -> None:
    while stream.read(_PIECE):
        pass
