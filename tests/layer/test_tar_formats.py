"""Archives as GNU tar, git and Python make them, in all of their formats: layer rules 8, 20, 27."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from genoci.layer import tar
from genoci.layer.entry import Entry, Kind

FORMATS = ["v7", "oldgnu", "gnu", "ustar", "pax"]
SPARSE = [
    ["--format=oldgnu"],
    ["--format=gnu"],
    ["--format=pax", "--sparse-version=0.0"],
    ["--format=pax", "--sparse-version=0.1"],
    ["--format=pax", "--sparse-version=1.0"],
]


def gnu_tar(archive: Path, folder: Path, *options: str) -> Path:
    command = ["tar", "-C", folder, "-cf", archive, *options, "."]
    subprocess.run(command, check=True, env=os.environ | {"LC_ALL": "C"})
    return archive


def read(archive: Path) -> dict[bytes, tuple[Entry, bytes]]:
    with archive.open("rb") as stream:
        members = tar.read(stream, name=archive.name)
        return {m.entry.path: (m.entry, b"".join(m.chunks())) for m in members}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file, a hard link to it, a symlink, a FIFO, folders; modes, and times before 1970."""
    root = tmp_path / "tree"
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "file").write_bytes(b"content" * 1000)
    (root / "d" / "file").chmod(0o4750)
    (root / "link").symlink_to("/d/../nowhere//")
    os.link(root / "d" / "file", root / "hard")
    os.mkfifo(root / "fifo", 0o600)
    (root / "empty").touch()
    for path in (root / "d" / "file", root / "d" / "e", root / "d"):
        os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    return root


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_gnu_tar_tells_the_tree(format: str, folder: Path, tmp_path: Path) -> None:
    if format == "v7":
        (folder / "fifo").unlink()  # v7 has no type for it
    found = read(gnu_tar(tmp_path / "a.tar", folder, f"--format={format}", "--sort=name"))
    names = {b"", b"d", b"d/e", b"d/file", b"hard", b"link", b"empty"}
    assert set(found) == names | (set() if format == "v7" else {b"fifo"})
    for path, (entry, content) in found.items():
        on_disk = folder / os.fsdecode(path)
        status = on_disk.lstat()
        finest = 1 if format == "pax" else 10**9
        assert entry.mtime // finest == status.st_mtime_ns // finest, path
        assert (entry.uid, entry.gid) == (status.st_uid, status.st_gid)
        if entry.kind is Kind.FILE:
            assert content == on_disk.read_bytes()
        if entry.kind is not Kind.HARDLINK:
            assert entry.mode == stat.S_IMODE(status.st_mode)
    assert found[b"d/e"][0].kind is Kind.DIRECTORY
    assert found[b"link"][0].link == b"/d/../nowhere//"
    assert {found[b"hard"][0].kind, found[b"d/file"][0].kind} == {Kind.FILE, Kind.HARDLINK}


@pytest.mark.parametrize("format", ["oldgnu", "gnu", "pax"])
def test_long_odd_names_of_every_format_that_can_store_them(format: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    names = [b"n" * 255, b"\xff\xfe" * 60, b"a\nb" * 50, "ä".encode() * 120, b"\x80", b"%41=", b" "]
    for number, name in enumerate(names):
        (root / os.fsdecode(name)).write_bytes(b"%d" % number)
    deep = root / "/".join(["d" * 99] * 12)
    deep.mkdir(parents=True)
    (root / "link").symlink_to("t" * 2000)
    found = read(gnu_tar(tmp_path / "a.tar", root, f"--format={format}"))
    for number, name in enumerate(names):
        assert found[name][1] == b"%d" % number
    assert b"/".join([b"d" * 99] * 12) in found
    assert found[b"link"][0].link == b"t" * 2000


@pytest.mark.parametrize("format", ["gnu", "pax"])
def test_times_before_1970_and_huge_ids(format: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "old").touch()
    options = [f"--format={format}", "--owner=:4294967294", "--group=:3000000000"]
    archive = gnu_tar(tmp_path / "a.tar", root, *options, "--mtime=1931-05-06 07:08:09.5 UTC")
    entry, _ = read(archive)[b"old"]
    assert (entry.uid, entry.gid) == (4_294_967_294, 3_000_000_000)
    assert entry.mtime == -1_219_942_311 * 10**9 + (500_000_000 if format == "pax" else 0)


def test_a_negative_fraction_in_pax(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    options = ["--format=pax", "--mtime=1969-12-31 23:59:58.123456789 UTC"]
    found = read(gnu_tar(tmp_path / "a.tar", tmp_path / "tree", *options))
    assert found[b""][0].mtime == -2 * 10**9 + 123_456_789


@pytest.mark.parametrize("options", SPARSE, ids=" ".join)
def test_sparse_files_in_all_of_gnu_tars_formats(options: list[str], tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    with (root / "many").open("wb") as file:  # more runs than a header and one extension hold
        for number in range(60):
            file.seek(number * 65536)
            file.write(bytes([number + 1]) * 5000)
        file.truncate(60 * 65536 + 1234)
    (root / "hole").touch()
    os.truncate(root / "hole", 1 << 20)
    (root / "full").write_bytes(b"x" * 5000)
    long = root / ("l" * 200)
    long.write_bytes(b"start")
    os.truncate(long, 300_000)
    found = read(gnu_tar(tmp_path / "a.tar", root, "--sparse", *options))
    for name in ("many", "hole", "full", "l" * 200):
        entry, content = found[name.encode()]
        assert entry.size == (root / name).stat().st_size
        assert content == (root / name).read_bytes(), name


@pytest.mark.parametrize("options", SPARSE, ids=" ".join)
def test_a_sparse_file_of_9_gb_is_told_by_its_runs(options: list[str], tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    with (root / "huge").open("wb") as file:
        file.write(b"begin")
        file.seek(9 << 30)
        file.write(b"end")
    archive = gnu_tar(tmp_path / "a.tar", root, "--sparse", *options)
    with archive.open("rb") as stream:
        member = next(m for m in tar.read(stream, name="a.tar") if m.entry.path == b"huge")
        assert member.entry.size == (9 << 30) + 3
        assert member.segments is not None
        runs = list(member.runs())
    assert sum(length for _, length in member.segments) == sum(len(data) for _, data in runs)
    assert runs[0][0] == 0 and runs[0][1].startswith(b"begin")
    assert b"".join(data for offset, data in runs if offset).endswith(b"end")


def test_a_git_archive_with_its_global_header(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "file").write_text("text")
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    git = ["git", "-C", str(repository), *identity]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "m"], check=True)
    archive = tmp_path / "a.tar"
    made = subprocess.run([*git, "archive", "HEAD"], check=True, capture_output=True).stdout
    assert b"comment=" in made[:2048]
    archive.write_bytes(made)
    assert read(archive)[b"file"][1] == b"text"


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_pythons_tarfile(format: int, folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as archive:
        archive.add(folder, ".")
    found = read(tmp_path / "a.tar")
    assert found[b"d/file"][1] or found[b"hard"][1]
    assert len(found) == 8


def test_an_empty_archive_has_no_members(tmp_path: Path) -> None:
    subprocess.run(["tar", "-cf", tmp_path / "a.tar", "-T", "/dev/null"], check=True)
    assert read(tmp_path / "a.tar") == {}


def test_archives_that_were_joined_end_with_the_first(folder: Path, tmp_path: Path) -> None:
    one = gnu_tar(tmp_path / "a.tar", folder)
    both = tmp_path / "both.tar"
    both.write_bytes(one.read_bytes() * 2)
    assert read(both).keys() == read(one).keys()
