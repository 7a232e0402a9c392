"""Packages into a root without a package manager: on paper and on disk, and what registers them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from genoci.errors import BuildError
from genoci.layer.draft import Draft
from genoci.layer.entry import Kind, join
from genoci.layer.extract import expand
from genoci.layer.member import Placeable
from genoci.layer.tree import EMPTY_TREE, LiveTree, Tree
from genoci.package.archive import Archive, recognise
from genoci.package.install import install_members
from packages import ar, deb, numbers, put_together, rpm, strings, taken_apart
from tars import Piece, a_root, directory, file, layer, symlink, tar

EPOCH = 1_650_000_000


def keep(member: Placeable) -> Callable[[], Iterator[bytes]]:
    content = b"".join(member.chunks())
    return lambda: iter([content])


class Installed:
    """A tree on paper, with what was warned of."""

    def __init__(self, base: Tree) -> None:
        self.draft = Draft(base)
        self.warnings: list[str] = []

    def install(
        self, *archives: Archive, skip: Sequence[Archive] = (), epoch: int | None = None
    ) -> None:
        self.draft.place(
            install_members(
                archives,
                self.draft,
                skip_scripts=skip,
                epoch=epoch,
                warn=lambda what, mend="": self.warnings.append(what),
            ),
            keep,
        )

    def paths(self) -> dict[bytes, tuple[object, ...]]:
        """Everything but the root: kind, mode, owners, time, link, xattrs, content."""
        return seen(self.draft)

    def text(self, path: str) -> str:
        return b"".join(self.draft.content(path.encode())).decode()


def seen(tree: Tree) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    pending = [b""]
    while pending:
        above = pending.pop()
        for name in tree.names(above):
            path = join(above, name)
            node = tree.node(path)
            assert node is not None
            one = node.entry
            content = b"".join(tree.content(path)) if one.kind is Kind.FILE else b""
            about = (one.kind, one.mode, one.uid, one.gid, one.mtime, one.link, one.xattrs)
            found[path] = (*about, content)
            if one.kind is Kind.DIRECTORY:
                pending.append(path)
    return found


def on(*pieces: Piece) -> Installed:
    base = Draft(EMPTY_TREE)
    base.place(tar.read(io.BytesIO(layer(*pieces)), name="base"), keep)
    return Installed(base)


def known(*paths: Path) -> list[Archive]:
    return [recognise(path, path.name) for path in paths]


@pytest.fixture
def distroless(packages: Path) -> list[Archive]:
    names = ("hello", "libc6", "libgcc-s1", "gcc-12-base")
    return known(*(packages / f"{name}.deb" for name in names))


def test_the_files_of_the_packages_are_in_the_root(distroless: list[Archive]) -> None:
    root = on()
    root.install(*distroless, skip=distroless)
    for archive in distroless:
        listed = subprocess.check_output(["dpkg-deb", "--fsys-tarfile", archive.path])
        names = subprocess.check_output(["tar", "-t"], input=listed).decode().splitlines()
        for name in names:
            assert root.draft.node(os.path.normpath(name).encode().strip(b".")) is not None, name
    assert root.warnings == []


def test_each_package_is_registered_as_in_distroless_images(distroless: list[Archive]) -> None:
    root = on()
    root.install(*distroless, skip=distroless)
    names = sorted(root.draft.names(b"var/lib/dpkg/status.d"))
    wanted = [archive.name.encode() for archive in distroless]
    assert names == sorted(wanted + [name + b".md5sums" for name in wanted])
    control = subprocess.check_output(["dpkg-deb", "-I", distroless[0].path, "control"], text=True)
    assert root.text("var/lib/dpkg/status.d/hello") == control
    sums = root.text("var/lib/dpkg/status.d/hello.md5sums")
    assert "  usr/bin/hello\n" in sums
    assert sums == subprocess.check_output(
        ["dpkg-deb", "-I", distroless[0].path, "md5sums"], text=True
    )


@pytest.mark.root_only
def test_a_program_runs_in_a_root_made_of_packages(
    distroless: list[Archive], tmp_path: Path
) -> None:
    with a_root(tmp_path) as root, LiveTree(root.path) as tree:
        members = install_members(distroless, tree, skip_scripts=distroless, warn=pytest.fail)
        expand(members, root.fd, dest=b"", strip=0, warn=pytest.fail)
        said = subprocess.check_output(["chroot", root.path, "/usr/bin/hello"], text=True)
        assert said == "Hello, world!\n"


@pytest.mark.root_only
def test_paper_and_disk_agree(distroless: list[Archive], thing: Path, tmp_path: Path) -> None:
    archives = [*distroless, *known(thing)]
    before = [directory(b"usr"), directory(b"usr/lib"), symlink(b"lib", b"usr/lib")]
    paper = on(*before)
    paper.install(*archives, skip=distroless, epoch=EPOCH)
    with a_root(tmp_path) as root:
        root.extract(layer(*before))
        with LiveTree(root.path) as tree:
            members = install_members(
                archives, tree, skip_scripts=distroless, epoch=EPOCH, warn=lambda *_: None
            )
            expand(members, root.fd, dest=b"", strip=0, warn=pytest.fail)
            on_disk = seen(tree)
    on_paper = paper.paths()
    assert on_disk == on_paper
    assert on_paper[b"lib"][0] is Kind.SYMLINK and len(on_paper) > 300
    assert b"usr/lib/x86_64-linux-gnu/libc.so.6" in on_paper


def test_the_same_packages_give_the_same_root(distroless: list[Archive], thing: Path) -> None:
    roots = []
    for _ in range(2):
        root = on()
        root.install(*distroless, *known(thing), skip=distroless, epoch=EPOCH)
        roots.append(root.paths())
    assert roots[0] == roots[1]
    assert b"var/lib/rpm/rpmdb.sqlite" in roots[0]


def test_a_script_that_would_have_to_run_is_shown(packages: Path) -> None:
    (ping,) = known(packages / "iputils-ping.deb")
    root = on()
    with pytest.raises(BuildError) as caught:
        root.install(ping)
    assert "iputils-ping has a postinst script" in str(caught.value)
    assert "setcap" in str(caught.value) and "scripts: skip" in str(caught.value)
    assert list(root.draft.touched()) == []
    root = on()
    root.install(ping, skip=[ping])
    assert root.draft.node(b"bin/ping") is not None


def test_scripts_that_only_call_ldconfig_are_dealt_with(thing: Path, tmp_path: Path) -> None:
    text = '#!/bin/sh\nset -e\nif [ "$1" = configure ]; then\n  ldconfig\nfi\n'
    path = deb(tmp_path, "lib", scripts={"postinst": text, "prerm": "#!/bin/sh\nrm x\n"})
    root = on()
    root.install(*known(path, thing))
    assert root.draft.node(b"var/lib/dpkg/status.d/lib") is not None


def test_packages_that_need_each_other_come_in_any_order(tmp_path: Path) -> None:
    one = deb(tmp_path, "one", control="Depends: two (>= 1.0), virtual\n")
    two = deb(tmp_path, "two", control="Pre-Depends: one (= 1.0) | none\nProvides: virtual\n")
    for batch in ((one, two), (two, one)):
        root = on()
        root.install(*known(*batch))
        assert root.warnings == []


STATUS = b"""Package: libc6
Status: install ok installed
Version: 2.36-9
Architecture: amd64

Package: gone
Status: deinstall ok config-files
Version: 9
Architecture: all

"""


def test_what_is_missing_is_told_all_at_once(tmp_path: Path) -> None:
    control = "Depends: libc6 (>= 2.40), gone, libz (<< 2), a | b, there:any, old (>= 3~)\n"
    path = deb(tmp_path, "it", control=control)
    old = b"Package: old\nVersion: 3\nArchitecture: all\nProvides: there (= 1)\n"
    root = on(
        file(b"var/lib/dpkg/status", STATUS),
        file(b"var/lib/dpkg/status.d/old", old),
        file(b"var/lib/dpkg/status.d/old.md5sums", b"x"),
        file(b"var/lib/dpkg/status.d/bad", b"\0\xff no paragraph"),
    )
    root.install(*known(path))
    (warning,) = root.warnings
    for words in ("libc6 (>= 2.40)", "needs gone", "libz (<< 2)", "needs a | b"):
        assert words in warning
    assert "there" not in warning and "old" not in warning


def test_what_an_rpm_needs_and_is_not_there_is_told(thing: Path) -> None:
    root = on(file(b"bin/sh"))
    root.install(*known(thing))
    (warning,) = (one for one in root.warnings if "needs" in one)
    assert "packages need: thing needs something >= 1.0" in warning
    for words in ("either", "/bin/sh", "rpmlib", "before", "after", "ldconfig", ";"):
        assert words not in warning  # there, not judged, or of scripts


def test_configuration_that_was_there_before_stays(tmp_path: Path) -> None:
    files = {"etc/it.conf": "new\n", "etc/other": "new\n"}
    path = deb(tmp_path, "it", files=files, scripts={"conffiles": "/etc/it.conf\n"})
    root = on(file(b"etc/it.conf", b"mine\n"), file(b"etc/other", b"old\n"))
    root.install(*known(path))
    assert root.text("etc/it.conf") == "mine\n"
    assert root.text("etc/other") == "new\n"
    assert any("/etc/it.conf was there before it" in one for one in root.warnings)
    fresh = on()
    fresh.install(*known(path))
    assert fresh.text("etc/it.conf") == "new\n" and not fresh.warnings


def test_an_rpm_replaces_the_configuration_that_may_be(thing: Path) -> None:
    root = on(file(b"etc/thing.conf", b"mine\n"), file(b"etc/other.conf", b"mine\n"))
    root.install(*known(thing))
    assert root.text("etc/thing.conf") == "mine\n"
    assert root.text("etc/other.conf") == "b=1\n"


def test_directories_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    path = deb(tmp_path, "it", files={"srv/a": "a\n"})
    root = on(directory(b"srv", mode=0o1777, uid=7), directory(b"", mode=0o700))
    root.install(*known(path))
    srv, top = root.draft.node(b"srv"), root.draft.node(b"")
    assert srv is not None and (srv.entry.mode, srv.entry.uid) == (0o1777, 7)
    assert top is not None and top.entry.mode == 0o700


def test_the_sums_of_a_package_without_any_are_computed(tmp_path: Path) -> None:
    files = {"etc/c": "c\n", "usr/a": "a\n", "usr/empty": ""}
    path = deb(tmp_path, "it", files=files, scripts={"conffiles": "/etc/c\n"})
    root = on()
    root.install(*known(path))
    assert root.text("var/lib/dpkg/status.d/it.md5sums") == (
        "60b725f10c9c85c70d97880dfe8191b3  usr/a\nd41d8cd98f00b204e9800998ecf8427e  usr/empty\n"
    )


def test_owners_of_an_rpm_are_those_of_the_root(thing: Path) -> None:
    root = on(
        file(b"etc/passwd", b"daemon:x:42:43::/:/bin/sh\nnobody-knows:x:99:99::/:\n"),
        file(b"etc/group", b"daemon:x:43:\nbad line\nnobody-knows:x:-1:\n"),
    )
    root.install(*known(thing))
    folder, empty = root.draft.node(b"var/lib/thing"), root.draft.node(b"usr/share/thing/empty")
    assert folder is not None and (folder.entry.uid, folder.entry.gid) == (42, 0)
    assert empty is not None and (empty.entry.uid, empty.entry.mode) == (99, 0o4600)
    assert any("no group 'nobody-knows'" in one for one in root.warnings)
    assert not any("no user" in one for one in root.warnings)


def test_an_upgrade_replaces_the_entry_and_is_told(tmp_path: Path) -> None:
    root = on()
    root.install(*known(deb(tmp_path, "it", files={"a": "1\n"})))
    root.install(*known(deb(tmp_path, "it", files={"a": "2\n"}, version="2.0")))
    assert root.text("a") == "2\n"
    assert "Version: 2.0" in root.text("var/lib/dpkg/status.d/it")
    (warning,) = root.warnings
    assert "it 1.0 is in this root already" in warning


def test_a_feature_of_rpm_that_is_not_known_is_told(tmp_path: Path, small: Path) -> None:
    tags, payload = taken_apart(small.read_bytes())
    tags |= {
        1048: numbers(0x0100000A),
        1049: strings("rpmlib(TimeTravel)"),
        1050: strings("5.0-1"),
    }
    path = tmp_path / "it.rpm"
    path.write_bytes(put_together(tags, payload))
    with pytest.raises(BuildError, match="needs an rpm that knows 'TimeTravel'"):
        on().install(*known(path))


def test_an_rpm_with_a_script_is_refused_unless_it_is_skipped(tmp_path: Path) -> None:
    spec = (
        "Name: it\nVersion: 1\nRelease: 1\nBuildArch: noarch\n%description\nX.\n"
        "%files\n%post -p <lua>\nposix.mkdir('/x')\n"
    )
    (archive,) = known(rpm(tmp_path, spec))
    with pytest.raises(BuildError, match=r"it has a %post script(.|\n)*<lua>(.|\n)*posix.mkdir"):
        on().install(archive)
    on().install(archive, skip=[archive])


def test_a_package_that_comes_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    one, two = deb(tmp_path, "it"), deb(tmp_path / "new", "it", version="2.0")
    root = on()
    with pytest.raises(BuildError, match=r"are the same package, it 1.0 and 2.0"):
        root.install(*known(one, two))
    assert list(root.draft.touched()) == []


def test_a_file_of_two_packages_is_told(tmp_path: Path) -> None:
    one = deb(tmp_path, "one", files={"usr/a": "1\n", "usr/b": "1\n"})
    two = deb(tmp_path, "two", files={"usr/a": "2\n", "usr/c": "2\n"})
    root = on()
    root.install(*known(one, two))
    assert root.warnings == ["/usr/a is in one and in two, and that of two stays"]
    assert root.text("usr/a") == "2\n"


def test_names_of_one_file_have_one_sum(tmp_path: Path) -> None:
    info = tarfile.TarInfo("usr/b")
    info.type, info.linkname = tarfile.LNKTYPE, "usr/a"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        first = tarfile.TarInfo("usr/a")
        first.size = 2
        archive.addfile(first, io.BytesIO(b"a\n"))
        archive.addfile(info)
    whole = deb(tmp_path, "it", compression="none").read_bytes()
    path = tmp_path / "linked.deb"
    head = whole[: whole.index(b"data.tar")]
    path.write_bytes(head + ar(("data.tar", packed.getvalue()))[8:])
    root = on()
    root.install(*known(path))
    sums = root.text("var/lib/dpkg/status.d/it.md5sums").splitlines()
    assert sums == [f"60b725f10c9c85c70d97880dfe8191b3  usr/{name}" for name in "ab"]
    assert root.text("usr/b") == "a\n"
