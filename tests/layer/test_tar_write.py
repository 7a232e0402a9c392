"""Header blocks as other readers see them: layer rules 8, 20, 22, 41, 44 and 46."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.entry import Entry, Kind

SECOND = 10**9
TIME = 1_234_567_890 * SECOND

DEEP = b"/".join([b"d" * 60] * 5)  # too long for ustar
SPLIT = b"p" * 150 + b"/" + b"n" * 90  # not too long for prefix and name
KINDS = [
    Entry(b"", Kind.DIRECTORY, 0o750, 0, 0, TIME),
    Entry(b"dir", Kind.DIRECTORY, 0o1777, 1, 2, TIME),
    Entry(b"dir/file", Kind.FILE, 0o4755, 1000, 1000, TIME + 123_456_789, size=7),
    Entry(b"dir/plain", Kind.FILE, 0o644, 0, 0, TIME, size=512),
    Entry(b"dir/hard", Kind.HARDLINK, 0o4755, 1000, 1000, TIME, link=b"dir/file"),
    Entry(b"dir/soft", Kind.SYMLINK, 0o777, 0, 0, TIME, link=b"../x//y/."),
    Entry(b"dir/fifo", Kind.FIFO, 0o600, 0, 0, TIME),
    Entry(b"dir/null", Kind.CHARACTER, 0o666, 0, 0, TIME, device=(1, 3)),
    Entry(b"dir/disk", Kind.BLOCK, 0o660, 0, 6, TIME, device=(4095, 1_048_575)),
    Entry(DEEP, Kind.DIRECTORY, 0o755, 0, 0, TIME),
    Entry(SPLIT, Kind.FILE, 0o644, 0, 0, TIME, size=1),
    Entry(b"long", Kind.SYMLINK, 0o777, 0, 0, TIME, link=b"t" * 3000),
    Entry(b"a\nb\xff", Kind.FILE, 0o644, 0, 0, TIME, size=0),
    Entry(b"\xfe" * 240, Kind.FILE, 0o644, 0, 0, TIME, size=3),
    Entry(b"huge-ids", Kind.FILE, 0o644, 4_294_967_294, 2_097_152, TIME, size=0),
    Entry(b"before-1970", Kind.FILE, 0o644, 0, 0, -1_500_000_000, size=0),
    Entry(b"late", Kind.FILE, 0o644, 0, 0, 8**11 * SECOND, size=0),
    Entry(b"xattr", Kind.FILE, 0o644, 0, 0, TIME, size=0, xattrs=((b"user.k", b"v\n\0"),)),
]


def content(entry: Entry) -> bytes:
    return (entry.path[-1:] or b"x") * entry.size


def archive(entries: list[Entry]) -> bytes:
    parts = []
    for entry in entries:
        parts += [tar.write_header(entry), content(entry), tar.padding(entry.size)]
    return b"".join([*parts, tar.END])


def gnu_tar(*arguments: str, archive: bytes) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"}
    command = ["tar", *arguments]
    return subprocess.run(command, input=archive, capture_output=True, env=environment, check=False)


def test_what_was_written_is_read_back() -> None:
    members = tar.read(io.BytesIO(archive(KINDS)), name="a.tar")
    assert [(m.entry, b"".join(m.chunks())) for m in members] == [(e, content(e)) for e in KINDS]


LISTED = {
    b"dir/file": b"-rwsr-xr-x 1000/1000 7 2009-02-13 23:31:30.123456789 dir/file",
    b"dir/hard": b"hrwsr-xr-x 1000/1000 0 2009-02-13 23:31:30 dir/hard link to dir/file",
    b"dir/soft": b"lrwxrwxrwx 0/0 0 2009-02-13 23:31:30 dir/soft -> ../x//y/.",
    b"dir/fifo": b"prw------- 0/0 0 2009-02-13 23:31:30 dir/fifo",
    b"dir/null": b"crw-rw-rw- 0/0 1,3 2009-02-13 23:31:30 dir/null",
    b"dir/disk": b"brw-rw---- 0/6 4095,1048575 2009-02-13 23:31:30 dir/disk",
    b"dir": b"drwxrwxrwt 1/2 0 2009-02-13 23:31:30 dir/",
    b"": b"drwxr-x--- 0/0 0 2009-02-13 23:31:30 ./",
    DEEP: b"drwxr-xr-x 0/0 0 2009-02-13 23:31:30 " + DEEP + b"/",
    SPLIT: b"-rw-r--r-- 0/0 1 2009-02-13 23:31:30 " + SPLIT,
    b"long": b"lrwxrwxrwx 0/0 0 2009-02-13 23:31:30 long -> " + b"t" * 3000,
    b"a\nb\xff": rb"-rw-r--r-- 0/0 0 2009-02-13 23:31:30 a\nb\377",
    b"\xfe" * 240: b"-rw-r--r-- 0/0 3 2009-02-13 23:31:30 " + rb"\376" * 240,
    b"huge-ids": b"-rw-r--r-- 4294967294/2097152 0 2009-02-13 23:31:30 huge-ids",
    # GNU tar 1.34 shows negative fractions a second late, its own as well; it extracts them right
    b"before-1970": b"-rw-r--r-- 0/0 0 1969-12-31 23:59:59.5 before-1970",
    b"late": b"-rw-r--r-- 0/0 0 2242-03-16 12:56:32 late",
    b"xattr": b"-rw-r--r-- 0/0 0 2009-02-13 23:31:30 xattr",
    b"dir/plain": b"-rw-r--r-- 0/0 512 2009-02-13 23:31:30 dir/plain",
}


@pytest.mark.parametrize("entry", KINDS, ids=lambda entry: repr(entry.path[:20]))
def test_gnu_tar_lists_each_kind_as_it_was_meant(entry: Entry) -> None:
    result = gnu_tar("-tv", "--full-time", "--numeric-owner", archive=archive([entry]))
    assert (result.returncode, result.stderr) == (0, b"")
    listed = re.sub(rb"(\.\d*?)0+ ", rb"\1 ", re.sub(rb" +", b" ", result.stdout.strip()))
    assert listed == LISTED[entry.path]


def test_gnu_tar_refuses_a_header_that_was_changed() -> None:
    """The judge judges: what it must not believe, it does not."""
    changed = bytearray(archive(KINDS))
    changed[110] ^= 1
    assert gnu_tar("-t", archive=bytes(changed)).returncode != 0


def test_gnu_tar_extracts_what_was_written(tmp_path: Path) -> None:
    """Owners and devices left out: those are listed, and need root."""
    entries = [e for e in KINDS if not e.path.startswith(b"huge") and not any(e.device)]
    options = ["-C", str(tmp_path), "-xp", "--no-same-owner", "--xattrs", "--warning=no-timestamp"]
    result = gnu_tar(*options, archive=archive(entries))
    assert (result.returncode, result.stderr) == (0, b"")
    for entry in entries:
        on_disk = os.path.join(os.fsencode(tmp_path), entry.path)
        status = os.lstat(on_disk)
        if entry.kind is Kind.FILE:
            assert Path(os.fsdecode(on_disk)).read_bytes() == content(entry)
        if entry.kind is Kind.SYMLINK:
            assert os.readlink(on_disk) == entry.link
        elif entry.kind is not Kind.HARDLINK:
            assert stat.S_IMODE(status.st_mode) == entry.mode, entry.path
        if entry.kind in (Kind.FILE, Kind.FIFO) and entry.path != b"dir/file":
            assert status.st_mtime_ns == entry.mtime
    assert (tmp_path / "dir/hard").samefile(tmp_path / "dir/file")
    assert os.getxattr(tmp_path / "xattr", "user.k") == b"v\n\0"


def test_pythons_tarfile_reads_the_same() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(KINDS))) as found:
        for entry, info in zip(KINDS, found.getmembers(), strict=True):
            name = os.fsencode(info.name)
            assert name == (entry.path or b".")
            assert (info.mode, info.uid, info.gid) == (entry.mode, entry.uid, entry.gid)
            assert (info.uname, info.gname) == ("", "")
            assert os.fsencode(info.linkname) == entry.link
            assert round(info.mtime, 3) == round(entry.mtime / SECOND, 3)
            if entry.kind is Kind.FILE:
                stream = found.extractfile(info)
                assert stream is not None and stream.read() == content(entry)
            if any(entry.device):
                assert (info.devmajor, info.devminor) == entry.device


def test_a_plain_entry_takes_one_block_and_others_a_pax_header() -> None:
    for entry in KINDS[:2] + KINDS[3:9] + [KINDS[10]]:
        assert len(tar.write_header(entry)) == 512
    for entry in KINDS[2:3] + KINDS[13:]:
        assert len(tar.write_header(entry)) == 1536


def test_names_of_ustar_are_split_at_every_possible_length() -> None:
    for length in range(1, 300):
        for pattern in (b"x" * 300, b"ab/" * 100, b"p" * 155 + b"/" + b"n" * 200, b"/x" * 150):
            path = tar.clean(pattern[:length])
            for kind in (Kind.FILE, Kind.DIRECTORY):
                entry = Entry(path, kind, 0o755, 0, 0, 0)
                if path or kind is Kind.DIRECTORY:
                    (member,) = tar.read(io.BytesIO(archive([entry])), name="a.tar")
                    assert member.entry == entry


def test_a_size_over_8_gib_is_told_to_all_readers() -> None:
    entry = Entry(b"big", Kind.FILE, 0o644, 0, 0, 0, size=9 << 30)
    header = tar.write_header(entry)
    with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as found:
        info = found.next()
        assert info is not None and info.size == 9 << 30
    pipe = gnu_tar("-tv", archive=header)
    assert b" 9663676416 " in pipe.stdout


def test_padding_fills_whole_blocks() -> None:
    for size in (0, 1, 511, 512, 513, 10**10 + 1):
        assert (size + len(tar.padding(size))) % 512 == 0
        assert len(tar.padding(size)) < 512


def test_metadata_that_no_reader_accepts_are_an_error() -> None:
    xattrs = tuple((b"user.%02d" % n, bytes(65000)) for n in range(17))
    with pytest.raises(ArchiveError, match="no reader"):
        tar.write_header(Entry(b"f", Kind.FILE, 0o644, 0, 0, 0, xattrs=xattrs))


def test_a_socket_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="SOCKET"):
        tar.write_header(Entry(b"s", Kind.SOCKET, 0o755, 0, 0, 0))


names = st.binary(min_size=1, max_size=300).map(lambda name: name.replace(b"\0", b"n"))
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join).map(tar.clean).filter(bool)
kept = st.binary(min_size=1, max_size=40).map(lambda name: b"user.test." + name.replace(b"\0", b""))
anything = st.builds(
    Entry,
    paths,
    st.sampled_from([kind for kind in Kind if kind is not Kind.SOCKET]),
    st.integers(0, 0o7777),
    st.integers(0, 2**32 - 2),
    st.integers(0, 2**32 - 2),
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**33), 2**33).map(SECOND.__mul__)),
    size=st.integers(0, 3000),
    link=st.one_of(names, paths),
    device=st.tuples(st.integers(0, 4095), st.integers(1, 2**20 - 1)),
    xattrs=st.dictionaries(kept, st.binary(max_size=100), max_size=3).map(
        lambda found: tuple(sorted(found.items()))
    ),
)


def valid(entry: Entry) -> Entry:
    """With only the fields that an entry of its kind has."""
    kind = entry.kind
    link = {Kind.SYMLINK: entry.link, Kind.HARDLINK: tar.clean(entry.link)}.get(kind, b"")
    return Entry(
        path=entry.path,
        kind=kind,
        mode=0o777 if kind is Kind.SYMLINK else entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=entry.mtime,
        size=entry.size if kind is Kind.FILE else 0,
        link=link or (b"target" if kind is Kind.HARDLINK else b""),
        device=entry.device if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0),
        xattrs=entry.xattrs,
    )


@given(st.lists(anything.map(valid), max_size=4))
@settings(max_examples=300, deadline=None)
def test_reading_what_was_written_gives_the_same_entries(written: list[Entry]) -> None:
    members = tar.read(io.BytesIO(archive(written)), name="a.tar")
    assert [(m.entry, b"".join(m.chunks())) for m in members] == [(e, content(e)) for e in written]
    assert archive(written) == archive(written)
