"""The tar of a stored layer, of which by its end nothing is left to doubt: blob and diff ID."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol, cast

from genoci.errors import ArchiveError, Damaged
from genoci.layer.behind import Behind
from genoci.layer.compress import open_reader
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.image import Layer

_PIECE = 2 << 20  # no reader's pieces are larger
_BEHIND = 4  # pieces that are not hashed yet


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
    with blobs.open(layer.descriptor) as blob:
        try:
            with open_reader(blob, name=name) as stream, Behind(_BEHIND) as behind:
                hashed = _Hashed(stream, behind)
                yield cast(BinaryIO, hashed)
                unpacked = hashed.digest()
        except ArchiveError:
            _read_to_end(blob)
            raise
        _read_to_end(blob)
    if unpacked != layer.diff_id:
        raise Damaged(
            f"unpacks to {unpacked}, and the image's config says {layer.diff_id}",
            where=f"layer {name}",
            mend="The image was put together wrongly; get it anew.",
        )


class _Hashed(io.BufferedIOBase):
    """Passes a stream on, and knows the digest of all of it. It only runs on."""

    def __init__(self, stream: BinaryIO, behind: Behind) -> None:
        self._next = getattr(stream, "read1", stream.read)
        self._behind = behind
        self._hash = hashlib.sha256()
        self._piece = b""
        self._at = 0

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        if self._at >= len(self._piece):
            self._piece, self._at = self._next(_PIECE), 0
            self._behind.do(functools.partial(self._hash.update, self._piece))
        piece, at = self._piece, self._at
        self._at = end = len(piece) if size < 0 else min(at + size, len(piece))
        return piece[at:end]

    def digest(self) -> Digest:
        """Reads what is left."""
        while self.read1():
            pass
        self._behind.wait()
        return Digest("sha256", self._hash.hexdigest())


def _read_to_end(stream: BinaryIO) -> None:
    while stream.read(_PIECE):
        pass
