"""What is a package and what is none, whole ones and damaged ones, and for which machine."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from genoci.errors import ArchiveError, BuildError
from genoci.oci.platform import Platform
from genoci.package.architecture import check_architecture
from genoci.package.archive import Archive, recognise, reopened
from packages import deb, put_together, taken_apart


def refused(path: Path, **options: str) -> str:
    with pytest.raises(BuildError) as caught:
        recognise(path, "pool/it", **options)
    assert "pool/it" in str(caught.value)
    return str(caught.value)


def test_a_package_says_what_dpkg_says_it_is(packages: Path) -> None:
    for path in sorted(packages.glob("*.deb")):
        found = recognise(path, path.name)
        fields = ["Package", "Version", "Architecture"]
        said = subprocess.check_output(["dpkg-deb", "-f", path, *fields], text=True)
        values = [line.partition(": ")[2] for line in said.splitlines()]
        assert [found.name, found.version, found.architecture] == values
        assert found.family == "deb"
        assert found.size == path.stat().st_size
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_says_what_rpm_says_it_is(thing: Path) -> None:
    found = recognise(thing, thing.name)
    form = "%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE} %{ARCH}"
    said = subprocess.check_output(["rpm", "-qp", "--qf", form, thing], text=True)
    assert f"{found.name} {found.version} {found.architecture}" == said
    assert found.family == "rpm"


def test_the_name_of_the_file_means_nothing(packages: Path, thing: Path, tmp_path: Path) -> None:
    for original, name, family in (
        (packages / "hello.deb", "hello.rpm", "deb"),
        (thing, "thing.deb", "rpm"),
        (thing, "thing.tar.gz", "rpm"),
    ):
        path = tmp_path / name
        path.write_bytes(original.read_bytes())
        assert recognise(path, name).family == family


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"!<arch", b"PK\3\4" + bytes(99)])
def test_what_is_no_package_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "it.deb"
    path.write_bytes(content)
    assert "is neither a .deb nor an .rpm" in refused(path) or not content
    assert "is empty" in refused(path) or content


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    assert "is not a file" in refused(tmp_path)
    assert "can't be read: No such file" in refused(tmp_path / "none")
    with pytest.raises(BuildError, match="is not a file"):
        recognise(Path("/dev/null"), "it")


def test_an_unexpected_sha256_is_told_before_anything_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"no package")
    said = refused(path, sha256="0" * 64)
    assert "has the sha256" in said and "neither" not in said
    assert "neither" in refused(path, sha256=hashlib.sha256(b"no package").hexdigest())


def test_a_file_that_changes_after_it_was_recognised_is_told(tmp_path: Path) -> None:
    path = deb(tmp_path, "it")
    archive = recognise(path, "it")
    with reopened(archive):
        pass
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ArchiveError, match="changed while it was used"), reopened(archive):
        pass


def test_a_deb_that_is_cut_off_anywhere_is_told(tmp_path: Path) -> None:
    whole = deb(tmp_path, "it", files={"a": "some text\n"}).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole)
    assert recognise(path, "it").name == "it"
    for length in range(len(whole) - 1):  # the last byte is padding
        path.write_bytes(whole[:length])
        refused(path)


def test_an_rpm_that_is_cut_off_or_changed_anywhere_is_told(small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole)
    assert recognise(path, "it").name == "small"
    _, payload = taken_apart(whole)
    begin = len(whole) - len(payload)
    for length in (*range(0, begin, 7), *range(begin, len(whole))):
        path.write_bytes(whole[:length])
        refused(path)
    header = whole.rindex(b"\x8e\xad\xe8")
    for at in range(header, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        refused(path)


@pytest.mark.parametrize("tag", [269, 273, 1004, 5092])
def test_each_digest_of_an_rpm_is_compared(tag: int, small: Path, tmp_path: Path) -> None:
    tags, payload = taken_apart(small.read_bytes())
    path = tmp_path / "it.rpm"
    path.write_bytes(put_together(tags, payload))
    assert recognise(path, "it").name == "small"
    if tag == 5092:
        right = tags[tag][2]
        tags[tag] = (8, 1, right.replace(right[:1], b"f" if right[:1] != b"f" else b"e", 1))
        path.write_bytes(put_together(tags, payload))
    else:
        wrong = (7, 16, bytes(16)) if tag == 1004 else (6, 1, b"0" * 40 + b"\0")
        path.write_bytes(put_together(tags, payload, signature={tag: wrong}))
    assert "the package is damaged: the" in refused(path)


def test_a_payload_that_nothing_vouches_for_is_refused(small: Path, tmp_path: Path) -> None:
    tags, payload = taken_apart(small.read_bytes())
    del tags[5092]
    path = tmp_path / "it.rpm"
    path.write_bytes(put_together(tags, payload, signature={1007: (4, 1, bytes(4))}))
    assert "carries no digest of its payload" in refused(path)


def test_a_source_package_is_refused(small: Path, tmp_path: Path) -> None:
    tags, payload = taken_apart(small.read_bytes())
    path = tmp_path / "it.rpm"
    path.write_bytes(put_together(tags | {1106: (4, 1, b"\0\0\0\1")}, payload))
    assert "is a source package" in refused(path)


def archive(family: str, architecture: str) -> Archive:
    return Archive(Path("it"), "pool/it", family, "it", "1", architecture, "0" * 64, 1)


@pytest.mark.parametrize(
    ("family", "architecture", "platform"),
    [
        ("deb", "all", "linux/s390x"),
        ("deb", "amd64", "linux/amd64"),
        ("deb", "i386", "linux/386"),
        ("deb", "armhf", "linux/arm/v7"),
        ("deb", "armhf", "linux/arm"),
        ("deb", "armel", "linux/arm/v6"),
        ("deb", "ppc64el", "linux/ppc64le"),
        ("deb", "arm64", "linux/arm64/v8"),
        ("deb", "loong64", "linux/loong64"),
        ("rpm", "noarch", "linux/riscv64"),
        ("rpm", "x86_64", "linux/amd64"),
        ("rpm", "i686", "linux/386"),
        ("rpm", "i386", "linux/386"),
        ("rpm", "armv7hl", "linux/arm/v7"),
        ("rpm", "armv5tel", "linux/arm/v7"),
        ("rpm", "aarch64", "linux/arm64"),
        ("rpm", "loongarch64", "linux/loong64"),
    ],
)
def test_a_package_suits_its_machine(family: str, architecture: str, platform: str) -> None:
    check_architecture(archive(family, architecture), Platform.parse(platform))


@pytest.mark.parametrize(
    ("family", "architecture", "platform"),
    [
        ("deb", "arm64", "linux/amd64"),
        ("deb", "i386", "linux/amd64"),
        ("deb", "x86_64", "linux/amd64"),
        ("deb", "armhf", "linux/arm/v6"),
        ("rpm", "i686", "linux/amd64"),
        ("rpm", "amd64", "linux/arm64"),
        ("rpm", "armv7hl", "linux/arm/v6"),
        ("rpm", "ppc64", "linux/ppc64le"),
    ],
)
def test_a_package_for_another_machine_is_refused_by_both_names(
    family: str, architecture: str, platform: str
) -> None:
    with pytest.raises(BuildError) as caught:
        check_architecture(archive(family, architecture), Platform.parse(platform))
    for word in ("pool/it", architecture, platform):
        assert word in str(caught.value)
