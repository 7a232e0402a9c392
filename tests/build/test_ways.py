"""However a target is built, on paper or in a root, by whom and with which driver: one layer."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import filesystems
from genoci.build.images import ListedTree
from genoci.build.operations import clean
from genoci.layer.change import Change
from genoci.layer.compression import Compression
from genoci.layer.entry import Entry, Kind
from genoci.layer.write import write_layer
from genoci.snapshot.driver import Driver
from workshop import Workshop, member

BASE = [
    member("./", tarfile.DIRTYPE),
    member("usr", tarfile.DIRTYPE, mode=0o755),
    member("usr/bin", tarfile.DIRTYPE, mode=0o555),
    member("usr/lib", tarfile.DIRTYPE),
    member("bin", tarfile.SYMTYPE, linkname="usr/bin"),
    member("lib", tarfile.SYMTYPE, linkname="/usr/lib"),
    member("etc", tarfile.DIRTYPE),
    ("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:7:8::/home/me:/bin/sh\n"),
    ("etc/group", "root:x:0:\nus:x:9:me\n"),
    ("usr/lib/one", "one"),
    member("usr/lib/two", tarfile.LNKTYPE, linkname="usr/lib/one"),
    member("usr/lib/three", tarfile.LNKTYPE, linkname="usr/lib/one"),
    member("dev", tarfile.DIRTYPE),
    member("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
    member("fifo", tarfile.FIFOTYPE),
    member("dir", tarfile.DIRTYPE),
    ("dir/file", "below"),
    member("dangling", tarfile.SYMTYPE, linkname="nowhere"),
]

CASES = {
    "a file over a file": "copy: new /usr/lib/one",
    "a file through a link": "copy: new /bin/tool",
    "a file through an absolute link": "copy: new /lib/tool",
    "a file into a directory": "copy: new /dir",
    "a file to a new path": "copy: new /a/b/c/d",
    "a file over a dangling link": "copy: new /dangling",
    "a file below a dangling link": "copy: new /dangling/x",
    "a file with owner and mode": "copy: {src: new, dest: /o, owner: me:us, mode: 0700}",
    "a directory over a directory": "copy: tree /dir",
    "a directory over all": "copy: tree /",
    "a directory to a new path": "copy: tree /n/m",
    "an archive": "expand: more.tar",
    "an archive below": "expand: {src: again.tar, dest: /bin/x}",
    "two archives": "expand: more.tar again.tar",
    "the base once more": "expand: base.tar",
    "steps": "steps: [copy: tree /dir, expand: more.tar, copy: new /dir/file]",
    "from an image": "copy: {src: /usr, dest: /copy, from: base}",
    "files from an image": "copy: {src: '/usr/lib/*', dest: /copy/, from: base}",
}

MORE = [
    member("bin", tarfile.DIRTYPE, mtime=1_500_000_000),
    ("bin/sh", "shell"),
    ("lib/new", "new"),
    member("dir", tarfile.SYMTYPE, linkname="etc"),
    ("dir/through", "a link of the archive"),
    ("implied/by/this", "x"),
    member("usr/lib/four", tarfile.LNKTYPE, linkname="usr/lib/two"),
    member("fifo", tarfile.DIRTYPE, mode=0o700),
    ("usr/lib/one", "replaced"),
    member("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=5),
]


@pytest.fixture
def inputs(workshop: Workshop) -> Workshop:
    workshop.tarball("base.tar", *BASE)
    workshop.tarball("more.tar", *MORE)
    workshop.tarball("again.tar", ("implied/by/that", "y"), ("bin/sh", "again"), ("dir/x", "z"))
    workshop.write("new", "new", 0o640)
    workshop.write("tree/file", "over", 0o600)
    workshop.write("tree/bin/tool", "tool", 0o755)
    workshop.write("tree/sub/deep/x", "deep")
    os.symlink("../etc", workshop.folder / "tree" / "link")
    for path in (workshop.folder / "tree").rglob("*"):
        os.utime(path, ns=(1_650_000_000_123456789, 1_650_000_000_123456789), follow_symlinks=False)
    for name in ("new", "tree"):
        os.utime(workshop.folder / name, (1_650_000_000, 1_650_000_000))
    return workshop


def in_a_root(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("genoci.build.worker.needs_a_root", lambda target: True)


@pytest.mark.parametrize("driver", ["overlay", "copy"])
@pytest.mark.parametrize("case", CASES)
def test_on_paper_and_in_a_root_the_layer_is_the_same(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch, case: str, driver: str
) -> None:
    yaml = f"base: {{base: empty, expand: base.tar}}\ntarget: {{base: base, {CASES[case]}}}\n"
    assert inputs.build(yaml).ok, inputs.events
    on_paper = inputs.layers("target")
    in_a_root(monkeypatch)
    assert inputs.build(yaml, "target", driver=Driver(driver)).ok, inputs.events
    assert inputs.layers("target")[1:] == on_paper[1:]


def test_a_tarball_onto_empty_gives_the_same_tree_in_a_root(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = "base: {base: empty, expand: base.tar}\n"
    inputs.build(yaml)
    before = inputs.tree("base")
    in_a_root(monkeypatch)
    assert inputs.build(yaml).ok, inputs.events
    after = inputs.tree("base")
    pending = [b""]
    while pending:
        path = pending.pop()
        one, other = before.node(path), after.node(path)
        assert one is not None and other is not None, path
        assert one.entry == other.entry
        assert before.names(path) == after.names(path) or sorted(before.names(path)) == sorted(
            after.names(path)
        )
        pending += [path + b"/" + name if path else name for name in before.names(path)]


DRIVERS = {
    name: pytest.param(name, marks=[pytest.mark.filesystem(kind)] if kind else [])
    for name in filesystems.DRIVERS
    for kind in [name.partition(" on ")[2]]
}


@pytest.fixture
def on(
    request: pytest.FixtureRequest, workshop: Workshop, filesystem: Callable[[str], Path]
) -> Iterator[Driver]:
    """The driver of that name; the workshop's state is where it is to work."""
    name, _, kind = request.param.partition(" on ")
    if not kind:
        yield Driver(name)
        return
    with tempfile.TemporaryDirectory(dir=filesystem(kind)) as folder:
        workshop.state = Path(folder) / "state"
        yield Driver(name)
        clean(workshop.state, lambda event: None)


on_every_driver = pytest.mark.parametrize("on", DRIVERS.values(), indirect=True)


@on_every_driver
def test_all_of_these_in_one_build_give_the_same_layers(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch, on: Driver
) -> None:
    names = {f"t{number}": case for number, case in enumerate(CASES)}
    yaml = "base: {base: empty, expand: base.tar}\n"
    yaml += "".join(f"{name}: {{base: base, {CASES[case]}}}\n" for name, case in names.items())
    assert inputs.build(yaml).ok, inputs.events
    on_paper = {name: inputs.layers(name)[1:] for name in names}
    in_a_root(monkeypatch)
    assert inputs.build(yaml, *names, driver=on).ok, inputs.events
    assert {name: inputs.layers(name)[1:] for name in names} == on_paper


SCRIPT = """
mkdir -p /a/b; echo x > /a/b/c; ln /a/b/c /a/d; ln -s x /a/l; chmod 4755 /a/d
rm /etc/group; mv /etc/passwd /etc/passwd2; rm -r /usr; mkdir /usr
"""


def what_the_script_makes(base: ListedTree, time: int) -> list[Entry]:
    """The members of its layer, in order."""
    passwd = base.node(b"etc/passwd")
    assert passwd is not None

    def one(path: str, kind: Kind, mode: int = 0o755, **fields: Any) -> Entry:
        return Entry(path.encode(), kind, mode, 0, 0, time * 10**9, **fields)

    def gone(path: str) -> Entry:
        return Entry(path.encode(), Kind.FILE, 0o644, 0, 0, 0)

    return [
        one("", Kind.DIRECTORY),
        one("a", Kind.DIRECTORY),
        one("a/b", Kind.DIRECTORY),
        one("a/b/c", Kind.FILE, 0o4755, size=2),
        one("a/d", Kind.HARDLINK, 0o4755, link=b"a/b/c"),
        one("a/l", Kind.SYMLINK, 0o777, link=b"x"),
        one("etc", Kind.DIRECTORY),
        gone("etc/.wh.group"),
        gone("etc/.wh.passwd"),
        msgspec.structs.replace(passwd.entry, path=b"etc/passwd2"),
        one("usr", Kind.DIRECTORY),
        *(gone(f"usr/.wh.{name.decode()}") for name in sorted(base.names(b"usr"))),
    ]


@on_every_driver
def test_what_runs_gives_the_layer_that_it_must_with_every_driver(
    workshop: Workshop, rootfs: Path, epoch: int, on: Driver
) -> None:
    script = SCRIPT.strip().replace("\n", "; ")
    yaml = f"base: {{base: empty, expand: {rootfs}}}\nt: {{base: base, run: '{script}'}}\n"
    assert workshop.build(yaml, driver=on, epoch=epoch).ok, workshop.events
    base = workshop.tree("base")
    content = {b"a/b/c": b"x\n", b"etc/passwd2": b"".join(base.content(b"etc/passwd"))}
    expected = write_layer(
        workshop.layout,
        [
            Change(entry, [content[entry.path]] if entry.size else ())
            for entry in what_the_script_makes(base, epoch)
        ],
        compression=Compression("none"),
    )
    assert expected is not None
    assert workshop.image("t").diff_ids[1] == expected.layer.diff_id


ANOTHER = """
import os, sys
from pathlib import Path
import genoci.build.paper, genoci.build.rooted, genoci.build.straight, genoci.spec.yaml
from genoci import linux
import yaml, isal.isal_zlib, pyseccomp, backports.zstd, bz2, lzma
from genoci.build.schedule import Request, build
from genoci.layer.compression import Compression
from genoci.oci.layout import Layout
folder = Path(sys.argv[1])
os.setgroups([]); os.setgid(54321); os.setuid(54321)
linux.prctl(linux.PR_SET_DUMPABLE, 1)  # as after the execve of a login
request = Request(file=folder / "genoci.yaml", layout=folder / "oci2", state=folder / "state2",
                  compression=Compression.parse("gzip"), epoch=1700000000)
outcome = build(request, lambda event: None)
print(outcome)
layout = Layout.at(folder / "oci2")
print("LAYERS", [str(layer.descriptor.digest) for layer in layout.resolve("t").layers])
"""


@pytest.fixture
def shared() -> Iterator[Workshop]:
    """A workshop that another user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Workshop(Path(folder))
        yield place
        clean(place.state, lambda event: None)
        clean(place.folder / "state2", lambda event: None)


@pytest.mark.root_only
def test_an_ordinary_user_without_subordinate_ids_gives_the_same_digests_as_root(
    shared: Workshop, rootfs: Path, epoch: int
) -> None:
    shared.write("rootfs.tar.gz", rootfs.read_bytes())
    yaml = (
        "base: {base: empty, expand: rootfs.tar.gz}\n"
        "t: {base: base, run: 'mkdir /a && echo x > /a/b && chmod 750 /a'}\n"
    )
    assert shared.build(yaml, epoch=epoch).ok
    expected = [str(layer.descriptor.digest) for layer in shared.image("t").layers]
    for name in ("oci2", "state2"):
        (shared.folder / name).mkdir()
        os.chown(shared.folder / name, 54321, 54321)
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER, shared.folder], capture_output=True, text=True, check=False
    )
    assert f"LAYERS {expected}" in done.stdout, done.stdout + done.stderr


def test_the_order_of_the_listing_and_the_umask_do_not_matter(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = "t: {base: empty, copy: tree /x}\n"
    inputs.build(yaml)
    first = inputs.layers("t")
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *path: sorted(listdir(*path), reverse=True))
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    before = os.umask(0o077)
    try:
        inputs.build(yaml)
    finally:
        os.umask(before)
    assert inputs.layers("t") == first
