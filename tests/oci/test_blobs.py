"""The store of blobs: whole or not there, and never believed unread."""

from __future__ import annotations

import errno
import io
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci import linux
from genoci.errors import Damaged, LayoutError, NotFound, StorageError
from genoci.oci import blobs
from genoci.oci.digest import Digest
from genoci.oci.documents import DOCUMENT_LIMIT, Descriptor
from genoci.oci.layout import Layout

HELLO = Descriptor("text/plain", Digest.of(b"hello"), 5)


def left_behind(layout: Layout) -> list[str]:
    return [path.name for path in layout.path.rglob(".genoci-*")]


def test_a_blob_is_stored_under_its_digest_and_comes_back(layout: Layout) -> None:
    assert layout.put([b"hel", b"", b"lo"], "text/plain") == HELLO
    assert layout.has(HELLO.digest)
    with layout.open(HELLO) as blob:
        assert blob.read() == b"hello"
    assert layout.blobs.path(HELLO.digest).read_bytes() == b"hello"
    assert not left_behind(layout)


def test_storing_twice_stores_once(layout: Layout) -> None:
    layout.put([b"hello"], "text/plain")
    before = layout.blobs.path(HELLO.digest).stat().st_ino
    assert layout.put([b"hello"], "text/plain") == HELLO
    assert layout.blobs.path(HELLO.digest).stat().st_ino == before


def test_the_disk_begins_with_a_large_blob_before_its_end(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []

    def written_so_far(fd: int, offset: int, length: int) -> None:
        assert os.fstat(fd).st_size == offset + length
        begun.append((offset, length))

    monkeypatch.setattr(linux, "start_write_back", written_so_far)
    stride = blobs._STRIDE
    layout.put([bytes(stride // 2 + 1)] * 5, "text/plain")
    assert begun == [(0, stride + 2), (stride + 2, stride + 2)]
    layout.put([b"hello"], "text/plain")
    assert len(begun) == 2


def test_a_filesystem_that_can_not_begin_early_stores_as_well(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(linux, "start_write_back", refuse)
    large = layout.put([bytes(blobs._STRIDE)], "text/plain")
    with layout.open(large) as blob:
        blob.verify()


def test_the_empty_blob_is_one_too(layout: Layout) -> None:
    empty = layout.put([], "text/plain")
    with layout.open(empty) as blob:
        assert blob.read() == b""


@pytest.mark.parametrize("damaged", [b"hellO", b"hell", b"", b"hello!"])
def test_storing_again_heals_a_damaged_blob(layout: Layout, damaged: bytes) -> None:
    layout.put([b"hello"], "text/plain")
    layout.blobs.path(HELLO.digest).write_bytes(damaged)
    layout.put([b"hello"], "text/plain")
    with layout.open(HELLO) as blob:
        assert blob.read() == b"hello"


def test_storing_replaces_a_link_and_a_fifo_of_that_name(layout: Layout, tmp_path: Path) -> None:
    path = layout.blobs.path(HELLO.digest)
    (tmp_path / "target").write_bytes(b"hello")
    path.symlink_to(tmp_path / "target")
    layout.put([b"hello"], "text/plain")
    assert not path.is_symlink() and path.read_bytes() == b"hello"
    path.unlink()
    os.mkfifo(path)
    layout.put([b"hello"], "text/plain")
    assert path.is_file()
    assert (tmp_path / "target").read_bytes() == b"hello"


def test_a_folder_of_that_name_is_an_error_that_leaves_nothing(layout: Layout) -> None:
    layout.blobs.path(HELLO.digest).mkdir()
    with pytest.raises(StorageError):
        layout.put([b"hello"], "text/plain")
    assert not left_behind(layout)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_the_last_byte_of_a_damaged_blob_is_never_given(layout: Layout, step: int) -> None:
    layout.put([b"hello"], "text/plain")
    layout.blobs.path(HELLO.digest).write_bytes(b"jello")
    given = b""
    with pytest.raises(Damaged) as error, layout.open(HELLO) as blob:
        while chunk := blob.read1(step):
            given += chunk
    assert len(given) < 5
    assert error.value.where.endswith(HELLO.digest.hex) and "fsck" in error.value.mend


def test_a_block_that_reads_only_a_part_ends_with_damaged_as_well(layout: Layout) -> None:
    content = b"a" * 1_000_000
    big = layout.put([content], "text/plain")
    with layout.open(big) as blob:
        assert blob.read(3) == b"aaa"
    layout.blobs.path(big.digest).write_bytes(content[:-1] + b"b")
    with pytest.raises(Damaged), layout.open(big) as blob:
        assert blob.read(3) == b"aaa"


def test_who_reads_a_part_can_be_sure_before_using_it(layout: Layout) -> None:
    big = layout.put([b"a" * 1_000_000], "text/plain")
    layout.blobs.path(big.digest).write_bytes(b"a" * 999_999 + b"b")
    with pytest.raises(Damaged), layout.open(big) as blob:
        blob.read(3)
        blob.verify()
        pytest.fail("verified a damaged blob")


def test_a_block_that_fails_keeps_its_own_exception(layout: Layout) -> None:
    layout.put([b"hello"], "text/plain")
    layout.blobs.path(HELLO.digest).write_bytes(b"jello")
    with pytest.raises(KeyError), layout.open(HELLO):
        raise KeyError


def test_a_reader_that_closes_the_blob_does_not_escape(layout: Layout) -> None:
    layout.put([b"hello"], "text/plain")
    layout.blobs.path(HELLO.digest).write_bytes(b"jello")
    with pytest.raises(Damaged), layout.open(HELLO) as blob:
        blob.close()


def test_a_blob_can_not_be_sought_in(layout: Layout) -> None:
    layout.put([b"hello"], "text/plain")
    with layout.open(HELLO) as blob, pytest.raises(io.UnsupportedOperation):
        blob.seek(1)


@pytest.mark.parametrize("content", [b"hell", b"hello!", b""])
def test_a_blob_of_another_size_is_refused_at_once(layout: Layout, content: bytes) -> None:
    layout.blobs.path(HELLO.digest).write_bytes(content)
    with pytest.raises(Damaged), layout.open(HELLO):
        pytest.fail("opened")


def test_a_blob_that_grows_while_it_is_read_gives_what_it_promised(layout: Layout) -> None:
    layout.put([b"hello"], "text/plain")
    with layout.open(HELLO) as blob:
        with layout.blobs.path(HELLO.digest).open("ab") as stream:
            stream.write(b"more")
        assert blob.read() == b"hello"


def test_a_blob_that_shrinks_while_it_is_read_is_damaged(layout: Layout) -> None:
    layout.put([b"hello"], "text/plain")
    with pytest.raises(Damaged), layout.open(HELLO) as blob:
        os.truncate(layout.blobs.path(HELLO.digest), 2)
        blob.read()


def test_a_missing_blob_is_not_found(layout: Layout) -> None:
    assert not layout.has(HELLO.digest)
    with pytest.raises(NotFound, match=HELLO.digest.hex), layout.open(HELLO):
        pytest.fail("opened")


def test_what_is_no_plain_file_is_no_blob_and_stops_nobody(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello")
    path = layout.blobs.path(HELLO.digest)
    for make, unmake in (
        (lambda: path.symlink_to(tmp_path / "hello"), path.unlink),
        (path.mkdir, path.rmdir),
        (lambda: os.mkfifo(path), path.unlink),
    ):
        make()
        assert not layout.has(HELLO.digest)
        with pytest.raises(Damaged), layout.open(HELLO):
            pytest.fail("opened")
        unmake()


def test_what_the_source_raises_passes_and_leaves_nothing(layout: Layout) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise OSError("of the source, not of the store")

    with pytest.raises(OSError, match="of the source"):
        layout.put(chunks(), "text/plain")
    assert not left_behind(layout) and not list(layout.blobs.digests())


def test_a_document_that_is_too_large_is_not_read(layout: Layout) -> None:
    large = layout.put([b" " * (DOCUMENT_LIMIT + 1)], "text/plain")
    with pytest.raises(LayoutError, match="too large"):
        layout.blobs.read(large)


def test_storing_takes_no_memory_for_the_size_of_the_blob(layout: Layout) -> None:
    chunk = b"x" * (1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    layout.put((chunk for _ in range(200)), "text/plain")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


FULL = """
import sys
from pathlib import Path
from genoci.errors import StorageError
from genoci.oci.layout import Layout
layout = Layout.create_or_open(Path(sys.argv[1]) / "oci")
kept = layout.put([b"kept"], "text/plain")
layout.tag({"kept": kept})
try:
    layout.put((b"x" * 65536 for _ in range(10_000)), "text/plain")
except StorageError as error:
    assert "Make room" in error.mend, error
else:
    sys.exit("stored more than there is room for")
assert sorted(p.name for p in layout.path.rglob("*") if p.is_file()) == sorted(
    [kept.digest.hex, "index.json", "oci-layout", ".genoci.index.lock"])
assert list(Layout.at(layout.path).tags()) == ["kept"]
free = Path(sys.argv[1]) / "filler"
with open(free, "wb", buffering=0) as stream:
    try:
        while True:
            stream.write(b"x" * 4096)
    except OSError:
        pass
try:
    layout.tag({f"more{n}": kept for n in range(100)})
except StorageError:
    pass
else:
    sys.exit("wrote an index that there was no room for")
assert list(Layout.at(layout.path).tags()) == ["kept"]
"""


def test_a_full_disk_is_an_error_and_the_layout_is_as_it_was(tmp_path: Path) -> None:
    import sys

    shell = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -c "$3" "$1"'
    subprocess.run(
        ["unshare", "-rm", "sh", "-c", shell, "sh", tmp_path, sys.executable, FULL], check=True
    )
