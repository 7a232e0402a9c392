"""Writing a layer in one pass: what is stored, and that an error at any stage ends all of them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from genoci.errors import ArchiveError, BuildError
from genoci.layer import compress
from genoci.layer.compress import open_reader
from genoci.layer.compression import Compression
from genoci.layer.entry import Entry, Kind
from genoci.layer.listing import read_listing
from genoci.layer.write import Member, write_layer
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.layout import Layout

GZIP = Compression("gzip")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create_or_open(tmp_path / "oci")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def file(path: bytes, *chunks: bytes, size: int | None = None, mtime: int = 5) -> Member:
    size = sum(map(len, chunks)) if size is None else size
    return Entry(path, Kind.FILE, 0o644, 0, 0, mtime, size=size), chunks


def directory(path: bytes) -> Member:
    return Entry(path, Kind.DIRECTORY, 0o755, 0, 0, 7), ()


def many() -> Iterator[Member]:
    """More than all queues hold."""
    block = bytes(range(256)) * 4096
    yield directory(b"d")
    for number in range(40):
        yield file(b"d/%d" % number, block, b"%d" % number)


@pytest.mark.parametrize("compression", ["gzip", "gzip:0", "zstd", "zstd:9", "none"])
def test_a_layer_is_stored_with_its_diff_id_and_listing(layout: Layout, compression: str) -> None:
    written = write_layer(layout, many(), compression=Compression.parse(compression))
    assert written is not None
    descriptor = written.layer.descriptor
    assert descriptor.media_type == Compression.parse(compression).media_type
    with layout.open(descriptor) as blob, open_reader(blob, name="blob") as stream:
        content = stream.read()
    assert Digest.of(content) == written.layer.diff_id == written.listing.diff_id
    assert read_listing(io.BytesIO(content), written.layer.diff_id, name="x") == written.listing
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getnames() == ["d", *(f"d/{number}" for number in range(40))]
        last = archive.extractfile("d/39")
        assert last is not None and last.read()[-2:] == b"39"


def test_the_newest_time_is_told(layout: Layout) -> None:
    members = [file(b"a", mtime=-5), file(b"b", mtime=9), file(b"c", mtime=3)]
    written = write_layer(layout, members, compression=GZIP)
    assert written is not None
    assert written.newest == 9


def test_no_members_are_no_layer(layout: Layout) -> None:
    assert write_layer(layout, iter(()), compression=GZIP) is None
    assert stored(layout) == []


def test_the_same_members_are_the_same_layer_however_they_are_cut(layout: Layout) -> None:
    content = bytes(range(256)) * 20_000
    cuts = [
        [content],
        [content[:1], b"", content[1:]],
        [content[n : n + 999] for n in range(0, len(content), 999)],
    ]
    found = [write_layer(layout, [file(b"f", *cut)], compression=GZIP) for cut in cuts]
    assert found[0] == found[1] == found[2]
    assert len(stored(layout)) == 1


@pytest.mark.parametrize("size", [0, 2, 4, 1 << 40])
def test_content_that_is_not_as_long_as_its_entry_says_is_an_error(
    layout: Layout, size: int
) -> None:
    members = [*many(), file(b"d/odd", b"ab", b"c", size=size)]
    with pytest.raises(BuildError, match="d/odd changed while it was read"):
        write_layer(layout, members, compression=GZIP)
    assert stored(layout) == []


class Failed(Exception):
    pass


@pytest.mark.parametrize("at", [0, 1, 20, 40])
def test_an_error_of_the_members_ends_all_and_stores_nothing(layout: Layout, at: int) -> None:
    def failing() -> Iterator[Member]:
        for number, member in enumerate(many()):
            if number == at:
                raise Failed
            yield member

    with pytest.raises(Failed):
        write_layer(layout, failing(), compression=GZIP)
    assert stored(layout) == []


def test_an_error_in_a_files_content_ends_all_and_stores_nothing(layout: Layout) -> None:
    def content() -> Iterator[bytes]:
        yield b"begin"
        raise Failed

    entry, _ = file(b"f", size=100)
    with pytest.raises(Failed):
        write_layer(layout, [*many(), (entry, content())], compression=GZIP)
    assert stored(layout) == []


class Full:
    """A store that takes `most` pieces."""

    def __init__(self, most: int) -> None:
        self.most = most

    def put(self, chunks: Iterable[bytes], media_type: str) -> Descriptor:
        for number, _ in enumerate(chunks):
            if number == self.most:
                break
        raise Failed


@pytest.mark.parametrize("most", [0, 1, 10])
def test_an_error_of_the_store_ends_the_reading(most: int) -> None:
    closed = []

    def members() -> Iterator[Member]:
        try:
            while True:
                yield from many()
        finally:
            closed.append(True)

    with pytest.raises(Failed):
        write_layer(Full(most), members(), compression=Compression("none"))
    assert closed == [True]


def test_the_digests_are_those_of_the_bytes(layout: Layout) -> None:
    written = write_layer(layout, many(), compression=Compression("none"))
    assert written is not None
    with layout.open(written.layer.descriptor) as blob:
        found = hashlib.file_digest(blob, "sha256").hexdigest()  # type: ignore[arg-type]
    assert written.layer.descriptor.digest.hex == written.layer.diff_id.hex == found


def test_metadata_that_no_tar_can_hold_end_all(layout: Layout) -> None:
    entry, _ = file(b"f")
    entry = msgspec.structs.replace(entry, xattrs=((b"user.a", bytes(2 << 20)),))
    with pytest.raises(ArchiveError):
        write_layer(layout, [*many(), (entry, ()), *many()], compression=GZIP)
    assert stored(layout) == []


def test_an_error_of_the_compressor_ends_all(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Compressor:
        def compress(self, data: bytes) -> bytes:
            raise Failed

    monkeypatch.setattr(compress, "_compressor", lambda compression: Compressor())
    with pytest.raises(Failed):
        write_layer(layout, many(), compression=GZIP)
    assert stored(layout) == []


def test_memory_does_not_grow_with_the_content(layout: Layout) -> None:
    megabyte = bytes(1 << 20)
    entry, _ = file(b"large", size=1 << 30)
    write_layer(layout, many(), compression=GZIP)  # what is imported late
    tracemalloc.start()
    try:
        write_layer(layout, [(entry, (megabyte for _ in range(1024)))], compression=GZIP)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 << 20


def stored(layout: Layout) -> list[str]:
    """The names of all that lies in the layout but its own three files."""
    blobs = layout.path / "blobs" / "sha256"
    assert not [path for path in layout.path.iterdir() if path.name.startswith(".genoci-")]
    return [path.name for path in blobs.iterdir()]
