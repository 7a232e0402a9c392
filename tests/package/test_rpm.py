"""rpm packages: what rpm finds in them, we find in them."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from genoci.errors import ArchiveError
from genoci.layer.entry import Entry, Kind
from genoci.package import file_capabilities, rpm_payload
from genoci.package import rpm as rpms
from genoci.package.archive import recognise
from packages import (
    Tags,
    gzipped,
    minimal,
    newc,
    numbers,
    put_together,
    rpm,
    strings,
    stripped,
    taken_apart,
)

IDS = {"root": 0, "daemon": 1}


class Found(NamedTuple):
    entry: Entry
    content: bytes


def read(path: Path, warnings: list[str] | None = None) -> dict[bytes, Found]:
    """What is to be placed, by path, in order."""
    told = [] if warnings is None else warnings
    fd = os.open(path, os.O_RDONLY)
    try:
        package = rpms.read(fd, path.name)
        rpms.verify(fd, package, path.name)
        found = {}
        for _, placeable in rpm_payload.members(
            fd,
            package,
            path.name,
            users=IDS.get,
            groups=IDS.get,
            warn=lambda what, mend="": told.append(what),
        ):
            assert placeable.entry.path not in found
            found[placeable.entry.path] = Found(placeable.entry, b"".join(placeable.chunks()))
        return found
    finally:
        os.close(fd)


def dumped(path: Path) -> dict[bytes, list[str]]:
    """As `rpm --dump` has it: path size time digest mode owner group config doc device link."""
    said = subprocess.check_output(["rpm", "-qp", "--dump", path], text=True)
    rows = (line.split(" ") for line in said.splitlines())
    return {row[0].lstrip("/").encode(): row[1:] for row in rows}


def test_the_files_of_a_package_are_those_that_rpm_lists(thing: Path) -> None:
    found, listed = read(thing), dumped(thing)
    ghosts = {b"var/lib/thing/ghost"}
    assert listed.keys() - ghosts == found.keys() and ghosts < listed.keys()
    for path, (entry, content) in found.items():
        size, time, _, mode, owner, group, _, _, _, link = listed[path]
        unknown = stat.S_ISUID * (owner not in IDS) | stat.S_ISGID * (group not in IDS)
        if entry.kind is not Kind.SYMLINK:
            assert entry.mode == int(mode, 8) & 0o7777 & ~unknown, path
        assert (entry.uid, entry.gid) == (IDS.get(owner, 0), IDS.get(group, 0))
        assert entry.mtime == int(time) * 10**9
        if entry.kind is Kind.SYMLINK:
            assert entry.link == link.encode() == b"thing"
        if entry.kind is Kind.FILE:
            assert len(content) == entry.size == int(size)


def unpacked_by_rpm(path: Path) -> dict[bytes, bytes]:
    """The contents of the files, by path."""
    subprocess.run(["rpm2archive", "-n", path], check=True, capture_output=True)
    contents: dict[bytes, bytes] = {}
    with tarfile.open(f"{path}.tar") as archive:
        for info in archive:
            stream = archive.extractfile(info) if info.isreg() or info.islnk() else None
            if stream is not None:
                contents[info.name.removeprefix("./").encode()] = stream.read()
    return contents


def test_the_contents_are_those_that_rpm_unpacks(thing: Path, tmp_path: Path) -> None:
    path = tmp_path / "thing.rpm"
    path.write_bytes(thing.read_bytes())
    theirs = unpacked_by_rpm(path)
    files = {name: one for name, one in read(thing).items() if one.entry.kind is Kind.FILE}
    assert len(files) == 6
    assert {name: one.content for name, one in files.items()} == {
        name: theirs[name] for name in files
    }


def test_the_names_of_one_file_are_links_to_the_first_that_is_made(thing: Path) -> None:
    names = [b"usr/bin/thing", b"usr/bin/again", b"usr/bin/third"]
    found = [one for path, one in read(thing).items() if path in names]
    assert [one.entry.kind for one in found] == [Kind.FILE, Kind.HARDLINK, Kind.HARDLINK]
    assert found[0].content == b"program\n"
    assert {one.entry.link for one in found[1:]} == {found[0].entry.path}
    assert {one.entry.mode for one in found} == {0o4755}


def test_owners_that_the_root_does_not_know_are_root_and_have_no_setuid(thing: Path) -> None:
    warnings: list[str] = []
    found = read(thing, warnings)
    assert any("no user 'nobody-knows'" in one for one in warnings)
    assert any("no group 'nobody-knows'" in one for one in warnings)
    empty, folder = found[b"usr/share/thing/empty"].entry, found[b"var/lib/thing"].entry
    assert (empty.uid, empty.mode) == (0, 0o600)
    assert (folder.uid, folder.gid, folder.mode) == (1, 0, 0o750)


def test_capabilities_are_an_attribute(thing: Path) -> None:
    entry = read(thing)[b"usr/bin/capable"].entry
    both = 1 << 12 | 1 << 13
    assert entry.xattrs == (
        (b"security.capability", struct.pack("<5I", 0x02000001, both, 0, 0, 0)),
    )


@pytest.mark.root_only
@pytest.mark.parametrize(
    "text",
    [
        *("cap_net_raw=ep", "cap_net_raw,cap_net_admin+p", "cap_chown=eip", "=ep cap_chown-e"),
        *("cap_checkpoint_restore,cap_bpf=i", "all=p", "cap_kill=p cap_kill+i"),
    ],
)
def test_capabilities_are_what_setcap_makes_of_the_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    done = subprocess.run(["setcap", text, path], check=False, capture_output=True, text=True)
    if done.returncode:  # a kernel, or a mount, that lacks one of them
        assert "=ep cap_chown-e" in text, done.stderr
        return
    theirs = os.getxattr(path, "security.capability")
    assert file_capabilities.xattr(text) == theirs


@pytest.mark.parametrize("text", ["cap_nothing=ep", "cap_chown", "cap_chown=x", "=" * 5000])
def test_capabilities_that_make_no_sense_are_told(text: str) -> None:
    with pytest.raises(ArchiveError):
        file_capabilities.xattr(text)


def test_no_capabilities_are_no_attribute() -> None:
    assert file_capabilities.xattr("") is None
    assert file_capabilities.xattr("cap_chown=") is None


@pytest.mark.parametrize(
    "packing", ["w9.gzdio", "w6.xzdio", "w3.zstdio", "w9.bzdio", "w6.lzdio", "w.ufdio"]
)
def test_every_packing_of_rpmbuild_is_read(packing: str, tmp_path: Path) -> None:
    spec = (
        "Name: packed\nVersion: 1\nRelease: 1\nBuildArch: noarch\n%description\nX.\n"
        "%install\nmkdir %{buildroot}/etc\nseq 10000 > %{buildroot}/etc/numbers\n"
        "%files\n/etc/numbers\n"
    )
    path = rpm(tmp_path, spec, macros={"_binary_payload": packing})
    assert recognise(path, "it").name == "packed"
    (found,) = read(path).values()
    assert found.content.split() == [b"%d" % number for number in range(1, 10001)]


@pytest.mark.root_only
def test_device_nodes_are_read(tmp_path: Path) -> None:
    spec = (
        "Name: nodes\nVersion: 1\nRelease: 1\nBuildArch: noarch\n%description\nX.\n%install\n"
        "mkdir %{buildroot}/dev\n%files\n%dev(c,1,3) %attr(0666,root,root) /dev/null\n"
        "%dev(b,8,17) /dev/sdb1\n"
    )
    found = read(rpm(tmp_path, spec))
    assert found[b"dev/null"].entry.kind is Kind.CHARACTER
    assert found[b"dev/null"].entry.device == (1, 3)
    assert found[b"dev/sdb1"].entry.device == (8, 17)
    assert found[b"dev/sdb1"].entry.kind is Kind.BLOCK


def test_scripts_are_told_with_what_runs_them(thing: Path, tmp_path: Path) -> None:
    spec = (
        "Name: scripts\nVersion: 1\nRelease: 1\nBuildArch: noarch\n%description\nX.\n%files\n"
        "%pretrans -p <lua>\nposix.mkdir('/x')\n%pre\nuseradd x\n%post -p /sbin/ldconfig\n"
        "%posttrans\necho end\n%preun\necho gone\n%triggerin -- a, b\necho in\n%triggerun -- a\n"
        "echo un\n%filetriggerin -- /usr/lib\necho file\n%transfiletriggerin -- /usr\necho all\n"
    )
    path = rpm(tmp_path, spec)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = {one.name: (one.interpreter, one.text) for one in rpms.read(fd, "it").scripts()}
    finally:
        os.close(fd)
    assert found == {
        "%pretrans": ("<lua>", "posix.mkdir('/x')"),
        "%pre": ("/bin/sh", "useradd x"),
        "%post": ("/sbin/ldconfig", ""),
        "%posttrans": ("/bin/sh", "echo end"),
        "%triggerin": ("/bin/sh", "echo in"),
        "%filetriggerin": ("/bin/sh", "echo file"),
        "%transfiletriggerin": ("/bin/sh", "echo all"),
    }


def made(tmp_path: Path, payload: bytes, tags: Tags | None = None) -> Path:
    path = tmp_path / "made.rpm"
    path.write_bytes(put_together(minimal() if tags is None else tags, gzipped(payload)))
    return path


def test_a_package_of_our_own_hands_is_one_for_rpm_too(tmp_path: Path) -> None:
    path = made(tmp_path, newc(("./f", b"")))
    assert dumped(path).keys() == read(path).keys() == {b"f"}


def test_the_form_of_packages_with_large_files_is_read(thing: Path, tmp_path: Path) -> None:
    """rpm writes it for a file of 4 GiB; here the payload of a small one is rewritten."""
    tags, _ = taken_apart(thing.read_bytes())
    found = read(thing)
    paths = list(dumped(thing))
    members = []
    last = max(paths.index(b"usr/bin/" + name) for name in (b"thing", b"again", b"third"))
    for number, path in enumerate(paths):
        if path not in found:
            continue  # the ghost
        entry, content = found[path]
        content = entry.link if entry.kind is Kind.SYMLINK else content
        if path.startswith(b"usr/bin/") and entry.kind in (Kind.FILE, Kind.HARDLINK):
            content = content if path == b"usr/bin/capable" else b""
            content = b"program\n" if number == last else content
        members.append((number, content))
    del tags[5092], tags[5097]
    path = made(tmp_path, stripped(*members), tags)
    again = read(path)
    assert again == found
    listed = subprocess.run(
        ["rpm2archive", "-n", path], check=True, capture_output=True, cwd=tmp_path
    )
    assert listed.returncode == 0  # rpm unpacks it as well


def test_a_package_from_before_compressed_file_names_is_read(tmp_path: Path) -> None:
    tags = minimal()
    for tag in (1116, 1117, 1118):
        del tags[tag]
    tags[1027] = strings("/usr/bin/f")
    path = tmp_path / "old.rpm"
    path.write_bytes(put_together(tags, gzipped(newc(("usr/bin/f", b""))), region=False))
    assert read(path).keys() == {b"usr/bin/f"}
    assert dumped(path).keys() == {b"usr/bin/f"}


def test_a_package_of_the_sixth_format_is_read(tmp_path: Path) -> None:
    """As far as it differs: no md5, no sha1, and numbers in place of names in every payload."""
    payload = gzipped(stripped((0, b"text")))
    tags = minimal() | {
        1028: numbers(4),
        5092: strings(hashlib.sha256(payload).hexdigest()),
        5093: numbers(8),
    }
    whole = put_together(tags, payload)
    header = whole[whole.rindex(b"\x8e\xad\xe8") : -len(payload)]
    vouching = {273: (6, 1, hashlib.sha256(header).hexdigest().encode() + b"\0")}
    path = tmp_path / "six.rpm"
    path.write_bytes(put_together(tags, payload, signature=vouching))
    assert recognise(path, "it").name == "made"
    assert read(path)[b"f"].content == b"text"
    path.write_bytes(put_together(tags, payload[:-1] + b"x", signature=vouching))
    with pytest.raises(ArchiveError, match="the sha256 of its payload is"):
        recognise(path, "it")


def test_times_that_no_clock_shows_are_the_latest(tmp_path: Path) -> None:
    tags = minimal() | {1034: (5, 1, b"\xff" * 8), 1006: (5, 1, b"\xff" * 8)}
    entry = read(made(tmp_path, newc(("f", b"")), tags))[b"f"].entry
    assert entry.mtime == ((1 << 32) - 1) * 10**9


def two(*names: str, **more: tuple[int, int, bytes]) -> Tags:
    """The tags of a package with several files of one byte, /NAME."""
    count = len(names)
    tags = minimal()
    tags[1028] = numbers(*[1] * count)
    tags[1030] = (3, count, struct.pack(">H", 0o100644) * count)
    for tag, value in ((1034, 0), (1037, 0), (1116, 0)):
        tags[tag] = numbers(*[value] * count)
    for tag in (1039, 1040):
        tags[tag] = strings(*["root"] * count)
    tags[1117] = strings(*names)
    return tags


HOSTILE: dict[str, Callable[[], tuple[bytes, Tags]]] = {
    "is in the payload, and not in the header": lambda: (newc(("./g", b"")), minimal()),
    "is in the header, and its content not in the payload": lambda: (newc(), minimal()),
    "comes twice": lambda: (newc(("f", b""), ("./f", b"")), minimal()),
    "has 3 bytes, and 0 in the header": lambda: (newc(("f", b"abc")), minimal()),
    "has the md5": lambda: (
        newc(("f", b"")),
        minimal() | {1035: strings("0" * 32)},
    ),
    "is no cpio header": lambda: (b"070700" + newc(("f", b""))[6:], minimal()),
    "is no number": lambda: (newc(("f", b"")).replace(b"00000002", b"0000000z", 1), minimal()),
    "the payload is cut off": lambda: (newc(("f", b""))[:-8], minimal()),
    "bytes are missing": lambda: (newc(("f", b"abcdefgh"))[:116], minimal() | {1028: numbers(8)}),
    "has a name of 1048576 bytes": lambda: (
        b"070701" + b"0" * 88 + b"00100000" + b"0" * 8,
        minimal(),
    ),
    "has a name of 0 bytes": lambda: (b"070701" + b"0" * 104, minimal()),
    "the payload has no file 7": lambda: (stripped((7, b"")), minimal()),
    "does not fit together": lambda: (newc(), minimal() | {1034: numbers(1, 2)}),
    "list of files does not": lambda: (newc(), minimal() | {1116: numbers(9)}),
    "its tag 1028 makes no sense": lambda: (newc(), minimal() | {1028: strings("x")}),
    "its tag 1117 makes no sense": lambda: (newc(), minimal() | {1117: numbers(1)}),
    "its name can't be": lambda: (newc(), minimal() | {1000: (6, 1, b"../../x\0")}),
    "its release can't be": lambda: (newc(), minimal() | {1002: (6, 1, b"a b\0")}),
    "is a whiteout": lambda: (newc((".wh.f", b"")), minimal() | {1117: strings(".wh.f")}),
    "a character device 0, 0": lambda: (
        newc(("f", b"")),
        minimal() | {1030: (3, 1, struct.pack(">H", 0o020600))},
    ),
    "a link that leads nowhere": lambda: (
        newc(("f", b"")),
        minimal() | {1030: (3, 1, struct.pack(">H", 0o120777))},
    ),
    "a link to something else": lambda: (
        newc(("f", b"away")),
        minimal() | {1030: (3, 1, struct.pack(">H", 0o120777)), 1036: strings("here")},
    ),
    "packed with broken": lambda: (newc(), minimal() | {1125: (6, 1, b"broken\0")}),
    "a hard link with a content of its own": lambda: (
        newc(("f", b"a"), ("g", b"b")),
        two("f", "g") | {1095: numbers(1, 1), 1096: numbers(5, 5)},
    ),
    "has capabilities that make no sense": lambda: (
        newc(("f", b"")),
        minimal() | {5010: strings("drop table")},
    ),
}


@pytest.mark.parametrize("words", HOSTILE)
def test_a_package_that_makes_no_sense_is_told(words: str, tmp_path: Path) -> None:
    payload, tags = HOSTILE[words]()
    with pytest.raises(ArchiveError) as caught:
        read(made(tmp_path, payload, tags))
    assert words in str(caught.value) and "made.rpm" in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "size"),
    [(0, 0), (1 << 16, 1 << 10), (1, 1 << 29), (1 << 31, 1 << 31), (5, 1 << 27)],
)
def test_a_header_that_claims_what_is_not_there_is_told(
    entries: int, size: int, tmp_path: Path
) -> None:
    whole = put_together(minimal(), gzipped(newc(("f", b""))))
    at = whole.rindex(b"\x8e\xad\xe8") + 8
    path = tmp_path / "it.rpm"
    path.write_bytes(whole[:at] + struct.pack(">II", entries, size) + whole[at + 8 :])
    with pytest.raises(ArchiveError, match=r"claims|cut off"):
        recognise(path, "it")


def test_a_count_that_claims_what_is_not_there_is_told(tmp_path: Path) -> None:
    for type, count in ((4, 1 << 31), (8, 1 << 31), (5, 1 << 29), (7, 1 << 32 - 1), (77, 1)):
        tags = minimal() | {1034: (type, count & 0xFFFFFFFF, b"\0\0\0\0")}
        with pytest.raises(ArchiveError, match=r"makes no sense|does not fit"):
            read(made(tmp_path, newc(("f", b"")), tags))


def test_names_that_lead_out_stay_inside(tmp_path: Path) -> None:
    tags = minimal() | {1117: strings("x"), 1118: strings("/../../etc/")}
    assert read(made(tmp_path, newc(("./../../etc/x", b"")), tags)).keys() == {b"etc/x"}
