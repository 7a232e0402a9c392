"""Extended attributes and ACLs in archives: layer rules 22."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from pathlib import Path

import pytest

from genoci.errors import ArchiveError
from genoci.layer import pax, tar
from genoci.layer.entry import Entry, Kind

Xattrs = tuple[tuple[bytes, bytes], ...]
FILE = Entry(b"f", Kind.FILE, 0o644, 0, 0, 0)


def read_one(archive: bytes) -> Entry:
    (member,) = tar.read(io.BytesIO(archive), name="a.tar")
    return member.entry


def with_records(*records: tuple[bytes, bytes]) -> Entry:
    """The entry that a PAX header with exactly these records gives."""
    name = b"user." + b"x" * 99
    made = tar.write_header(Entry(b"f", Kind.FILE, 0o644, 0, 0, 0, xattrs=((name, b""),)))
    body = pax.pack(records)
    header = bytearray(made[:512])
    header[124:136] = b"%011o\0" % len(body)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return read_one(bytes(header) + body + tar.padding(len(body)) + made[-512:] + tar.END)


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY = 0xFFFFFFFF


def test_capabilities_and_user_xattrs_are_kept_whatever_their_bytes() -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    xattrs = (
        (b"security.capability", capability),
        (b"user.a=b%c%3D", b"equals\nand percent"),
        (b"user.bytes", bytes(range(256))),
        (b"user.empty", b""),
    )
    entry = Entry(b"f", Kind.FILE, 0o755, 0, 0, 0, xattrs=xattrs)
    assert read_one(tar.write_header(entry) + tar.END) == entry


@pytest.mark.parametrize(
    "name",
    [
        b"security.selinux",
        b"trusted.overlay.opaque",
        b"user.overlay.whiteout",
        b"user.genoci.node",
    ],
)
def test_what_describes_the_machines_own_filesystem_is_dropped(name: bytes) -> None:
    entry = with_records((b"SCHILY.xattr." + name, b"x"), (b"SCHILY.xattr.user.mine", b"y"))
    assert entry.xattrs == ((b"user.mine", b"y"),)
    bsdtar = with_records((b"LIBARCHIVE.xattr." + name, b"eA"))
    assert bsdtar.xattrs == ()


def test_names_that_only_look_like_dropped_ones_are_kept() -> None:
    for name in (b"user.overlayed", b"user.genocide", b"security.selinux2", b"trusted.x"):
        assert with_records((b"SCHILY.xattr." + name, b"")).xattrs == ((name, b""),)


def test_xattrs_of_bsdtar_are_decoded() -> None:
    entry = with_records((b"LIBARCHIVE.xattr.user.a%20b%3D", b"AP8"), (b"path", b"g"))
    assert entry.xattrs == ((b"user.a b=", b"\0\xff"),)
    both = with_records((b"LIBARCHIVE.xattr.user.x", b"eA=="), (b"SCHILY.xattr.user.x", b"raw"))
    assert both.xattrs == ((b"user.x", b"raw"),)
    with pytest.raises(ArchiveError, match="base64"):
        with_records((b"LIBARCHIVE.xattr.user.x", b"!"))


def test_xattrs_without_a_name_or_with_a_nul_are_errors() -> None:
    for name in (b"", b"user.\0"):
        with pytest.raises(ArchiveError, match="attribute"):
            with_records((b"SCHILY.xattr." + name, b"x"))


def test_acls_in_text_become_the_kernels_form() -> None:
    text = b"user::rwx,group::r-x,other::---,user:1000:rw-,mask::rwx,group:lab:r--:4242"
    expected = acl(
        (1, 7, NOBODY), (2, 6, 1000), (4, 5, NOBODY), (8, 4, 4242), (16, 7, NOBODY), (32, 0, NOBODY)
    )
    entry = with_records((b"SCHILY.acl.access", text), (b"SCHILY.acl.default", b"u::r,o:x\n"))
    assert dict(entry.xattrs) == {
        b"system.posix_acl_access": expected,
        b"system.posix_acl_default": acl((1, 4, NOBODY), (32, 1, NOBODY)),
    }


def test_an_acl_stored_raw_counts_before_its_text() -> None:
    raw = acl((1, 7, NOBODY))
    entry = with_records(
        (b"SCHILY.acl.access", b"user:only_a_name:rwx"),
        (b"SCHILY.xattr.system.posix_acl_access", raw),
    )
    assert entry.xattrs == ((b"system.posix_acl_access", raw),)


@pytest.mark.parametrize(
    "text", [b"user:lisa:rwx", b"nobody::rwx", b"user::rwz", b"rwx", b"user:99999999999:r--"]
)
def test_an_acl_that_cannot_be_understood_is_an_error(text: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"ACL|number"):
        with_records((b"SCHILY.acl.access", text))


def test_gnu_tar_stores_and_restores_the_same_xattrs_and_acls(tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    file = there / "f"
    file.touch()
    for name, value in {"user.a=b%c": b"1\n\0", "user.empty": b"", "user.z": b"z" * 3000}.items():
        os.setxattr(file, name, value)
    subprocess.run(["setfacl", "-m", "u:4242:rwx,g:4343:r", file], check=True)
    expected = tuple(sorted((os.fsencode(n), os.getxattr(file, n)) for n in os.listxattr(file)))
    assert b"system.posix_acl_access" in dict(expected)
    options = ["--xattrs", "--xattrs-include=*", "--acls", "--format=pax"]
    for chosen in (options, ["--xattrs", "--acls"], ["--acls", "--format=pax"]):
        made = subprocess.run(
            ["tar", "-C", there, *chosen, "-c", "f"], check=True, capture_output=True
        )
        entry = read_one(made.stdout)
        kept = (
            expected
            if "--xattrs" in chosen
            else tuple(e for e in expected if e[0][:6] == b"system")
        )
        assert entry.xattrs == kept
    again = tar.write_header(Entry(b"f", Kind.FILE, 0o664, 0, 0, 0, xattrs=expected)) + tar.END
    # with --acls too, GNU tar looks at SCHILY.acl.* alone, and skips the raw form
    extract = ["tar", "-C", back, *options[:2], "--no-same-owner", "-x"]
    subprocess.run(extract, input=again, check=True)
    found = back / "f"
    assert (
        tuple(sorted((os.fsencode(n), os.getxattr(found, n)) for n in os.listxattr(found)))
        == expected
    )
