"""Opening packed streams by their content: layer rules 28, 29 and 31."""

from __future__ import annotations

import bz2
import contextlib
import gc
import gzip
import io
import lzma
import os
import random
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.compress import open_reader
from genoci.layer.decoders import FORMATS as KNOWN
from genoci.layer.decoders import LZMA, Format

CONTENT = random.Random(1).randbytes(200_000) + b"words and words " * 300_000


def zstd_pack(content: bytes) -> bytes:
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


PACK = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd_pack}
FORMATS = pytest.mark.parametrize("pack", PACK.values(), ids=PACK.keys())
SKIPPABLE = b"\x53\x2a\x4d\x18" + struct.pack("<I", 5) + b"skip!"


class Pipe(io.RawIOBase):
    """Can't seek, and gives at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int = 100_000) -> None:
        self._stream, self._step = io.BytesIO(data), step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(min(self._step, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def unpack(packed: bytes, step: int | None = None) -> bytes:
    raw = io.BytesIO(packed) if step is None else Pipe(packed, step)
    with open_reader(raw, name="a.tar.x") as reader:  # type: ignore[arg-type]
        return reader.read()


@FORMATS
def test_several_members_streams_or_frames_are_one(pack: Any) -> None:
    packed = pack(b"one") + pack(b"") + pack(CONTENT) + pack(b"four")
    for step in (None, 1, 7, 4097):
        if step is None or step > 7:
            assert unpack(packed, step) == b"one" + CONTENT + b"four"
        else:
            assert unpack(pack(b"one") + pack(b"two") * 3, step) == b"onetwotwotwo"


@FORMATS
def test_zeros_after_the_last_member_are_ignored(pack: Any) -> None:
    assert unpack(pack(CONTENT) + bytes(1_000_000)) == CONTENT


@FORMATS
@pytest.mark.parametrize("after", [b"x", b"\0\0x", b"\0" * 5000 + b"\x1f", b"\x1f\x8c" * 20])
def test_other_bytes_after_the_last_member_are_an_error(pack: Any, after: bytes) -> None:
    with pytest.raises(ArchiveError, match="something follows"):
        unpack(pack(CONTENT) + after)


@FORMATS
def test_a_cut_off_stream_is_an_error_wherever_it_is_cut(pack: Any) -> None:
    packed = pack(b"content " * 50 + os.urandom(50))
    with contextlib.suppress(ArchiveError):
        unpack(packed[:10])
    for length in range(10, len(packed)):
        with pytest.raises(ArchiveError, match="cut off"):
            unpack(packed[:length])
    large = pack(CONTENT)
    with pytest.raises(ArchiveError, match=r"a\.tar\.x: packed byte"):
        unpack(large[: len(large) // 2])


@FORMATS
def test_damaged_data_are_an_error(pack: Any) -> None:
    packed = pack(CONTENT)
    for at in (len(packed) // 2, len(packed) - 6):
        damaged = bytearray(packed)
        damaged[at] ^= 0x10
        with pytest.raises(ArchiveError):
            unpack(bytes(damaged))


def test_gzips_checksum_and_length_are_checked() -> None:
    packed = gzip.compress(CONTENT)
    for at in (-8, -1):
        damaged = bytearray(packed)
        damaged[at] ^= 1
        with pytest.raises(ArchiveError, match="damaged"):
            unpack(bytes(damaged))


@pytest.mark.parametrize("step", [1, 2, 3, 11, 1000, None])
def test_every_field_of_a_gzip_header_is_passed_over(step: int | None) -> None:
    header = b"\x1f\x8b\x08\x1e" + bytes(4) + b"\x02\x03" + b"\5\0extra" + b"name\0" + b"text\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    raw = zlib.compressobj(wbits=-15)
    member = header + raw.compress(b"hello") + raw.flush()
    member += struct.pack("<II", zlib.crc32(b"hello"), 5)
    assert unpack(member * 3, step) == b"hello" * 3


def test_a_gzip_header_without_end_is_an_error() -> None:
    for header in (b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 200_000, b"\x1f\x8b\x07" + bytes(20)):
        with pytest.raises(ArchiveError, match="header"):
            unpack(header)


def test_skippable_frames_of_zstd_are_skipped_wherever_they_are() -> None:
    packed = SKIPPABLE + zstd_pack(b"one") + SKIPPABLE + zstd_pack(b"two") + SKIPPABLE
    assert unpack(packed) == unpack(packed, 3) == b"onetwo"


def test_a_window_or_dictionary_that_takes_too_much_memory_is_refused() -> None:
    window = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
    xz = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 1}]))
    assert xz[14:16] == b"\x21\x01", "no LZMA2 where it should be"
    xz[16] = 36  # the dictionary is 1 GiB
    xz[20:24] = struct.pack("<I", zlib.crc32(bytes(xz[12:20])))
    # in two calls, or the size would be known and the window small
    for packed in (window.compress(b"x" * 1000) + window.flush(), bytes(xz)):
        with pytest.raises(ArchiveError, match=r"(?i)memory"):
            unpack(packed)


def test_a_bomb_takes_time_but_no_memory() -> None:
    code = """
import io, resource, sys
from genoci.layer.compress import open_reader
packed = sys.stdin.buffer.read()
import isal.igzip_lib, bz2, lzma, backports.zstd
resource.setrlimit(resource.RLIMIT_DATA, (160 << 20, 160 << 20))
with open_reader(io.BytesIO(packed), name="bomb") as reader:
    size = 0
    while chunk := reader.read1(): size += len(chunk)
print(size)
"""
    zeros = bytes(100_000_000)
    bombs = (gzip.compress(zeros, 9) * 3, zstd_pack(zeros) * 3, bz2.compress(zeros) * 3)
    for packed in bombs:
        run = [sys.executable, "-c", code]
        found = subprocess.run(run, input=packed, capture_output=True, check=True).stdout
        assert found == b"300000000\n"


@FORMATS
def test_a_hundred_thousand_tiny_members_are_one_stream(pack: Any) -> None:
    count = 10_000 if pack is lzma.compress else 100_000
    assert len(unpack(pack(b"x") * count)) == count


def test_a_plain_file_is_given_back_as_it_is() -> None:
    for content in (b"plain", b"", b"BZh9 is the name of a file", b"\x1f", b"\x50\x2a"):
        raw = io.BytesIO(b"before" + content)
        raw.seek(6)
        assert open_reader(raw, name="a") is raw
        assert raw.read() == content


@pytest.mark.parametrize("step", [1, 5, 100_000])
def test_a_plain_pipe_is_read_from_its_beginning(step: int) -> None:
    for content in (b"plain", b"", b"x" * 100_000):
        assert unpack(content, step) == content


def test_a_file_is_read_from_where_it_stands() -> None:
    raw = io.BytesIO(b"before" + gzip.compress(b"content"))
    raw.seek(6)
    with open_reader(raw, name="a") as reader:
        assert reader.read() == b"content"
    assert not raw.closed


def test_reads_of_any_size_give_the_same() -> None:
    packed = gzip.compress(CONTENT)
    for size in (1, 511, 512, 65536, 1 << 20, (1 << 20) + 1, 1 << 40):
        content = CONTENT if size > 100 else CONTENT[:20_000]
        with open_reader(io.BytesIO(packed), name="a") as reader:
            found = b""
            while len(found) < len(content) and (data := reader.read(size)):
                assert len(data) == min(size, len(CONTENT) - len(found))
                found += data
            assert found[: len(content)] == content
            assert size < 100 or reader.read(1) == b""


def test_an_error_is_raised_again_at_every_later_read() -> None:
    packed = gzip.compress(CONTENT)
    with open_reader(io.BytesIO(packed[:-4]), name="a") as reader:
        for _ in range(3):
            with pytest.raises(ArchiveError):
                reader.read()


def test_an_error_of_what_is_read_comes_through() -> None:
    class Failing(Pipe):
        def readinto(self, buffer: Any) -> int:
            if not (size := super().readinto(buffer)):
                raise LookupError("the disk")
            return size

    raw: Any = Failing(gzip.compress(CONTENT)[:-9])
    with open_reader(raw, name="a") as reader, pytest.raises(LookupError, match="the disk"):
        reader.read()


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_run" in thread.name]


def test_the_thread_ends_when_the_reader_is_closed_early_or_forgotten() -> None:
    packed = gzip.compress(bytes(50_000_000))
    reader = open_reader(io.BytesIO(packed), name="a")
    assert not ours(), "no thread before the first read: a fork may come"
    assert reader.read(1) == b"\0"
    assert ours()
    reader.close()
    reader.close()
    assert not ours()
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)
    forgotten = open_reader(io.BytesIO(packed), name="a")
    forgotten.read(1)
    del forgotten
    gc.collect()
    assert not ours()


def test_a_fork_before_the_first_read_can_read() -> None:
    reader = open_reader(io.BytesIO(gzip.compress(CONTENT)), name="a")
    child = os.fork()
    if not child:
        os._exit(0 if reader.read() == CONTENT else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert reader.read() == CONTENT
    reader.close()


@pytest.mark.parametrize("tool", ["gzip", "bzip2", "xz", "zstd"])
def test_a_tar_is_read_through_each_tool(tool: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(CONTENT)
    made = tmp_path / "a.tar"
    command = ["tar", "-C", tmp_path, "-cf", made, f"--use-compress-program={tool}", "tree"]
    subprocess.run(command, check=True)
    with made.open("rb") as raw, open_reader(raw, name="a") as reader:
        found = {m.entry.path: b"".join(m.chunks()) for m in tar.read(reader, name="a")}
    assert found == {b"tree": b"", b"tree/file": CONTENT}


@FORMATS
def test_what_stands_after_the_end_of_the_tar_is_checked_too(pack: Any) -> None:
    packed = pack(tar.END + bytes(20480)) + b"more"
    with open_reader(io.BytesIO(packed), name="a") as reader, pytest.raises(ArchiveError):
        list(tar.read(reader, name="a"))


@given(
    st.sampled_from([pack(CONTENT[-3000:] + CONTENT[:50]) for pack in PACK.values()]),
    st.integers(0, 10_000),
    st.binary(max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_changed_streams_raise_nothing_but_archive_errors(raw: bytes, at: int, new: bytes) -> None:
    at %= len(raw)
    with contextlib.suppress(ArchiveError):
        unpack(raw[:at] + new + raw[at + len(new) :])
    with contextlib.suppress(ArchiveError):
        unpack(raw[:at] + new, 100)


@pytest.mark.parametrize("step", [None, 777])
def test_the_oldest_lzma_is_read_by_those_who_ask_for_it(step: int | None) -> None:
    packed = lzma.compress(CONTENT, lzma.FORMAT_ALONE)
    raw = io.BytesIO(packed) if step is None else Pipe(packed, step)
    with open_reader(raw, name="a", format=LZMA) as reader:  # type: ignore[arg-type]
        assert reader.read() == CONTENT
    assert unpack(packed) == packed  # and by nobody else: it has no magic
    with (
        pytest.raises(ArchiveError, match="it is cut off"),
        open_reader(io.BytesIO(packed[:-9]), name="a", format=LZMA) as reader,
    ):
        reader.read()


@pytest.mark.parametrize("format", [*KNOWN, LZMA], ids=lambda format: str(format.name))
def test_what_is_of_another_format_than_was_asked_for_is_told(format: Format) -> None:
    for content in (b"", b"plain", bytes(1000)):
        with pytest.raises(ArchiveError, match=f"these are no {format.name} data"):
            open_reader(io.BytesIO(content), name="a", format=format)
