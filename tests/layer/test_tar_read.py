"""Reading hand-made archives: layer rules 1, 5, 8, 20, 25 to 29 as the codec sees them."""

from __future__ import annotations

import io
from typing import Any

import pytest

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.entry import Entry, Kind
from genoci.layer.tar import clean

SECOND = 10**9


def header(name: bytes = b"f", type: bytes = b"0", size: int = 0, **fields: Any) -> bytes:
    """A ustar header; a field may be given as its raw bytes."""
    values = {"mode": 0o644, "uid": 0, "gid": 0, "mtime": 0, "link": b"", "prefix": b""} | fields
    places = {"mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "mtime": (136, 12)}
    places |= {"size": (124, 12), "major": (329, 8), "minor": (337, 8)}
    block = bytearray(512)
    block[: len(name)] = name
    block[156:157] = type
    block[157 : 157 + len(values["link"])] = values["link"]
    block[257:265] = values.get("magic", b"ustar\00000")
    block[345 : 345 + len(values["prefix"])] = values["prefix"]
    for field, (at, width) in places.items():
        value = (values | {"size": size}).get(field, 0)
        raw = value if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)
        block[at : at + width] = raw.ljust(width, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = values.get("checksum", b"%06o\0 " % sum(block))
    return bytes(block)


def member(name: bytes, content: bytes, type: bytes = b"0", **fields: Any) -> bytes:
    return header(name, type, len(content), **fields) + content + bytes(-len(content) % 512)


def pax(type: bytes = b"x", **records: bytes) -> bytes:
    return pax_of([(key.encode().replace(b"__", b"."), value) for key, value in records.items()])


def pax_of(records: list[tuple[bytes, bytes]], type: bytes = b"x") -> bytes:
    body = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        digits = next(n for n in range(1, 9) if len(str(length + n)) == n)
        body += b"%d %b=%b\n" % (length + digits, key, value)
    return member(b"pax", body, type)


def members(*blocks: bytes, end: bytes = tar.END) -> list[tar.Member]:
    return list(tar.read(io.BytesIO(b"".join(blocks) + end), name="a.tar"))


def only(*blocks: bytes) -> Entry:
    (found,) = members(*blocks)
    return found.entry


def contents(*blocks: bytes) -> dict[bytes, bytes]:
    stream = io.BytesIO(b"".join(blocks) + tar.END)
    return {m.entry.path: b"".join(m.chunks()) for m in tar.read(stream, name="a.tar")}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a", b"a"),
        (b"./a", b"a"),
        (b"/a", b"a"),
        (b"a//b", b"a/b"),
        (b"x/../a", b"a"),
        (b"././a", b"a"),
        (b".//a", b"a"),
        (b"a/./b", b"a/b"),
        (b"a/.", b"a"),
        (b"a/..", b""),
        (b"a/", b"a"),
        (b"a//", b"a"),
        (b"/", b""),
        (b".", b""),
        (b"./", b""),
        (b"", b""),
        (b"..", b""),
        (b"../../etc/passwd", b"etc/passwd"),
        (b"a/../../../b", b"b"),
        (b"/../a", b"a"),
        (b"..a/...", b"..a/..."),
        (b".hidden/.b", b".hidden/.b"),
        (b"a\n/\xff", b"a\n/\xff"),
    ],
)
def test_names_are_cleaned_and_never_leave_the_root(name: bytes, path: bytes) -> None:
    assert clean(name) == path
    assert clean(path) == path
    assert only(header(name or b"./", b"5")).path == path


def test_a_root_entry_is_the_empty_path() -> None:
    entry = only(header(b"./", b"5", mode=0o700))
    assert (entry.path, entry.kind, entry.mode) == (b"", Kind.DIRECTORY, 0o700)


def test_an_entry_without_a_name_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="no name"):
        members(header(b""))


def test_a_hard_links_target_is_cleaned_and_a_symlinks_text_is_kept() -> None:
    assert only(header(b"h", b"1", link=b"./x/../../a")).link == b"a"
    for text in (b"../../x//.", b"/", b"./a", b" ", b"\xff\n"):
        assert only(header(b"s", b"2", link=text)).link == text


def test_a_path_a_thousand_directories_deep_can_be_read() -> None:
    deep = b"/".join([b"d" * 255] * 1000)
    assert only(pax(path=deep), header(b"short")).path == deep


def test_names_of_255_bytes_not_utf8_or_with_newlines_are_read() -> None:
    for name in (b"n" * 255, b"\xff\xfe\x80", b"a\nb", b"\x01", "ä".encode() * 127):
        assert only(pax(path=name), header()).path == name
        assert only(member(b"././@LongLink", name + b"\0", b"L"), header()).path == name


def test_hdrcharset_binary_changes_nothing() -> None:
    assert only(pax_of([(b"hdrcharset", b"BINARY"), (b"path", b"\xff")]), header()).path == b"\xff"


def test_a_pax_path_of_100_kb_is_read() -> None:
    assert only(pax(path=b"a/" * 50_000), header()).path == b"/".join([b"a"] * 50_000)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (b"1", SECOND),
        (b"1.5", 1_500_000_000),
        (b"1.123456789", 1_123_456_789),
        (b"1.1234567899", 1_123_456_789),
        (b"-1.5", -1_500_000_000),
        (b"-0.000000001", -1),
        (b"-1.0000000001", -1_000_000_001),
        (b"0", 0),
        (b"-9000000000", -9_000_000_000 * SECOND),
        (b"1.", SECOND),
        (b"9" * 20, 2**63 - 1),
        (b"-" + b"9" * 20, -(2**63)),
    ],
)
def test_times_to_the_nanosecond_before_1970_as_well(text: bytes, time: int) -> None:
    expected = max(time, -(2**63))
    assert only(pax(mtime=text), header()).mtime == expected


def test_times_in_base_256_may_be_negative() -> None:
    past = (-5).to_bytes(12, "big", signed=True)
    assert only(header(mtime=past)).mtime == -5 * SECOND
    assert only(header(mtime=b"\xff" * 12)).mtime == -SECOND


def test_base_256_numbers_are_read() -> None:
    entry = only(header(uid=b"\x80" + (2**31 + 5).to_bytes(7, "big")))
    assert entry.uid == 2**31 + 5
    content = {b"f": b"x" * 600}
    blocks = header(size=b"\x80" + (600).to_bytes(11, "big")) + b"x" * 600 + bytes(424)  # type: ignore[arg-type]
    assert contents(blocks) == content


def test_numbers_padded_by_spaces_or_nuls_or_blank_are_read() -> None:
    for raw in (b"0000644\0", b"   644 \0", b"644\0", b"644 \0 x", b"\x00\x00644  "):
        assert only(header(mode=raw)).mode == 0o644
    assert only(header(mode=b"", uid=b" " * 8)).uid == 0


def test_the_file_type_bits_of_a_mode_are_left_out() -> None:
    assert only(header(mode=0o104755)).mode == 0o4755


def test_a_symlink_has_the_mode_that_linux_gives_it() -> None:
    assert only(header(b"s", b"2", link=b"t", mode=0o755)).mode == 0o777


def test_an_old_directory_is_a_file_whose_name_ends_with_a_slash() -> None:
    for type in (b"0", b"\0"):
        entry = only(header(b"d/", type, magic=bytes(8)))
        assert (entry.path, entry.kind) == (b"d", Kind.DIRECTORY)
    assert only(pax(path=b"d/"), header(b"d")).kind is Kind.DIRECTORY


def test_v7_and_gnu_headers_have_no_prefix() -> None:
    for magic in (bytes(8), b"ustar  \0"):
        assert only(header(b"f", prefix=b"p", magic=magic)).path == b"f"
    assert only(header(b"f", prefix=b"p")).path == b"p/f"


def test_types_that_are_files_directories_or_nothing() -> None:
    assert contents(member(b"c", b"contiguous", b"7")) == {b"c": b"contiguous"}
    assert contents(member(b"u", b"unknown", b"Q")) == {b"u": b"unknown"}
    found = members(member(b"d/", b"Yfile\0", b"D"), header(b"after"))
    assert [(m.entry.path, m.entry.kind) for m in found] == [
        (b"d", Kind.DIRECTORY),
        (b"after", Kind.FILE),
    ]
    assert only(header(b"label", b"V"), header(b"f")).path == b"f"


@pytest.mark.parametrize("type", [b"M", b"N", b"A", b"E", b"I"])
def test_types_that_tell_of_what_is_not_here_are_refused(type: bytes) -> None:
    with pytest.raises(ArchiveError, match="the type"):
        members(header(b"f", type))


def test_fifos_and_sockets_are_told_apart() -> None:
    assert only(header(b"p", b"6")).kind is Kind.FIFO
    assert only(header(b"s", mode=0o140755)).kind is Kind.SOCKET
    assert only(pax(SCHILY__filetype=b"socket"), header(b"s")).kind is Kind.SOCKET


def test_devices_have_their_numbers() -> None:
    assert only(header(b"d", b"3", major=5, minor=1)).device == (5, 1)
    large = pax(SCHILY__devmajor=b"259", SCHILY__devminor=b"1000000")
    assert only(large, header(b"d", b"4")).device == (259, 1_000_000)


def test_a_character_device_0_0_is_refused_on_reading() -> None:
    with pytest.raises(ArchiveError, match="0, 0"):
        members(header(b"white", b"3"))
    assert only(header(b"d", b"4")).device == (0, 0)


def test_pax_overrides_the_header() -> None:
    records = pax(path=b"p", linkpath=b"l", uid=b"7", gid=b"8", mtime=b"9")
    entry = only(records, header(b"s", b"2", link=b"short", uid=1, gid=2, mtime=3))
    assert (entry.path, entry.link, entry.uid, entry.gid) == (b"p", b"l", 7, 8)
    assert entry.mtime == 9 * SECOND
    body = b"z" * 700
    assert contents(pax(size=b"700"), header(b"f") + body + bytes(324), header(b"g")) == {
        b"f": body,
        b"g": b"",
    }


def test_an_empty_pax_value_leaves_what_the_header_says() -> None:
    entry = only(pax(path=b"", uid=b"", mtime=b""), header(b"f", uid=4, mtime=5))
    assert (entry.path, entry.uid, entry.mtime) == (b"f", 4, 5 * SECOND)


def test_a_global_header_holds_until_another_one_changes_it() -> None:
    found = members(
        pax_of([(b"comment", b"c0ffee"), (b"uid", b"5"), (b"mtime", b"1.5")], b"g"),
        header(b"a"),
        pax(uid=b"6"),
        header(b"b"),
        pax_of([(b"uid", b"")], b"g"),
        header(b"c", uid=9),
    )
    assert [m.entry.uid for m in found] == [5, 6, 9]
    assert [m.entry.mtime for m in found] == [1_500_000_000] * 3


def test_gnu_long_names_and_long_links_together() -> None:
    name, link = b"n" * 300, b"l" * 5000
    blocks = [
        member(b"././@LongLink", link + b"\0", b"K"),
        member(b"././@LongLink", name + b"\0", b"L"),
        header(name[:100], b"2", link=link[:100], magic=b"ustar  \0"),
    ]
    entry = only(*blocks)
    assert (entry.path, entry.link) == (name, link)


def test_only_files_have_data_whatever_size_others_claim() -> None:
    for type in b"23456":
        blocks = header(b"x", bytes([type]), 4096, link=b"l", major=1), header(b"next")
        found = members(*blocks)
        assert [m.entry.path for m in found] == [b"x", b"next"]
        assert found[0].entry.size == 0


def test_a_hard_link_may_claim_a_size_with_and_without_data() -> None:
    without = members(header(b"h", b"1", 1000, link=b"f"), header(b"next"))
    stored = members(member(b"h", b"x" * 1000, b"1", link=b"f"), header(b"next"))
    for found in (without, stored):
        assert [m.entry.path for m in found] == [b"h", b"next"]
        assert b"".join(found[0].chunks()) == b""


def test_offsets_are_where_the_headers_and_the_data_begin() -> None:
    found = members(member(b"a", b"1"), pax(mtime=b"1.5"), member(b"b", b"22"))
    assert [(m.offset, m.data_offset) for m in found] == [(0, 512), (1024, 2560)]


def test_bytes_after_the_end_of_the_archive_are_ignored() -> None:
    assert len(members(header(), tar.END, b"rubbish")) == 1
    assert members(end=tar.END + b"\1" * 700) == []


def test_one_block_of_zeros_at_the_very_end_is_enough() -> None:
    assert len(members(header(), end=bytes(512))) == 1


def test_a_block_of_zeros_between_two_entries_is_an_error() -> None:
    with pytest.raises(ArchiveError, match="block of zeros"):
        members(header(), bytes(512), header())


def test_an_archive_without_an_end_is_an_error_unless_its_digest_was_verified() -> None:
    with pytest.raises(ArchiveError, match="no end"):
        members(member(b"f", b"x"), end=b"")
    found = list(tar.read(io.BytesIO(member(b"f", b"x")), name="a.tar", verified=True))
    assert [m.entry.path for m in found] == [b"f"]


def test_content_is_there_in_any_order_when_the_stream_can_seek() -> None:
    found = members(member(b"a", b"1"), member(b"b", b"2"))
    assert [b"".join(m.chunks()) for m in reversed(found)] == [b"2", b"1"]


class Pipe(io.RawIOBase):
    """A stream that can't seek and gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step, self.left = io.BytesIO(data), step, len(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._data.read(min(self._step, len(buffer)))
        buffer[: len(piece)] = piece
        self.left -= len(piece)
        return len(piece)


@pytest.mark.parametrize("step", [1, 500, 513, 1 << 20])
def test_a_stream_that_cannot_seek_gives_the_same(step: int) -> None:
    archive = member(b"a", b"1" * 700) + pax(path=b"b") + member(b"x", b"2" * 2000) + tar.END
    expected = contents(archive)
    pipe = Pipe(archive + b"after", step)
    found = tar.read(pipe, name="pipe")  # type: ignore[arg-type]
    assert {m.entry.path: b"".join(m.chunks()) for m in found} == expected
    assert pipe.left == 0, "what comes after the end was not read, so it was not checked"
    skipped = tar.read(Pipe(archive, step), name="pipe")  # type: ignore[arg-type]
    assert [m.entry.path for m in skipped] == [b"a", b"b"]


def test_content_of_a_past_member_of_a_pipe_cannot_be_asked_for() -> None:
    archive = member(b"a", b"1") + member(b"b", b"2") + tar.END
    first, _ = tar.read(Pipe(archive, 512), name="pipe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="past"):
        next(first.chunks())
