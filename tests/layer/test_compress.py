"""Compressing layers: the same bytes for the same content, and names of algorithms."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from genoci.errors import UsageError
from genoci.layer.compress import BLOCK, blocks, compressed, open_reader
from genoci.layer.compression import Compression

CONTENT = random.Random(1).randbytes(300_000) + b"words and words " * 200_000 + bytes(100_000)
ALL = ["gzip", "gzip:0", "gzip:2", "zstd", "zstd:1", "zstd:19", "none"]


def pack(content: bytes, compression: str, step: int = 1 << 20) -> bytes:
    chunks = (content[at : at + step] for at in range(0, len(content), step))
    return b"".join(compressed(chunks, Compression.parse(compression)))


@pytest.mark.parametrize("compression", ALL)
def test_what_was_compressed_is_read_back(compression: str) -> None:
    for content in (CONTENT, b"", b"x"):
        packed = pack(content, compression)
        with open_reader(io.BytesIO(packed), name="a") as reader:
            assert reader.read() == content


@pytest.mark.parametrize(
    ("compression", "command"), [("gzip", "gzip"), ("gzip:0", "gzip"), ("zstd", "zstd")]
)
def test_the_tools_of_the_formats_agree(compression: str, command: str) -> None:
    packed = pack(CONTENT, compression)
    run = [command, "-dc"]
    assert subprocess.run(run, input=packed, capture_output=True, check=True).stdout == CONTENT
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 1
    assert subprocess.run(run, input=damaged, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("compression", ALL)
def test_the_same_content_gives_the_same_bytes_however_it_was_cut(compression: str) -> None:
    expected = pack(CONTENT, compression)
    for step in (997, 512, 65536, 1 << 20, (1 << 20) + 1, len(CONTENT)):
        assert pack(CONTENT, compression, step) == expected, step
    chance = random.Random(2)

    def pieces() -> Iterator[bytes]:
        stream = io.BytesIO(CONTENT)
        while piece := stream.read(chance.choice([0, 1, 3000, 1 << 20, 3 << 20]) or 7):
            yield piece
            yield b""

    assert b"".join(compressed(pieces(), Compression.parse(compression))) == expected


@pytest.mark.parametrize("step", [1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 1 << 30])
def test_all_blocks_but_the_last_are_whole(step: int) -> None:
    found = list(blocks(CONTENT[at : at + step] for at in range(0, len(CONTENT), step)))
    assert b"".join(found) == CONTENT
    assert {len(block) for block in found[:-1]} == {BLOCK}
    assert 0 < len(found[-1]) <= BLOCK
    assert all(isinstance(block, bytes) for block in found)


def test_a_chunk_that_is_a_block_is_not_copied() -> None:
    whole = CONTENT[:BLOCK]
    assert [block is whole for block in blocks([whole, b"", whole, b"rest"])] == [True, True, False]


def test_the_gzip_header_tells_no_name_no_time_and_no_system() -> None:
    assert pack(b"x", "gzip")[:10] == bytes.fromhex("1f8b080000000000 00ff")


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import sys, hashlib\n"
        "from genoci.layer.compress import *\n"
        "c = Compression.parse(sys.argv[1])\n"
        "print(hashlib.sha256(b''.join(compressed([sys.stdin.buffer.read()], c))).hexdigest())\n"
    )
    for compression in ("gzip:0", "gzip:1", "gzip:2", "zstd:3"):
        run = [sys.executable, "-c", code, compression]
        found = subprocess.run(run, input=CONTENT, capture_output=True, check=True).stdout
        assert found.strip().decode() == hashlib.sha256(pack(CONTENT, compression)).hexdigest()


def test_several_threads_compress_at_once() -> None:
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(pack(CONTENT, "gzip"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {pack(CONTENT, "gzip")} and len(results) == 4


def test_an_error_of_the_chunks_comes_through() -> None:
    def chunks() -> Iterator[bytes]:
        yield CONTENT
        raise LookupError("the source")

    with pytest.raises(LookupError, match="the source"):
        list(compressed(chunks(), Compression("gzip")))


def test_media_types_are_those_of_the_image_specification() -> None:
    layer = "application/vnd.oci.image.layer.v1.tar"
    assert Compression.parse("gzip:2").media_type == f"{layer}+gzip"
    assert Compression.parse("zstd").media_type == f"{layer}+zstd"
    assert Compression.parse("none").media_type == layer


def test_compressions_are_values() -> None:
    assert Compression.parse("zstd:3") == Compression("zstd", 3)
    assert Compression.parse("gzip") == Compression("gzip") != Compression("gzip", 1)


@pytest.mark.parametrize(
    ("text", "what", "mend"),
    [
        ("lz4", "'lz4' is no compression of layers", "Write gzip or zstd"),
        ("", "'' is no compression of layers", "Write gzip or zstd"),
        ("GZIP", "'GZIP' is no compression of layers", "Write gzip or zstd"),
        ("gzip:9", "gzip has no level 9", "gzip:0 to gzip:2"),
        ("gzip:3", "gzip has no level 3", "gzip:0 to gzip:2"),
        ("zstd:0", "zstd has no level 0", "zstd:1 to zstd:19"),
        ("zstd:20", "zstd has no level 20", "zstd:1 to zstd:19"),
        ("zstd:", "'' is no level of zstd", "zstd:1 to zstd:19"),
        ("zstd:-1", "'-1' is no level of zstd", "zstd:1 to zstd:19"),
        ("zstd:fast", "'fast' is no level of zstd", "zstd:1 to zstd:19"),
        ("zstd:٣", "'٣' is no level of zstd", "zstd:1 to zstd:19"),
        ("none:1", "none has no level 1", "none without a level"),
    ],
)
def test_a_wrong_compression_is_told_with_the_mend(text: str, what: str, mend: str) -> None:
    with pytest.raises(UsageError) as caught:
        Compression.parse(text)
    assert caught.value.what == what
    assert mend in caught.value.mend


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, genoci.layer.compress\n"
        "print(sorted({'isal', 'bz2', 'lzma', 'backports.zstd', '_zstd'} & set(sys.modules)))\n"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, check=True, text=True).stdout == "[]\n"


def test_the_standard_librarys_formats_are_read() -> None:
    for packed in (gzip.compress(CONTENT), bz2.compress(CONTENT), lzma.compress(CONTENT)):
        with open_reader(io.BytesIO(packed), name="a") as reader:
            assert reader.read() == CONTENT
