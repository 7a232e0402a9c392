"""Entries to a stored layer, in one pass: made, hashed, compressed and hashed again at once."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Protocol, cast

import msgspec

from genoci.errors import BuildError
from genoci.layer import tar
from genoci.layer.compress import blocks, compressed
from genoci.layer.compression import Compression
from genoci.layer.entry import Entry, Kind
from genoci.layer.listing import LayerListing, Placed
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.image import Layer

Member = tuple[Entry, Iterable[bytes]]

_AHEAD = 8  # blocks that one thread may be ahead of the other


class BlobStore(Protocol):
    def put(self, chunks: Iterable[bytes], media_type: str) -> Descriptor:
        """Store a blob; success means that it is there, not that this call stored it."""


class Written(msgspec.Struct, frozen=True):
    """A stored layer, what it holds, and the newest time in it, in nanoseconds."""

    layer: Layer
    listing: LayerListing

    @property
    def newest(self) -> int:
        return self.listing.newest


def write_layer(
    store: BlobStore, members: Iterable[Member], *, compression: Compression
) -> Written | None:
    """Store the layer that holds `members`, in their order; None if there are none.

    Reading and hashing the tar, compressing it, and hashing and storing the blob overlap in three
    threads, with a few megabytes between them. An error in any of them ends all and is raised.
    """
    recorder = _Recorder(members)
    if recorder.empty():
        return None
    with (
        _Stage(recorder.blocks()) as tar_blocks,
        _Stage(compressed(tar_blocks, compression)) as blob_blocks,
    ):
        descriptor = store.put(blob_blocks, compression.media_type)
    diff_id = Digest("sha256", recorder.hash.hexdigest())
    return Written(Layer(descriptor, diff_id), LayerListing(diff_id, tuple(recorder.placed)))


class _Recorder:
    """Turns members into the bytes of a tar, remembering what passed."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._members = iter(members)
        self._first = next(self._members, None)
        self.hash = hashlib.sha256()
        self.placed: list[Placed] = []

    def empty(self) -> bool:
        return self._first is None

    def blocks(self) -> Iterator[bytes]:
        """The tar, in blocks of a mebibyte, each hashed as it leaves."""
        for block in blocks(self._tar()):
            self.hash.update(block)
            yield block

    def _tar(self) -> Iterator[bytes]:
        member = self._first
        while member is not None:
            entry, chunks = member
            self.placed.append(Placed(entry, len(self.placed)))
            yield tar.write_header(entry)
            if entry.kind is Kind.FILE:
                yield from _exactly(entry, chunks)
                yield tar.padding(entry.size)
            member = next(self._members, None)
        yield tar.END


def _exactly(entry: Entry, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content, which must be as long as the header says it is."""
    left = entry.size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise BuildError(
            f"{entry.path.decode(errors='backslashreplace')} changed while it was read",
            mend="Build again when nothing writes to it.",
        )


class _Stage:
    """Runs an iterator in a thread of its own, a few blocks ahead of who takes them.

    Entering the block gives what the iterator gives, its exception included; leaving the block
    ends the thread, wherever it stands, and closes the iterator.
    """

    _END = None

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = cast(Generator[bytes], source)
        self._queue: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self._abandoned = threading.Event()
        self._ended = False  # the end was taken from the queue
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Iterator[bytes]:
        self._thread.start()
        return self._received()

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()
        while not self._ended:
            self._ended = self._queue.get() is self._END
        self._thread.join()

    def _run(self) -> None:
        try:
            with contextlib.closing(self._source):
                for block in self._source:
                    self._queue.put(block)
                    if self._abandoned.is_set():
                        return
        except BaseException as error:
            self._error = error
        finally:
            self._queue.put(self._END)

    def _received(self) -> Iterator[bytes]:
        while (block := self._queue.get()) is not self._END:
            yield block
        self._ended = True
        if self._error is not None:
            raise self._error
