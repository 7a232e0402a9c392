"""Packages made on the spot: with dpkg-deb and rpmbuild, and with our own hands for the hostile."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

TIME = "1600000000"
MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"

Tags = dict[int, tuple[int, int, bytes]]
"""By number: type, count, bytes."""


def deb(
    folder: Path,
    name: str,
    *,
    files: Mapping[str, str] | None = None,
    control: str = "",
    scripts: Mapping[str, str] | None = None,
    compression: str = "xz",
    version: str = "1.0",
    architecture: str = "all",
) -> Path:
    """A package of dpkg-deb's making; `control` are further lines of the control file, and
    `scripts` also other files of the control archive."""
    tree = folder / f"{name}.tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DEBIAN").mkdir(parents=True)
    tree.chmod(0o755)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        f"Maintainer: Nobody <nobody@localhost>\nDescription: made for a test\n{control}"
    )
    for path, text in (scripts or {}).items():
        (tree / "DEBIAN" / path).write_text(text)
        (tree / "DEBIAN" / path).chmod(0o755)
    for path, text in (files or {}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    result = folder / f"{name}.deb"
    packing = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "-b", tree, result]
    _run(packing, env={"SOURCE_DATE_EPOCH": TIME})
    shutil.rmtree(tree)
    return result


def ar(*members: tuple[str, bytes]) -> bytes:
    packed = b"!<arch>\n"
    for name, content in members:
        packed += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (
            name.encode(),
            0,
            0,
            0,
            b"100644",
            len(content),
        )
        packed += content + b"\n" * (len(content) % 2)
    return packed


def rpm(folder: Path, spec: str, *, macros: Mapping[str, str] | None = None) -> Path:
    """A package of rpmbuild's making; `spec` without what every one has to say."""
    top = folder / "rpmbuild"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(parents=True)
    (top / "test.spec").write_text(
        "Summary: made for a test\nLicense: none\nAutoReqProv: no\n%define debug_package %{nil}\n"
        f"{spec}"
    )
    settings = {
        "_topdir": str(top),
        "_rpmdir": str(top / "made"),
        "_buildhost": "localhost",
        "_tmppath": str(top),
        "clamp_mtime_to_source_date_epoch": "1",
        "use_source_date_epoch_as_buildtime": "1",
        "_dbpath": str(top / "db"),
        **(macros or {}),
    }
    options = [word for key, value in settings.items() for word in ("--define", f"{key} {value}")]
    environment = {"SOURCE_DATE_EPOCH": TIME, "HOME": str(top)}
    _run(["rpmbuild", "-bb", "--quiet", *options, top / "test.spec"], env=environment)
    (made,) = (top / "made").rglob("*.rpm")
    result = folder / made.name
    made.replace(result)
    shutil.rmtree(top)
    return result


def _run(argv: list[str | Path], env: Mapping[str, str]) -> None:
    environment = {**os.environ, **env}
    done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def taken_apart(package: bytes) -> tuple[Tags, bytes]:
    """The header's tags, without the region's, and the payload."""
    at = 96
    at += 16 + 16 * _counts(package, at)[0] + _counts(package, at)[1]
    at += -at % 8
    entries, size = _counts(package, at)
    data = package[at + 16 + 16 * entries : at + 16 + 16 * entries + size]
    slots = [struct.unpack_from(">IIII", package, at + 16 + 16 * n) for n in range(entries)]
    tags = {
        tag: (type, count, _value(data, type, offset, count)) for tag, type, offset, count in slots
    }
    tags.pop(63, None)
    return tags, package[at + 16 + 16 * entries + size :]


def put_together(
    tags: Tags, payload: bytes, *, signature: Tags | None = None, region: bool = True
) -> bytes:
    """A package whose digests are right, unless the `signature` says otherwise."""
    header = _header(tags, 63 if region else 0)
    right: Tags = {
        269: (6, 1, hashlib.sha1(header).hexdigest().encode() + b"\0"),
        1000: (4, 1, struct.pack(">I", len(header) + len(payload))),
        1004: (7, 16, hashlib.md5(header + payload).digest()),
    }
    vouching = _header(right if signature is None else signature, 62)
    lead = b"\xed\xab\xee\xdb\3\0\0\0\0\1" + b"made".ljust(66, b"\0") + b"\0\1\0\5" + bytes(16)
    return lead + vouching + bytes(-len(vouching) % 8) + header + payload


def strings(*values: str) -> tuple[int, int, bytes]:
    return 8, len(values), b"".join(value.encode() + b"\0" for value in values)


def numbers(*values: int) -> tuple[int, int, bytes]:
    return 4, len(values), struct.pack(f">{len(values)}I", *values)


def minimal(**more: tuple[int, int, bytes]) -> Tags:
    """The tags of a package of one file, /f, which is empty."""
    return {
        1000: (6, 1, b"made\0"),
        1001: (6, 1, b"1\0"),
        1002: (6, 1, b"2\0"),
        1022: (6, 1, b"noarch\0"),
        1028: numbers(0),
        1030: (3, 1, struct.pack(">H", 0o100644)),
        1034: numbers(int(TIME)),
        1037: numbers(0),
        1039: strings("root"),
        1040: strings("root"),
        1044: (6, 1, b"made.src.rpm\0"),
        1116: numbers(0),
        1117: strings("f"),
        1118: strings("/"),
        1125: (6, 1, b"gzip\0"),
    }


def newc(*members: tuple[str, bytes]) -> bytes:
    """A cpio archive; rpm takes all but name and size from its header."""
    packed = b""
    for name, content in (*members, ("TRAILER!!!", b"")):
        raw = name.encode() + b"\0"
        fields = [0] * 6 + [len(content)] + [0] * 4 + [len(raw), 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        packed += head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
    return packed


def stripped(*members: tuple[int, bytes]) -> bytes:
    """The same as rpm writes it for large files: numbers in place of names, and no sizes."""
    packed = b""
    for number, content in members:
        packed += b"07070X%08x\0\0" % number + content + bytes(-len(content) % 4)
    return packed + newc()


def gzipped(payload: bytes) -> bytes:
    return gzip.compress(payload, mtime=0)


def _counts(package: bytes, at: int) -> tuple[int, int]:
    entries, size = struct.unpack_from(">II", package, at + 8)
    return entries, size


def _value(data: bytes, type: int, offset: int, count: int) -> bytes:
    if type in (6, 8, 9):
        end = offset
        for _ in range(count):
            end = data.index(b"\0", end) + 1
        return data[offset:end]
    return data[offset : offset + count * {3: 2, 4: 4, 5: 8}.get(type, 1)]


def _header(tags: Tags, region: int) -> bytes:
    index, data = b"", b""
    for tag, (type, count, value) in sorted(tags.items()):
        data += bytes(-len(data) % {3: 2, 4: 4, 5: 8}.get(type, 1))
        index += struct.pack(">IIII", tag, type, len(data), count)
        data += value
    if region:
        head = struct.pack(">IIII", region, 7, len(data), 16)
        data += struct.pack(">IIiI", region, 7, -16 * (len(tags) + 1), 16)
        index = head + index
    return MAGIC + struct.pack(">II", len(index) // 16, len(data)) + index + data
