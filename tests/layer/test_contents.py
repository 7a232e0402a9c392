"""Large files, which are written behind the entries that follow them: nobody can tell."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from genoci.errors import ArchiveError, BuildError
from genoci.layer import tar
from genoci.layer.entry import Entry, Kind
from genoci.layer.extract import Devices, extract_layer
from genoci.layer.member import Sourced
from tars import OWNERS, Piece, a_root, directory, file, hardlink, layer, whiteout

SIZE = 3_000_001
LARGE = bytes(range(251)) * (SIZE // 251 + 1)


def large(path: bytes, **fields: object) -> Piece:
    return file(path, LARGE[:SIZE], **fields)


def test_a_large_file_has_all_that_a_small_one_has(tmp_path: Path) -> None:
    for mode in (0o4755, 0o2711, 0o400, 0o000):
        metadata = {"mode": mode, "mtime": 1_234_567_890_123_456_789, "uid": 7, "gid": 8}
        with a_root(tmp_path) as root:
            root.extract(
                layer(directory(b"d", mtime=5), large(b"d/l", **metadata), file(b"s", **metadata))
            )
            seen = root.seen()
            one, other = seen[b"d/l"].entry, seen[b"s"].entry
            assert (one.mode, one.mtime, one.uid, one.gid, one.size) == (
                other.mode,
                other.mtime,
                other.uid,
                other.gid,
                SIZE,
            )
            assert seen[b"d/l"].content == LARGE[:SIZE]
            assert seen[b"d"].entry.mtime == 5


def test_attributes_come_after_the_content(tmp_path: Path) -> None:
    """Writing takes capabilities away."""
    with a_root(tmp_path) as root:
        root.extract(layer(large(b"l", xattrs=((b"user.x", b"1"),))))
        assert root.seen()[b"l"].entry.xattrs == ((b"user.x", b"1"),)


def test_what_replaces_a_large_file_is_what_is_there(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        root.extract(
            layer(
                *(large(b"same", mtime=number) for number in range(5)),
                hardlink(b"other", b"same"),
                file(b"same", b"small"),
                large(b"d/below"),
                file(b"d", b"file"),
                large(b"e"),
                directory(b"e"),
                file(b"e/in"),
            )
        )
        seen = root.seen()
        assert seen[b"same"].content == b"small"
        assert seen[b"other"].content == LARGE[:SIZE]
        assert seen[b"other"].entry.mtime == 4
        assert seen[b"other"].names == (b"other",)
        assert seen[b"d"].content == b"file"
        assert b"e/in" in seen
        root.extract(layer(whiteout(b"other"), large(b"new"), hardlink(b"other", b"new")))
        assert root.seen()[b"other"].names == (b"new", b"other")


def test_few_of_them_are_open_at_once(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        highest = os.dup(root.fd)
        os.close(highest)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 16, before[1]))
        try:
            root.extract(layer(*(file(b"%d" % n, LARGE[: 256 << 10]) for n in range(100))))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert {len(one.content) for path, one in root.seen().items() if path} == {256 << 10}


def test_an_error_in_one_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    whole = layer(large(b"first"), large(b"second"))
    with a_root(tmp_path) as root:
        before = os.listdir("/proc/self/fd"), threading.active_count()
        for archive, said in (
            (whole[: SIZE + 2_000_000], "second at byte .*cut off"),
            (layer(large(b"first"), hardlink(b"l", b"gone")), "^l: is a hard link to gone"),
        ):
            with pytest.raises(ArchiveError, match=said):
                root.extract(archive)
            assert (os.listdir("/proc/self/fd"), threading.active_count()) == before


def test_content_of_another_length_than_the_entry_says_is_an_error(tmp_path: Path) -> None:
    entry = Entry(b"l", Kind.FILE, 0o644, 0, 0, 0, size=SIZE)
    for pieces in ([LARGE[:SIZE], b"more"], [LARGE[: 1 << 20]], []):
        member = Sourced(entry, lambda pieces=pieces: iter(pieces))  # type: ignore[misc]
        with a_root(tmp_path) as root, pytest.raises(BuildError, match=r"^l: changed while it was"):
            extract_layer(
                [member],
                root.fd,
                owners=OWNERS,
                devices=Devices.PLACEHOLDER,
                warn=root.warnings.append,
            )


def test_the_disk_s_refusal_is_told_of_the_file_that_it_refused(tmp_path: Path) -> None:
    """However many entries have been read since."""
    header = tar.write_header(Entry(b"l", Kind.FILE, 0o644, 0, 0, 0, size=SIZE))
    archive = (
        header + LARGE[:SIZE] + tar.padding(SIZE) + layer(*(file(b"%d" % n) for n in range(9)))
    )
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with a_root(tmp_path) as root:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
        try:
            with pytest.raises(BuildError, match=r"^l: can't be made: File too large"):
                root.extract(archive)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
