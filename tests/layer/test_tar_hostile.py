"""Archives that are damaged or lie: layer rules 28 and 31, and properties of all bytes."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.compress import open_reader
from genoci.layer.entry import Entry, Kind


def file(path: bytes, content: bytes = b"", **fields: Any) -> bytes:
    entry = Entry(path, Kind.FILE, 0o644, 0, 0, 0, size=len(content), **fields)
    return tar.write_header(entry) + content + tar.padding(len(content))


def changed(block: bytes, at: int, field: bytes) -> bytes:
    """The header with other bytes at `at`, and the checksum made right."""
    raw = bytearray(block)
    raw[at : at + len(field)] = field
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def extended(body: bytes, type: bytes = b"x") -> bytes:
    return changed(file(b"pax", body), 156, type)


def read(archive: bytes) -> list[tuple[Entry, bytes]]:
    """All of it; of each content not more than a few chunks."""
    members = tar.read(io.BytesIO(archive), name="evil.tar")
    return [(m.entry, b"".join(itertools.islice(m.chunks(), 4))) for m in members]


def error(*blocks: bytes) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        read(b"".join(blocks) + tar.END)
    return caught.value


def test_a_bad_checksum_names_the_offset_and_the_entry_before() -> None:
    bad = bytearray(file(b"second"))
    bad[0] ^= 1
    found = error(file(b"first", b"x"), bytes(bad))
    assert found.where == "evil.tar: byte 1024, after first"
    assert "checksum" in found.what


def test_what_is_no_tar_at_all_is_said_to_be_none() -> None:
    assert "no tar archive" in error(b"<!DOCTYPE html>".ljust(2000)).what


def test_a_signed_checksum_is_accepted() -> None:
    block = bytearray(file(b"\xff\xfe"))
    fields = struct.unpack("512b", bytes(block[:148]) + b" " * 8 + bytes(block[156:]))
    block[148:156] = b"%06o\0 " % sum(fields)
    assert read(bytes(block) + tar.END)[0][0].path == b"\xff\xfe"


@pytest.mark.parametrize(
    ("at", "field", "what"),
    [
        (124, b"\xff" * 12, "size is negative"),
        (124, b"-0000000001\0", "size is no number"),
        (124, b"0000000009\0 ", "size is no number"),
        (124, b"0o7\0", "size is no number"),
        (124, b"1_0\0", "size is no number"),
        (124, b"\x81" * 12, "size is no number"),
        (124, b"\x80\xff" + b"\xff" * 10, "size is impossible"),
        (100, b"rwxr-xr-", "mode is no number"),
        (108, b"\xff" * 8, "uid is negative"),
        (108, b"\x80\0\0\0\xff\xff\xff\xff", "no user or group"),
        (116, b"zero", "gid is no number"),
        (136, b"today", "time is no number"),
    ],
)
def test_a_number_that_is_none_is_an_error(at: int, field: bytes, what: str) -> None:
    found = error(changed(file(b"f"), at, field))
    assert what in found.what
    assert "byte 0" in found.where


def test_a_size_beyond_the_data_names_the_entry_and_the_offset() -> None:
    found = error(file(b"ok"), changed(file(b"dir/big"), 124, b"77777777777\0"))
    assert found.where == "evil.tar: entry dir/big at byte 512"
    assert "cut off" in found.what


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", None),
        (b"\0" * 20, None),
        (b"x", "no length"),
        (b"11 path=abc", "wrong length"),
        (b"99999999 path=a\n", "wrong length"),
        (b"-9 path=a\n", "no length"),
        (b"9 path=ab\n", "wrong length"),
        (b"0 path=a\n", "wrong length"),
        (b"9 pathab\n", "no keyword"),
        (b"6 =ab\n", "no keyword"),
        (b"11 path=a\0\n", "NUL"),
        (b"15 linkpath=\0a\n", None),
        (b"11 size=-1\n", "size is no number"),
        (b"29 size=99999999999999999999\n", "size is no number"),
        (b"13 mtime=1e5\n", "time is no number"),
        (b"13 mtime=nan\n", "time is no number"),
        (b"18 uid=4294967295\n", "no user or group"),
    ],
)
def test_a_bad_extended_header_is_an_error(body: bytes, what: str | None) -> None:
    archive = extended(body) + file(b"f") + tar.END
    if what is None:
        assert [entry.path for entry, _ in read(archive)] == [b"f"]
        return
    with pytest.raises(ArchiveError, match=what):
        read(archive)


def test_an_extended_header_that_belongs_to_no_entry_is_an_error() -> None:
    assert "no entry" in error(file(b"f"), extended(b"9 path=a\n")).what


def test_a_global_header_cannot_name_all_entries() -> None:
    for body in (
        b"9 path=a\n",
        b"10 size=5\n",
        b"22 GNU.sparse.major=1\n",
    ):
        assert "every entry" in error(extended(body, b"g"), file(b"f")).what


def test_extended_headers_and_long_names_are_bounded() -> None:
    large = b"x" * ((1 << 20) + 1)
    for type in (b"x", b"g", b"L", b"K"):
        assert "are the most" in error(extended(large, type), file(b"f")).what


def test_many_global_headers_are_bounded_together() -> None:
    value = b"v" * 700_000
    blocks = []
    for number in range(3):
        bare = b" SCHILY.xattr.user.%d=%b\n" % (number, value)
        blocks.append(extended(b"%d%b" % (len(bare) + 6, bare), b"g"))
    assert "global headers" in error(*blocks, file(b"f")).what


def test_what_a_header_claims_never_makes_memory_grow() -> None:
    """Every claim of a size there is, in a process that may have only a little memory."""
    code = """
import io, resource, sys
from genoci.errors import ArchiveError
from genoci.layer import tar
class Pipe(io.RawIOBase):
    def __init__(self, data): self.stream = io.BytesIO(data)
    def readable(self): return True
    def readinto(self, buffer): return self.stream.readinto(buffer)
archive = sys.stdin.buffer.read()
resource.setrlimit(resource.RLIMIT_DATA, (96 << 20, 96 << 20))
for open in io.BytesIO, Pipe:
    try:
        for member in tar.read(open(archive), name="evil"):
            for _, chunk in zip(range(100), member.chunks()): assert len(chunk) <= 1 << 20
    except ArchiveError: print("refused")
"""
    huge = b"\x80\0\0\0" + b"\x7f" + b"\xff" * 7
    sparse = b"\n".join([b"99999999999", b"0", b"1", b""]).ljust(512, b"\0")
    records = (
        b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n38 GNU.sparse.realsize=9000000000000000\n"
    )
    for archive in (
        changed(file(b"f"), 124, huge),
        changed(extended(b""), 124, huge),
        changed(extended(b"", b"L"), 124, huge),
        extended(records) + file(b"s", sparse),
    ):
        run = [sys.executable, "-c", code]
        result = subprocess.run(run, input=archive + tar.END, capture_output=True, check=True)
        assert result.stdout == b"refused\n" * 2, result


def sparse_1_0(map: bytes, size: bytes = b"1000", data: bytes = b"") -> bytes:
    body = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    bare = b" GNU.sparse.realsize=" + size + b"\n"
    body += b"%d%b" % (len(bare) + 2, bare)
    return extended(body) + file(b"s", map.ljust(512, b"\0") + data)


@pytest.mark.parametrize(
    ("map", "what"),
    [
        (b"300\n" + b"0\n" * 254, "longer than the data"),
        (b"1\n0\n995\n1\n6\n", "are stored"),
        (b"2\n10\n5\n0\n5\n", "not in order"),
        (b"2\n0\n6\n5\n4\n", "not in order"),
        (b"1\n995\n10\n", "beyond"),
        (b"1\n9223372036854775807\n10\n", "beyond"),
        (b"1\n10\n", "no number"),
        (b"x\n", "no number"),
        (b"-1\n0\n", "no number"),
        (b"1\n-5\n10\n", "no number"),
        (b"1\n0\n9\n", "are stored"),
        (b"999999999\n", "more than"),
        (b"1" * 600, "no number"),
    ],
)
def test_a_sparse_map_that_lies_is_an_error(map: bytes, what: str) -> None:
    assert what in error(sparse_1_0(map, data=b"x" * 10)).what


def test_a_sparse_map_that_is_right_is_read() -> None:
    ((entry, content),) = read(sparse_1_0(b"2\n100\n10\n1000\n0\n", data=b"x" * 10) + tar.END)
    assert entry.size == 1000
    assert content == bytes(100) + b"x" * 10 + bytes(890)


def test_hostile_names_are_shown_on_one_line() -> None:
    where = error(changed(file(b"a\n\x1b[31m\xff"), 124, b"77777777777\0")).where
    assert where == r"evil.tar: entry a\n\x1b[31m\xff at byte 0"


ARCHIVE = b"".join(
    [
        file(b"a" * 200, b"content" * 100, xattrs=((b"user.x", b"\0\xff"),)),
        tar.write_header(Entry(b"d", Kind.DIRECTORY, 0o755, 3_000_000, 0, -5)),
        sparse_1_0(b"1\n100\n10\n", data=b"x" * 10),
        tar.write_header(Entry(b"l", Kind.SYMLINK, 0o777, 0, 0, 1, link=b"l" * 300)),
        extended(b"13 mtime=1.5\n", b"g"),
        extended(b"n" * 300, b"L"),
        file(b"n", b"end"),
    ]
)


def test_a_cut_off_archive_is_an_error_wherever_it_is_cut() -> None:
    whole = ARCHIVE + tar.END
    assert len(read(whole)) == 5
    for length in range(0, len(ARCHIVE), 7):
        with pytest.raises(ArchiveError):
            read(whole[:length])
    for length in range(0, len(ARCHIVE) + 1, 512):
        with pytest.raises(ArchiveError):
            read(whole[:length])


def test_a_cut_off_stream_names_the_entry_whose_content_is_missing() -> None:
    archive = file(b"ok") + file(b"dir/cut", b"x" * 5000)
    packed = io.BytesIO(gzip.compress(archive[:4000]))
    with open_reader(packed, name="a") as stream, pytest.raises(ArchiveError) as caught:
        for member in tar.read(stream, name="evil.tar"):
            list(member.chunks())
    assert caught.value.where == "evil.tar: entry dir/cut at byte 512"
    packed.seek(0)
    with open_reader(packed, name="a") as stream, pytest.raises(ArchiveError) as caught:
        list(tar.read(stream, name="evil.tar"))
    assert caught.value.where == "evil.tar: byte 6144, after dir/cut"


@given(st.integers(0, len(ARCHIVE) * 8 - 1), st.binary(max_size=30))
@settings(max_examples=300, deadline=None)
def test_a_changed_archive_raises_nothing_but_archive_errors(bit: int, more: bytes) -> None:
    raw = bytearray(ARCHIVE + tar.END)
    raw[bit // 8] ^= 1 << bit % 8
    raw[bit // 8 + 1 : bit // 8 + 1 + len(more)] = more
    try_to_read(bytes(raw))


@given(
    st.lists(
        st.one_of(
            st.builds(
                lambda at, field, type: changed(changed(file(b"f"), at, field), 156, type),
                st.integers(0, 480),
                st.binary(max_size=24),
                st.sampled_from([bytes([letter]) for letter in b"\x001234567LKxgSDVMX"]),
            ),
            st.builds(extended, st.binary(max_size=600), st.sampled_from([b"x", b"g", b"L"])),
            st.builds(sparse_1_0, st.binary(max_size=100), st.sampled_from([b"0", b"99999"])),
            st.binary(max_size=600),
            st.just(bytes(512)),
        ),
        max_size=8,
    )
)
@settings(max_examples=400, deadline=None)
def test_arbitrary_blocks_raise_nothing_but_archive_errors(blocks: list[bytes]) -> None:
    try_to_read(b"".join(blocks))
    try_to_read(b"".join(block.ljust(-(-len(block) // 512) * 512, b"\0") for block in blocks))


def try_to_read(archive: bytes) -> None:
    for verified in (False, True):
        members = tar.read(io.BytesIO(archive), name="evil.tar", verified=verified)
        try:
            for member in members:
                assert not member.entry.path.startswith(b"/")
                assert b".." not in member.entry.path.split(b"/")
                for chunk in itertools.islice(member.chunks(), 3):
                    assert len(chunk) <= 1 << 20
        except ArchiveError as error:
            assert "evil.tar" in error.where
