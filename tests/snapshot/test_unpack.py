"""An image's layers become snapshots: whole or not at all, and each once."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

import pytest

from genoci.errors import ArchiveError, BuildError, Damaged, GenociError, NotFound
from genoci.layer.compress import compressed
from genoci.layer.compression import Compression
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor, Platform
from genoci.oci.image import Image, Layer
from genoci.snapshot.unpack import ensure

if TYPE_CHECKING:
    from conftest import Bench


def tarball(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tuple):
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
            else:
                archive.addfile(member)
    return stream.getvalue()


def image(bench: Bench, *tars: bytes, compression: str = "gzip") -> Image:
    found = Image.empty(Platform.parse("linux/amd64"))
    how = Compression.parse(compression)
    for tar in tars:
        descriptor = bench.layout.put(compressed([tar], how), how.media_type)
        found = found.append(Layer(descriptor, Digest.of(tar)), created=0, created_by="test")
    return found


def unpack(bench: Bench, image: Image) -> Digest | None:
    return ensure(image, bench.snapshots, bench.layout, warn=pytest.fail)


def left(bench: Bench) -> list[str]:
    return sorted(os.listdir(bench.state / "snapshots" / bench.driver / "map"))


def content(bench: Bench, chain_id: Digest | None) -> dict[str, str]:
    with bench.snapshots.prepare(chain_id) as active:
        return {path.name: path.read_text() for path in active.root.iterdir() if path.is_file()}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_all_layers_become_snapshots(bench: Bench, compression: str) -> None:
    one = tarball(("a", b"first"), ("gone", b""))
    two = tarball((".wh.gone", b""), ("b", b"second"), ("a", b"changed"))
    built = image(bench, one, two, compression=compression)
    top = unpack(bench, built)
    assert top == built.chain_id
    assert content(bench, top) == {"a": "changed", "b": "second"}
    assert len(left(bench)) == 2


def test_an_image_without_layers_stands_on_nothing(bench: Bench) -> None:
    assert unpack(bench, image(bench)) is None


def test_images_share_the_snapshots_of_common_layers(bench: Bench) -> None:
    one, two, three = (tarball((name, b"")) for name in "abc")
    unpack(bench, image(bench, one, two))
    unpack(bench, image(bench, one, three))
    assert len(left(bench)) == 3


class Counting:
    """A layout that tells in a file which blobs were opened."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.log = bench.folder / "opened"

    def open(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        with self.log.open("a") as log:
            log.write(f"{descriptor.digest}\n")
        return self._bench.layout.open(descriptor)


def test_a_layer_is_read_once_however_many_processes_want_it(bench: Bench) -> None:
    built = image(bench, *(tarball((str(number), b"content")) for number in range(4)))
    blobs = Counting(bench)
    children = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            try:
                ensure(built, bench.snapshots, blobs, warn=pytest.fail)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 6
    ensure(built, bench.snapshots, blobs, warn=pytest.fail)
    assert sorted(blobs.log.read_text().split()) == sorted(
        str(layer.descriptor.digest) for layer in built.layers
    )
    assert len(left(bench)) == 4


def fails(bench: Bench, image: Image, error: type[GenociError], match: str) -> None:
    """Unpacking fails, and leaves nothing that could be taken for the top layer."""
    with pytest.raises(error, match=match):
        unpack(bench, image)
    assert left(bench) == [chain for chain in left(bench) if len(chain) == 64]
    top = image.chain_id
    assert top is not None
    assert not bench.snapshots.exists(top)


def test_a_layer_that_cannot_be_applied_leaves_no_snapshot_but_those_below(bench: Bench) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.LNKTYPE, "missing"
    built = image(bench, tarball(("a", b"")), tarball(("b", b"" * 9), link))
    fails(bench, built, ArchiveError, "missing")
    assert len(left(bench)) == 1


def test_a_damaged_blob_is_found_and_never_used(bench: Bench) -> None:
    built = image(bench, tarball(("a", os.urandom(3_000_000))))
    path = bench.layout.path / "blobs" / "sha256" / built.layers[0].descriptor.digest.hex
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(blob)
    fails(bench, built, Damaged, "digest")
    path.write_bytes(blob[:-1])
    fails(bench, built, Damaged, "bytes")
    path.unlink()
    fails(bench, built, NotFound, "missing")


def test_a_layer_that_unpacks_to_something_else_is_refused(bench: Bench) -> None:
    tar = tarball(("a", b"content"))
    descriptor = bench.layout.put([gzip.compress(tar)], "application/octet-stream")
    built = Image.empty(Platform.parse("linux/amd64")).append(
        Layer(descriptor, Digest.of(b"another")), created=0, created_by="test"
    )
    fails(bench, built, Damaged, "unpacks to")


def test_bytes_after_the_end_of_the_archive_count_for_the_digest(bench: Bench) -> None:
    tar = tarball(("a", b"content"))
    built = image(bench, tar + b"\0" * 10240 + b"ignored")
    assert content(bench, unpack(bench, built)) == {"a": "content"}


def test_owners_are_kept_and_devices_stood_for(bench: Bench) -> None:
    null = tarfile.TarInfo("null")
    null.type, null.devmajor, null.devminor, null.mode = tarfile.CHRTYPE, 1, 3, 0o666
    owned = tarfile.TarInfo("owned")
    owned.uid, owned.gid = 1000, 65534
    built = image(bench, tarball(null, owned))
    unpack(bench, built)
    with bench.snapshots.prepare(built.chain_id) as active:
        status = (active.root / "owned").stat()
        assert (status.st_uid, status.st_gid) == (1000, 65534)
        assert (active.root / "null").stat().st_size == 0


def test_without_other_ids_a_file_of_another_owner_says_what_is_needed(
    in_single_id_namespace: Callable[[Callable[[], None]], str],
    make_bench: Callable[[str], Bench],
) -> None:
    def body() -> None:
        bench = make_bench("overlay")
        mine = image(bench, tarball(("a", b"content")))
        assert content(bench, unpack(bench, mine)) == {"a": "content"}
        owned = tarfile.TarInfo("owned")
        owned.uid = 1000
        with pytest.raises(BuildError, match="owned belongs to 1000:0") as caught:
            unpack(bench, image(bench, tarball(owned)))
        assert "uidmap" in caught.value.mend

    assert in_single_id_namespace(body) == ""
