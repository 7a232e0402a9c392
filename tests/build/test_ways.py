"""However a target is built, on paper or in a root, by whom and with which driver: one layer."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.build.operations import clean
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


@pytest.mark.parametrize("driver", ["overlay", "copy"])
def test_what_runs_gives_the_same_layer_with_every_driver(
    workshop: Workshop, rootfs: Path, epoch: int, driver: str
) -> None:
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "t:\n  base: base\n  run: |\n"
        "    mkdir -p /a/b; echo x > /a/b/c; ln /a/b/c /a/d; ln -s x /a/l; chmod 4755 /a/d\n"
        "    rm /etc/group; mv /etc/passwd /etc/passwd2; rm -r /usr; mkdir /usr\n",
        driver=Driver(driver),
        epoch=epoch,
    )
    assert outcome.ok, outcome
    first = workshop.layers("t")[1]
    other = "copy" if driver == "overlay" else "overlay"
    outcome = workshop.build(
        (workshop.folder / "genoci.yaml").read_text(), driver=Driver(other), epoch=epoch
    )
    assert outcome.ok
    assert workshop.layers("t")[1] == first


ANOTHER = """
import os, sys
from pathlib import Path
import genoci.build.paper, genoci.build.rooted, genoci.build.straight, genoci.spec.yaml
from genoci import linux
import yaml, isal.isal_zlib, pyseccomp, backports.zstd, bz2, lzma
from genoci.build.schedule import Request, build
from genoci.layer.compress import Compression
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
