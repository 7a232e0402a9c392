"""Fuzzes the readers of packages, with atheris.

    python fuzz/fuzz_package.py [CORPUS] [-max_total_time=60] [-rss_limit_mb=512] [-timeout=10]

Nothing but ArchiveError and BuildError may come out, no input may take long or much memory, and
every path is clean. The first byte chooses what the rest is: a .deb, or its control file or data
alone in a good one; an .rpm, or its header or payload alone with digests that are right; a script;
a file's capabilities; a root's sqlite database, or its dpkg status.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import struct
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["genoci"]):
    from genoci.errors import BuildError
    from genoci.layer import tar
    from genoci.layer.member import Placeable
    from genoci.package import (
        control,
        deb,
        debian_dependencies,
        file_capabilities,
        rpm,
        rpm_database,
        rpm_dependencies,
        rpm_header,
        rpm_installed,
        rpm_payload,
    )
    from genoci.package.archive import recognise
    from genoci.package.script import Script, dealt_with

MOST_CHUNKS = 4
CONTROL = b"Package: it\nVersion: 1\nArchitecture: all\n"
FILE = Path(f"/proc/self/fd/{os.memfd_create('package')}")
MAGIC = b"\x8e\xad\xe8\x01\0\0\0\0"


def put(content: bytes) -> int:
    fd = int(FILE.name)
    os.ftruncate(fd, 0)
    os.pwrite(fd, content, 0)
    return fd


def ar(*members: tuple[bytes, bytes]) -> bytes:
    packed = b"!<arch>\n"
    for name, content in members:
        packed += b"%-16s%-12d%-6d%-6d%-8d%-10d`\n" % (name, 0, 0, 0, 0, len(content))
        packed += content + b"\n" * (len(content) % 2)
    return packed


def tar_of(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def check(members: Iterable[Placeable]) -> None:
    for member in members:
        entry = member.entry
        assert entry.path == tar.clean(entry.path), entry
        assert b".." not in entry.path.split(b"/"), entry
        assert entry.size >= 0 and 0 <= entry.mode <= 0o7777, entry
        for chunk in itertools.islice(member.chunks(), MOST_CHUNKS):
            assert 0 < len(chunk) <= 1 << 20


def read_deb(content: bytes) -> None:
    fd = put(content)
    package = deb.read(fd, "fuzz")
    assert "/" not in package.identity.name and not package.identity.name.startswith(".")
    for script in package.scripts():
        dealt_with(script)
    _ = package.conffiles
    debian_dependencies.unmet([package.fields], debian_dependencies.Packages())
    check(deb.members(fd, package, "fuzz"))


def read_rpm(content: bytes) -> None:
    fd = put(content)
    package = rpm.read(fd, "fuzz")
    rpm.verify(fd, package, "fuzz")
    for script in package.scripts():
        dealt_with(script)
    provided = rpm_dependencies.Provided(lambda _: False)
    provided.add(package.header, ())
    list(rpm_dependencies.unmet([("it", package.header)], provided))
    ids = {"root": 0}.get
    members = rpm_payload.members(fd, package, "fuzz", users=ids, groups=ids, warn=lambda *_: None)
    check(member.placeable for member in members)
    rpm_database.made([(1, rpm_installed.installed(package, 1))])


def header(entries: bytes, data: bytes) -> bytes:
    return MAGIC + struct.pack(">II", len(entries) // 16, len(data)) + entries + data


def vouched(main: bytes, payload: bytes) -> bytes:
    """A package whose digest is right, since no mutation guesses one."""
    digest = hashlib.md5(main + payload).digest()
    vouching = header(struct.pack(">IIII", 1004, 7, 0, 16), digest)
    return bytes(96) + vouching + main + payload


TEXTS = {1000: "made", 1001: "1", 1002: "2", 1022: "noarch", 1039: "root", 1040: "root", 1117: "f"}


def plain_header() -> bytes:
    """Of one file, /f, of five bytes."""
    entries, data = b"", b""
    values = {
        tag: (8 if tag in (1039, 1040, 1117) else 6, text.encode() + b"\0")
        for tag, text in TEXTS.items()
    }
    values[1118] = (8, b"/\0")
    values |= {tag: (4, struct.pack(">I", number)) for tag, number in ((1028, 5), (1116, 0))}
    values |= {1034: (4, bytes(4)), 1037: (4, bytes(4)), 1030: (3, b"\x81\xa4")}
    for tag, (type, value) in sorted(values.items()):
        entries += struct.pack(">IIII", tag, type, len(data), 1)
        data += value
    return header(entries, data)


def test_one_input(data: bytes) -> None:
    choice, data = data[:1], data[1:]
    try:
        match choice:
            case b"d":
                read_deb(data)
            case b"c":
                parts = (b"control.tar", tar_of("control", CONTROL + data)), (b"data.tar", b"")
                read_deb(ar((b"debian-binary", b"2.0\n"), *parts))
            case b"t":
                parts = (b"control.tar", tar_of("control", CONTROL)), (b"data.tar", data)
                read_deb(ar((b"debian-binary", b"2.0\n"), *parts))
            case b"r":
                read_rpm(data)
            case b"h":
                size = 16 * (data[0] if data else 0)
                read_rpm(vouched(header(data[1 : size + 1], data[size + 1 :]), b""))
            case b"p":
                read_rpm(vouched(plain_header(), data))
            case b"s":
                text = data.decode("utf-8", "replace")
                dealt_with(Script("it", "postinst", "/bin/sh", text))
            case b"x":
                file_capabilities.xattr(data.decode("latin-1"))
            case b"q":
                rpm_database.packages(data, "fuzz")
            case b"b":
                rpm_header.parse(data, "fuzz")
            case b"u":
                for fields in control.paragraphs(control.text(data), "fuzz"):
                    debian_dependencies.Packages().add(fields)
            case _:
                put(data)
                recognise(FILE, "fuzz")
    except BuildError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
