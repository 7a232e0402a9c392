"""Debian packages: what dpkg-deb finds in them, we find in them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import ArchiveError
from genoci.layer.entry import Kind
from genoci.package import deb as debs
from genoci.package.archive import recognise
from packages import ar, deb

CONTROL = b"Package: it\nVersion: 1\nArchitecture: all\nDescription: for a test\n"


def read(path: Path) -> tuple[debs.Deb, list[tuple[bytes, Kind, int, int, int, int, bytes, bytes]]]:
    fd = os.open(path, os.O_RDONLY)
    try:
        package = debs.read(fd, path.name)
        found = []
        for member in debs.members(fd, package, path.name):
            entry = member.entry
            content = b"".join(member.chunks()) if entry.kind is Kind.FILE else b""
            row = (entry.mode, entry.uid, entry.gid, entry.mtime // 10**9)
            found.append((entry.path, entry.kind, *row, entry.link, content))
        return package, found
    finally:
        os.close(fd)


KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}


def as_dpkg_has_it(
    path: Path,
) -> list[tuple[bytes, Kind, int, int, int, int, bytes, bytes]]:
    raw = subprocess.check_output(["dpkg-deb", "--fsys-tarfile", path])
    found = []
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for info in archive:
            stream = archive.extractfile(info) if info.isreg() else None
            content = stream.read() if stream else b""
            mode = 0o777 if info.issym() else info.mode
            name = os.fsencode(os.path.normpath(info.name))
            link = info.linkname.removeprefix("./") if info.islnk() else info.linkname
            row = (mode, info.uid, info.gid, int(info.mtime), os.fsencode(link), content)
            found.append((b"" if name == b"." else name, KINDS[info.type], *row))
    return found


@pytest.mark.parametrize("name", ["hello", "sudo", "libc6", "bash-completion", "iputils-ping"])
def test_the_files_of_a_package_are_those_that_dpkg_finds(name: str, packages: Path) -> None:
    path = packages / f"{name}.deb"
    _, found = read(path)
    assert found == as_dpkg_has_it(path)
    assert sum(kind is Kind.FILE for _, kind, *_ in found) > 3


def test_a_setuid_bit_is_kept(packages: Path) -> None:
    _, found = read(packages / "sudo.deb")
    assert [mode for path, _, mode, *_ in found if path == b"usr/bin/sudo"] == [0o4755]


@pytest.mark.parametrize("name", ["libc6", "sudo", "file"])
def test_the_control_archive_is_the_one_that_dpkg_extracts(
    name: str, packages: Path, tmp_path: Path
) -> None:
    path = packages / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-e", path, tmp_path / "DEBIAN"], check=True)
    package, _ = read(path)
    theirs = {one.name: one.read_bytes() for one in (tmp_path / "DEBIAN").iterdir()}
    assert {**package.files, "control": package.paragraph} == theirs
    for field in ("Depends", "Pre-Depends", "Provides", "Installed-Size"):
        said = subprocess.check_output(["dpkg-deb", "-f", path, field], text=True)
        assert package.fields[field] == said.strip()


def test_conffiles_are_told(packages: Path) -> None:
    package, found = read(packages / "sudo.deb")
    assert b"etc/sudoers" in package.conffiles
    assert package.conffiles <= {path for path, *_ in found}


def test_conffiles_may_have_flags_and_blanks(tmp_path: Path) -> None:
    lines = b"/etc/my file\nremove-on-upgrade /etc/gone\n\n"
    path = tmp_path / "it.deb"
    path.write_bytes(package(control=tar(("./control", CONTROL), ("./conffiles", lines))))
    found, _ = read(path)
    assert found.conffiles == {b"etc/my file", b"etc/gone"}


def test_an_installation_runs_two_of_the_scripts(packages: Path) -> None:
    package, _ = read(packages / "sudo.deb")
    assert {"prerm", "postrm"} < package.files.keys()
    assert [(script.name, script.interpreter) for script in package.scripts()] == [
        ("preinst", "/bin/sh"),
        ("postinst", "/bin/sh"),
    ]


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "none"])
def test_every_compression_of_dpkg_deb_is_read(compression: str, tmp_path: Path) -> None:
    path = deb(tmp_path, "it", files={"etc/a": "text\n"}, compression=compression)
    assert recognise(path, "it").name == "it"
    _, found = read(path)
    assert found == as_dpkg_has_it(path)


@pytest.mark.parametrize(("ending", "tool"), [("bz2", ["bzip2"]), ("lzma", ["xz", "-Flzma"])])
def test_the_compressions_of_old_packages_are_read(
    ending: str, tool: list[str], tmp_path: Path
) -> None:
    data = subprocess.check_output([*tool, "-c"], input=tar(("./a", b"text")))
    path = tmp_path / "it.deb"
    path.write_bytes(package(data=data, data_name=f"data.tar.{ending}"))
    _, found = read(path)
    assert [(found_path, content) for found_path, *_, content in found] == [(b"a", b"text")]
    assert found == as_dpkg_has_it(path)


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, end: bool = True) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for one in members:
            if isinstance(one, tuple):
                info = tarfile.TarInfo(one[0])
                info.size = len(one[1])
                archive.addfile(info, io.BytesIO(one[1]))
            else:
                archive.addfile(one)
    return packed.getvalue()


def package(
    *,
    version: bytes = b"2.0\n",
    control: bytes | None = None,
    control_name: str = "control.tar",
    data: bytes | None = None,
    data_name: str = "data.tar",
    between: tuple[tuple[str, bytes], ...] = (),
) -> bytes:
    return ar(
        ("debian-binary", version),
        *between,
        (control_name, tar(("./control", CONTROL)) if control is None else control),
        (data_name, tar() if data is None else data),
    )


def test_what_dpkg_passes_over_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "it.deb"
    more = (("_gpgbuilder", b"signed"),)
    path.write_bytes(package(between=more) + ar(("_gpgorigin", b"signed"))[8:])
    assert recognise(path, "it").version == "1"
    subprocess.run(["dpkg-deb", "-I", path], check=True, stdout=subprocess.DEVNULL)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "is no Debian package: its member 1": lambda: ar(("control.tar", b"")),
    "is no Debian package: its member 2": lambda: ar(
        ("debian-binary", b"2.0\n"), ("data.tar", b"")
    ),
    "of the format b'3.0": lambda: package(version=b"3.0\n"),
    "of the format b'0.93": lambda: package(version=b"0.939000\n"),
    "it has no control.tar": lambda: ar(("debian-binary", b"2.0\n")),
    "compressed in a way": lambda: package(control_name="control.tar.br"),
    "compressed in a way that no": lambda: package(data_name="data.tar.Z"),
    "these are no xz data": lambda: package(control_name="control.tar.xz"),
    "no control file": lambda: package(control=tar(("./postinst", b"#!/bin/sh\n"))),
    "twice": lambda: package(control=tar(("./control", CONTROL), ("control", CONTROL))),
    "has 2 paragraphs": lambda: package(control=tar(("control", CONTROL + b"\n" + CONTROL))),
    "has 0 paragraphs": lambda: package(control=tar(("control", b"\n"))),
    "is no field": lambda: package(control=tar(("control", CONTROL + b"what?\n"))),
    "continues no field": lambda: package(control=tar(("control", b" x\n" + CONTROL))),
    "gives the field package again": lambda: package(
        control=tar(("control", CONTROL + b"package: other\n"))
    ),
    "its Package can't be": lambda: package(
        control=tar(("control", CONTROL.replace(b": it", b": ../../etc/passwd")))
    ),
    "its Version can't be": lambda: package(
        control=tar(("control", CONTROL.replace(b": 1", b": 1 2")))
    ),
    "its control file has no Architecture": lambda: package(
        control=tar(("control", CONTROL.replace(b"Architecture: all\n", b"")))
    ),
    "cut off in the member": lambda: package().replace(b"10240     `", b"999999999 `"),
    "there is no header": lambda: package().replace(b"10240     `", b"-1        `"),
    "damaged at its byte": lambda: package().replace(b"10240     `", b"0x2800    `"),
    "is no Debian package: its member 2 is b'#1/20'": lambda: package(control_name="#1/20"),
    "is no Debian package: its member 2 is b'/0'": lambda: package(control_name="/0"),
}


@pytest.mark.parametrize("words", HOSTILE)
def test_a_package_that_makes_no_sense_is_told(words: str, tmp_path: Path) -> None:
    path = tmp_path / "it.deb"
    path.write_bytes(HOSTILE[words]())
    with pytest.raises(ArchiveError) as caught:
        recognise(path, "pool/it.deb")
    assert words in str(caught.value) and "pool/it.deb" in str(caught.value)


@pytest.mark.parametrize("tool", [["gzip"], ["xz"], ["zstd", "-q"]])
def test_a_control_archive_that_unpacks_to_very_much_is_told(
    tool: list[str], tmp_path: Path
) -> None:
    bomb = subprocess.check_output([*tool, "-c"], input=tar(("x", bytes(64 << 20))))
    path = tmp_path / "it.deb"
    ending = {"gzip": "gz", "xz": "xz", "zstd": "zst"}[tool[0]]
    path.write_bytes(package(control=bomb, control_name=f"control.tar.{ending}"))
    with pytest.raises(ArchiveError, match="unpacks to more than 16 MiB"):
        recognise(path, "it")


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (info("usr/.wh.bin"), "is a whiteout"),
        (info("usr/.wh..wh..opq"), "is a whiteout"),
        (info("x" * 300), "File name too long"),
        (info("link", tarfile.SYMTYPE, linkname="x" * 5000), "File name too long"),
    ],
)
def test_what_no_package_may_bring_is_told_with_its_name(
    member: tarfile.TarInfo, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "it.deb"
    path.write_bytes(package(data=tar(member)))
    with pytest.raises(ArchiveError) as caught:
        read(path)
    assert words in str(caught.value) and "it.deb: " in str(caught.value)


def test_a_name_that_leads_out_stays_inside(tmp_path: Path) -> None:
    path = tmp_path / "it.deb"
    path.write_bytes(package(data=tar(("../../etc/x", b""), ("/abs/olute", b""))))
    _, found = read(path)
    assert [row[0] for row in found] == [b"etc/x", b"abs/olute"]
