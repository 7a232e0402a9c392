"""Content by digest: the folder `blobs/sha256` of a layout."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from genoci.errors import Damaged, LayoutError, NotFound, StorageError
from genoci.files import temporary
from genoci.oci.digest import Digest
from genoci.oci.documents import DOCUMENT_LIMIT, Descriptor

_MEND = (
    "`genoci fsck` tells what else is damaged. Build or copy the images that need it again: "
    "storing it anew replaces it."
)
_BUFFER = 256 << 10
_STRIDE = 8 << 20  # bytes after which the disk is told to begin with them


class Blobs:
    """The blobs of the layout at `layout`: plain files and nothing else."""

    def __init__(self, layout: Path) -> None:
        self._layout = layout
        self.folder = layout / "blobs" / "sha256"

    def path(self, digest: Digest) -> Path:
        return self.folder / digest.hex

    def has(self, digest: Digest) -> bool:
        """Whether there is a blob of that name; whether its bytes are right, reading tells."""
        return self.size(digest) is not None

    def size(self, digest: Digest) -> int | None:
        """Its bytes on disk; None: there is none."""
        try:
            status = os.lstat(self.path(digest))
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def require(self, descriptor: Descriptor) -> None:
        """Raise NotFound or Damaged unless a blob of that name and size is there."""
        size = self.size(descriptor.digest)
        if size is None:
            raise self._missing(descriptor.digest)
        if size != descriptor.size:
            raise self._damaged(descriptor.digest, f"has {size} bytes, not {descriptor.size}")

    @contextlib.contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[Blob]:
        """The blob's bytes; that the block ended without an exception says that they are right.

        Raises NotFound, or Damaged: at once for a wrong size or what is no plain file, else
        instead of giving the last byte. What was not read in the block is read at its end; who
        wants to be sure before that calls `verify`.
        """
        path = self.path(descriptor.digest)
        fd = self._open(descriptor.digest)
        try:
            size = os.fstat(fd).st_size
            if size != descriptor.size:
                raise self._damaged(descriptor.digest, f"has {size} bytes, not {descriptor.size}")
            with Blob(_Verified(fd, descriptor, path)) as blob:
                yield blob
                blob.verify()
        finally:
            os.close(fd)

    def read(self, descriptor: Descriptor) -> bytes:
        """A document's bytes, verified; raises LayoutError for more than DOCUMENT_LIMIT."""
        if descriptor.size > DOCUMENT_LIMIT:
            raise LayoutError(
                f"a document of {descriptor.size} bytes is too large to be one",
                where=str(self.path(descriptor.digest)),
            )
        with self.open(descriptor) as blob:
            return blob.read()

    def put(self, chunks: Iterable[bytes], media_type: str) -> Descriptor:
        """Store what `chunks` give and say what it is called; durable when this returns.

        Idempotent, and success means that the content is stored, not that this call stored it. A
        blob of the same name is read and compared: if it was damaged, this one replaces it. Raises
        StorageError for a full or refusing disk; then, and if `chunks` raises, nothing is left.
        """
        hasher = hashlib.sha256()
        size = begun = 0
        with contextlib.ExitStack() as stack:
            with storing(self._layout):
                # Not beside the other blobs: `umoci gc` refuses a folder that holds anything else.
                stream, keep = stack.enter_context(temporary(self._layout))
            for chunk in chunks:
                hasher.update(chunk)
                with storing(self._layout):
                    _write(stream.fileno(), chunk)
                size += len(chunk)
                if size - begun >= _STRIDE:
                    _begin_to_sync(stream.fileno(), begun, size - begun)
                    begun = size
            descriptor = Descriptor(media_type, Digest("sha256", hasher.hexdigest()), size)
            if not self._has_whole(descriptor):
                with storing(self.folder):
                    keep(self.path(descriptor.digest))
        return descriptor

    def digests(self) -> Iterator[Digest]:
        """The names of all blobs, in no order; files that are not called as blobs are left out."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(ValueError):
                    yield Digest("sha256", entry.name)

    def remove(self, digest: Digest) -> None:
        """Drop a blob; one that is gone already is no error."""
        with storing(self.folder), contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(digest))

    def _has_whole(self, descriptor: Descriptor) -> bool:
        try:
            with self.open(descriptor) as blob:
                blob.verify()
        except LayoutError:
            return False
        return True

    def _open(self, digest: Digest) -> int:
        """A descriptor of a plain file; never waits, as a FIFO would make an ordinary `open`."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self.path(digest), flags)
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise self._damaged(digest, "is not a plain file") from error
            raise LayoutError(
                f"the blob can't be read: {error.strerror}", where=str(self.path(digest))
            ) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._damaged(digest, "is not a plain file")
        return fd

    def _missing(self, digest: Digest) -> NotFound:
        return NotFound(
            f"the blob {digest} is missing",
            where=str(self._layout),
            mend="Build or copy the images that need it again; `genoci fsck` names them.",
        )

    def _damaged(self, digest: Digest, how: str) -> Damaged:
        return Damaged(f"the blob {how}", where=str(self.path(digest)), mend=_MEND)


class Blob(io.BufferedReader):
    """A blob being read; it can't be sought in, since only the whole of it has a digest."""

    def __init__(self, verified: _Verified) -> None:
        super().__init__(verified, _BUFFER)
        self._verified = verified

    def verify(self) -> None:
        """Read to the end, so that all that was read before is sure; raises Damaged."""
        self._verified.drain()


class _Verified(io.RawIOBase):
    """The first `descriptor.size` bytes of `fd`, the last of them given only if all are right."""

    def __init__(self, fd: int, descriptor: Descriptor, path: Path) -> None:
        self._fd = fd
        self._left = descriptor.size
        self._expected = descriptor.digest.hex
        self._hasher = hashlib.sha256()
        self._path = path
        if not self._left:
            self._check()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer)[: self._left]
        if not view:
            return 0
        try:
            count = os.readv(self._fd, [view])
        except OSError as error:
            raise Damaged(
                f"the blob can't be read: {error.strerror}", where=str(self._path), mend=_MEND
            ) from error
        self._hasher.update(view[:count])
        self._left -= count
        if not count or not self._left:
            self._check()
        return count

    def drain(self) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        while self.readinto(buffer):
            pass

    def _check(self) -> None:
        if self._left or self._hasher.hexdigest() != self._expected:
            raise Damaged(
                "the blob's bytes do not have the digest that is its name",
                where=str(self._path),
                mend=_MEND,
            )


def _write(fd: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(fd, left) :]


def _begin_to_sync(fd: int, offset: int, length: int) -> None:
    """Let the disk work while more is made, so that the sync at the end has little to wait for."""
    from genoci import linux  # not for documents, which are all that a cached build stores

    with contextlib.suppress(OSError):  # it is no promise: that is what the sync is for
        linux.start_write_back(fd, offset, length)


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Translates what a filesystem says when it does not want to store something."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "Make room there, or choose another folder: --layout DIR." if full else ""
        raise StorageError(
            f"it can't be stored: {error.strerror or error}",
            where=str(path),
            mend=mend or "Look at its owner and modes, or choose another folder: --layout DIR.",
        ) from error
