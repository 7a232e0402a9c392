"""`gc`: what nothing needs goes, of the layout and of the state, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import filesystems
from genoci.build import collect as collecting
from genoci.build.collect import Collected, Limits, collect
from genoci.build.operations import clean, shell_failed
from genoci.build.state import using
from genoci.errors import LayoutError, MachineError
from genoci.layer.compress import Compression
from genoci.oci.digest import chain_ids
from genoci.snapshot.driver import AUTO, Driver
from workshop import Workshop

DRIVERS = [
    pytest.param(name, marks=[pytest.mark.filesystem(kind)] if kind else [])
    for name in filesystems.DRIVERS
    for kind in [name.partition(" on ")[2]]
]
YAML = """
base: {{base: empty, expand: {rootfs}}}
app: {{base: base, run: "echo {text} > /text; dd if=/dev/zero of=/big bs=1M count=4; ln /big /too"}}
top: {{base: app, run: "echo {text} >> /text"}}
"""


@dataclasses.dataclass
class Shop:
    """A workshop, the busybox root, and the driver that it builds on."""

    workshop: Workshop
    rootfs: Path
    driver: Driver = AUTO

    @property
    def state(self) -> Path:
        return self.workshop.state

    def build(self, text: str) -> dict[str, str]:
        """Build three targets, with `text` in two; their digests."""
        self.workshop.use_cache = True
        yaml = YAML.format(rootfs=self.rootfs, text=text)
        outcome = self.workshop.build(yaml, driver=self.driver, epoch=1_700_000_000)
        assert outcome.ok, self.workshop.events
        return {one.target: one.digest for one in outcome.built}

    def gc(self, *, dry_run: bool = False, **limits: Any) -> Collected:
        return collect(
            self.workshop.layout,
            self.state,
            Limits(**limits),
            lambda event: None,
            driver=self.driver,
            dry_run=dry_run,
        )

    def chains(self, *tags: str) -> set[str]:
        """The names of the snapshots that these images stand on and pass through."""
        images = map(self.workshop.image, tags)
        return {chain.hex for image in images for chain in chain_ids(image.diff_ids)}

    def snapshots(self) -> set[str]:
        return {path.name for path in self.state.glob("snapshots/*/*/*") if len(path.name) == 64}

    def store(self) -> Path:
        (folder,) = self.state.glob("snapshots/*/*")
        return folder

    def listings(self) -> set[str]:
        return {path.name for path in self.state.glob("listings/*")}

    def room(self) -> int:
        """What state and blobs take on the disk, as du(1) has it."""
        folders = [str(self.state), str(self.workshop.layout_path / "blobs")]
        told = subprocess.run(
            ["du", "-sc", "--block-size=1", *folders], capture_output=True, text=True, check=True
        )
        return int(told.stdout.split()[-2])

    def two(self) -> tuple[set[str], set[str]]:
        """Build an old and a new version; the snapshots of the old alone, and those of the new."""
        self.build("old")
        old = self.chains("top")
        self.build("new")
        new = self.chains("top")
        assert self.snapshots() == old | new
        return old - new, new


@pytest.fixture
def shop(workshop: Workshop, rootfs: Path) -> Shop:
    return Shop(workshop, rootfs)


@pytest.fixture(params=DRIVERS)
def shop_on(
    request: pytest.FixtureRequest, shop: Shop, filesystem: Callable[[str], Path]
) -> Iterator[Shop]:
    """The same on every driver, where that works."""
    name, _, kind = request.param.partition(" on ")
    shop.driver = Driver(name)
    if not kind:
        yield shop
        return
    with tempfile.TemporaryDirectory(dir=filesystem(kind)) as folder:
        shop.workshop.state = Path(folder) / "state"
        yield shop
        clean(shop.state, lambda event: None)


def names(collected: Collected, kind: str) -> set[str]:
    things = [thing for thing in collected.dropped if thing.kind == kind]
    return {thing.name.removeprefix("sha256:") for thing in things}


def total(collected: Collected) -> int:
    return collected.layout.bytes + sum(thing.bytes for thing in collected.dropped)


def test_snapshots_that_no_image_stands_on_go_and_the_others_stay(shop_on: Shop) -> None:
    shop = shop_on
    first = shop.build("old")
    unneeded, needed = shop.two()
    before = shop.room()
    tried = shop.gc(keep=1, dry_run=True)
    assert shop.room() == before
    assert names(tried, "snapshot") == unneeded
    assert len(unneeded) == 2
    assert shop.gc(keep=1) == tried
    assert shop.snapshots() == needed
    freed = before - shop.room()
    assert total(tried) <= freed
    if shop.driver.name == "overlay":
        assert total(tried) > 4 << 20
        assert total(tried) == freed
    assert shop.gc(keep=1).dropped == ()
    assert shop.build("old") == first
    shop.workshop.use_cache = False
    assert shop.chains("top") <= shop.snapshots()


def test_what_is_still_needed_is_found_in_the_cache_afterwards(shop: Shop) -> None:
    shop.two()
    digests = {tag: shop.workshop.layout.tags()[tag].digest for tag in ("base", "app", "top")}
    shop.gc(keep=1)
    before = shop.snapshots()
    assert shop.build("new") == {tag: str(digest) for tag, digest in digests.items()}
    assert all(getattr(event, "cached", True) for event in shop.workshop.events)
    assert shop.snapshots() == before


def test_without_a_rule_only_what_no_tag_leads_to_goes(shop: Shop) -> None:
    unneeded, needed = shop.two()
    assert names(shop.gc(), "snapshot") == set()
    assert shop.snapshots() == unneeded | needed
    layout = shop.workshop.layout
    layout.untag([tag for tag in layout.tags() if tag.startswith("top")])
    tops = {path for path in unneeded | needed if path not in shop.chains("app", _first("app"))}
    assert len(tops) == 2
    assert names(shop.gc(), "snapshot") == tops


def _first(name: str) -> str:
    return f"{name}-{time.strftime('%Y-%m-%d')}_1"


def test_an_entry_without_a_tag_keeps_its_snapshots(shop: Shop) -> None:
    unneeded, needed = shop.two()
    layout = shop.workshop.layout
    descriptor = msgspec.structs.replace(layout.tags()[_first("top")], annotations={})
    with layout.editing_index() as index:
        layout.write_index(index.with_untagged([descriptor]))
    assert names(shop.gc(keep=1), "snapshot") == set()
    assert shop.snapshots() == unneeded | needed


def test_a_cache_entry_that_stays_keeps_the_snapshot_of_its_target(shop: Shop) -> None:
    """One layer, of two targets on different bases: the tag of one keeps the entry of the other."""
    yaml = (
        f"base: {{base: empty, expand: {shop.rootfs}}}\n"
        "other: {base: base, run: echo other > /other}\n"
        "one: {base: base, run: echo same > /bin/same}\n"
        "two: {base: other, run: echo same > /bin/same}\n"
    )
    shop.workshop.use_cache = True
    assert shop.workshop.build(yaml, epoch=1).ok
    layout = shop.workshop.layout
    kept = shop.chains("two")
    assert shop.workshop.layers("one")[-1] == shop.workshop.layers("two")[-1]
    layout.untag([tag for tag in layout.tags() if tag.startswith("two")])
    shop.gc()
    assert shop.snapshots() >= kept
    layout.untag([tag for tag in layout.tags() if tag.startswith("one")])
    shop.gc()
    assert shop.snapshots() == shop.chains("other")


def test_listings_go_with_the_layers_that_they_are_of(shop: Shop) -> None:
    shop.two()
    needed = {digest.partition(":")[2] for digest in shop.workshop.layers("top")}
    assert shop.listings() > needed
    unneeded = shop.listings() - needed
    assert names(shop.gc(keep=1), "listing") == unneeded
    assert shop.listings() == needed


# A state that serves several layouts.


def another(shop: Shop, name: str = "another") -> Shop:
    """The same state with another layout."""
    workshop = Workshop(shop.workshop.folder)
    workshop.layout_path = shop.workshop.folder / name
    workshop.state = shop.state
    return Shop(workshop, shop.rootfs)


def test_what_another_layout_needs_stays(shop: Shop) -> None:
    unneeded, needed = shop.two()
    other = another(shop)
    other.build("other")
    theirs = other.chains("top") - needed
    assert names(shop.gc(keep=1), "snapshot") == unneeded
    assert shop.snapshots() == needed | theirs
    assert {digest.partition(":")[2] for digest in other.workshop.layers("top")} <= shop.listings()


def aged(path: Path, days: float) -> None:
    moment = time.time() - days * 24 * 3600
    os.utime(path, (moment, moment))


def test_as_long_as_a_layout_can_not_be_asked_what_was_used_of_late_stays(shop: Shop) -> None:
    unneeded, needed = shop.two()
    other = another(shop)
    other.build("other")
    theirs = other.chains("top") - needed
    other.workshop.layout_path.rename(shop.workshop.folder / "away")
    waiting = shop.gc(keep=1)
    assert names(waiting, "snapshot") == set()
    assert waiting.spared == len(unneeded | theirs)
    assert waiting.absent == (str(other.workshop.layout_path),)
    (shop.workshop.folder / "away").rename(other.workshop.layout_path)
    assert names(shop.gc(), "snapshot") == unneeded
    shutil.rmtree(other.workshop.layout_path)
    for name in theirs:
        aged(shop.store() / name / "lock", 13.9)
    assert names(shop.gc(), "snapshot") == set()
    for name in theirs:
        aged(shop.store() / name / "lock", 14.1)
    assert names(shop.gc(), "snapshot") == theirs


def test_a_layout_that_has_long_been_gone_is_not_waited_for(shop: Shop) -> None:
    _, needed = shop.two()
    other = another(shop)
    other.build("other")
    shutil.rmtree(other.workshop.layout_path)
    notes = sorted((shop.state / "layouts").iterdir())
    assert len(notes) == 2
    collected = shop.gc(keep=1, unused_days=0)
    assert shop.snapshots() == needed
    assert collected.spared == 0
    (note,) = (shop.state / "layouts").iterdir()
    assert note.read_text() == str(shop.workshop.layout_path.resolve())


def test_standing_on_a_snapshot_is_using_it(shop: Shop) -> None:
    shop.build("old")
    for path in shop.store().iterdir():
        aged(path / "lock", 100)
    shop.workshop.build("more: {base: top, run: echo more > /more}")
    used = {p.name for p in shop.store().iterdir() if (p / "lock").stat().st_mtime > 1 + _days(50)}
    assert used == shop.chains("more") - shop.chains("app")


def _days(days: float) -> float:
    return time.time() - days * 24 * 3600


# What somebody stands on.


def test_the_failed_root_stays_and_what_it_stands_on(shop_on: Shop) -> None:
    shop = shop_on
    shop.build("old")
    below = shop.chains("top")
    yaml = "bad: {base: top, run: 'echo evidence > /evidence; false'}"
    assert not shop.workshop.build(yaml, driver=shop.driver).ok
    layout = shop.workshop.layout
    layout.untag(list(layout.tags()))
    assert names(shop.gc(), "snapshot") == set()
    assert shop.snapshots() == below
    argv = ("/bin/grep", "evidence", "/evidence")
    assert shell_failed(shop.state, argv, lambda event: None, shop.driver) == 0


def test_while_a_build_uses_the_layout_nothing_goes(shop: Shop) -> None:
    unneeded, needed = shop.two()
    tags = shop.workshop.layout.tags()
    with shop.workshop.layout.holding(shared=True), pytest.raises(LayoutError, match="in use"):
        shop.gc(keep=1)
    assert shop.snapshots() == unneeded | needed
    assert shop.workshop.layout.tags() == tags


def test_a_state_in_use_is_left_and_the_layout_is_not(shop: Shop) -> None:
    unneeded, needed = shop.two()
    with using(shop.state):
        collected = shop.gc(keep=1)
    assert collected.layout.tags and collected.layout.blobs
    assert collected.dropped == ()
    assert len(collected.left) == 1 and "in use by a build or a shell" in collected.left[0]
    assert shop.snapshots() == unneeded | needed
    assert names(shop.gc(), "snapshot") == unneeded


# What nobody can be asked for.


def test_downloads_and_remembered_inputs_go_when_nobody_has_used_them(shop: Shop) -> None:
    shop.build("old")
    folder = shop.state / "downloads" / "sha256"
    folder.mkdir(parents=True)
    for name in ("a" * 64, "b" * 64, "c" * 64 + ".part", "d" * 64 + ".part"):
        (folder / name).write_bytes(b"x" * 5000)
    (remembered,) = (shop.state / "inputs").iterdir()
    traces = shop.state / "traces"
    traces.mkdir(exist_ok=True)
    for name in ("a" * 16, "b" * 16):
        (traces / name).touch()
    parts = (folder / ("a" * 64), folder / ("c" * 64 + ".part"))
    for path in (*parts, remembered, traces / ("a" * 16)):
        aged(path, 14.1)
    collected = shop.gc()
    assert names(collected, "download") == {"a" * 64}
    assert names(collected, "input") == {remembered.name}
    assert names(collected, "trace") == {"a" * 16}
    assert names(collected, "leftover") == {f"downloads/sha256/{'c' * 64}.part"}
    assert {path.name for path in folder.iterdir()} == {"b" * 64, "d" * 64 + ".part"}
    assert names(shop.gc(unused_days=0), "download") == {"b" * 64}


def test_what_a_build_needs_of_the_host_stays_remembered(shop: Shop) -> None:
    shop.build("old")
    (remembered,) = (shop.state / "inputs").iterdir()
    aged(remembered, 100)
    shop.build("old")
    assert names(shop.gc(), "input") == set()
    assert remembered.exists()


def test_caches_of_package_managers_go_when_nobody_has_used_them(shop: Shop) -> None:
    shop.build("old")
    old, new = "1" * 32, "2" * 32
    for name in (old, new):
        cache = shop.state / "packages" / name / "cache"
        (cache / "deep").mkdir(parents=True)
        (cache / "deep" / "file").write_bytes(b"x" * 10_000)
        (shop.state / "packages" / f"{name}.lock").touch()
    step = shop.state / "packages" / new / "step"
    step.mkdir()
    (step / "debris").touch()
    aged(shop.state / "packages" / f"{old}.lock", 14.1)
    collected = shop.gc()
    assert names(collected, "cache") == {old}
    assert names(collected, "leftover") == {f"packages/{new}/step"}
    assert total(collected) > 10_000
    assert {p.name for p in (shop.state / "packages").iterdir()} == {new, f"{new}.lock"}
    assert (shop.state / "packages" / new / "cache" / "deep" / "file").exists()
    assert not step.exists()


def test_what_killed_builds_left_goes_and_is_told(shop: Shop) -> None:
    shop.build("old")
    store = shop.store()
    left = {
        store / "active-0123456789abcdef" / "fs" / "file",
        store / "dead-0123456789abcdef" / "fs" / "file",
        store / "kept-0123456789abcdef" / "fs" / "file",
        shop.state / ".genoci-doctor-abc_12" / "file",
        shop.state / "building" / ("a" * 64),
        shop.state / "listings" / ".genoci-0123456789abcdef",
        shop.state / ".genoci-0123456789abcdef",
        store / f"{'a' * 64}.making",
        shop.workshop.layout_path / ".genoci-0123456789abcdef",
    }
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("debris")
    tried = shop.gc(dry_run=True)
    assert all(path.exists() for path in left)
    assert shop.gc() == tried
    assert len(names(tried, "leftover")) + len(tried.layout.leftovers) == len(left)
    assert not [path for path in left if path.exists()]
    assert shop.chains("top") == shop.snapshots()


def test_half_a_snapshot_goes_and_what_stood_on_it(shop: Shop) -> None:
    shop.build("old")
    base, app, top = chain_ids(shop.workshop.image("top").diff_ids)
    (shop.store() / app.hex / "parent").unlink()
    collected = shop.gc()
    assert shop.snapshots() == {base.hex}
    told = {name.rpartition("/")[2] for name in names(collected, "leftover")}
    assert told == {app.hex, top.hex}
    before = shop.workshop.layers("top")
    shop.workshop.build("more: {base: top, run: echo more > /more}")
    assert shop.workshop.layers("more")[:3] == before


# Hostile and odd states.


def test_no_link_is_followed_and_nothing_foreign_is_touched(shop: Shop, tmp_path: Path) -> None:
    unneeded, needed = shop.two()
    outside = tmp_path / "outside"
    for name in ("fs/file", f"{'e' * 64}/fs/file", "file", "a" * 64, f"{'1' * 12}/{'e' * 64}/boot"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text("precious")
        aged(outside / name, 100)
    state, store = shop.state, shop.store()
    links = [
        store / ("a" * 64),
        store / "active-0123456789abcdef",
        store / f"{'b' * 64}.making",
        store.parent / ("1" * 12),
        state / "snapshots" / "copy",
        state / "downloads",
        state / "packages",
        state / ".genoci-abc",
    ]
    for path in links:
        path.symlink_to(outside)
    shutil.rmtree(state / "building")
    (state / "building").symlink_to(outside)
    odd = [store / "x\n\x1b[31m\udcff", state / "listings" / "-rf", state / "inputs" / "\udcff"]
    for path in odd:
        path.write_text("not genoci's")
        aged(path, 100)
    (state / "listings" / ("9" * 64)).mkdir()
    before = sorted(outside.rglob("*"))
    collected = shop.gc(keep=1, unused_days=0)
    assert sorted(outside.rglob("*")) == before
    assert all(path.is_symlink() for path in links)
    assert all(path.exists() for path in odd)
    assert names(collected, "snapshot") == unneeded
    left = [path for path in store.iterdir() if path.is_dir() and not path.is_symlink()]
    assert {path.name for path in left} == needed
    told = " ".join(collected.left)
    assert "downloads" in told and "packages" in told and "building" in told
    for path in [*links, state / "building"]:
        path.unlink()


def test_snapshots_that_stand_on_each_other_in_a_circle_are_no_snapshots(shop: Shop) -> None:
    shop.build("old")
    base, _, top = chain_ids(shop.workshop.image("top").diff_ids)
    (shop.store() / base.hex / "parent").write_text(str(top))
    shop.gc()
    assert shop.snapshots() == set()


def test_a_link_in_the_place_of_a_tree_is_removed_and_not_followed(
    shop: Shop, tmp_path: Path
) -> None:
    shop.build("old")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("precious")
    fake = shop.store() / ("a" * 64)
    fake.mkdir()
    (fake / "fs").symlink_to(tmp_path / "outside")
    (fake / "parent").touch()
    (fake / "boot").write_text(Path("/proc/sys/kernel/random/boot_id").read_text())
    shop.gc()
    assert not fake.exists()
    assert (tmp_path / "outside" / "file").read_text() == "precious"


def test_notes_of_layouts_that_are_nonsense_harm_nobody(shop: Shop) -> None:
    unneeded, needed = shop.two()
    notes = shop.state / "layouts"
    (notes / ("a" * 64)).write_bytes(b"\0\xff/../..\n" * 2000)
    (notes / ("b" * 64)).write_bytes(b"")
    (notes / ("c" * 64)).symlink_to("/etc/passwd")
    os.mkfifo(notes / ("d" * 64))
    (notes / "foreign").write_text("/")
    collected = shop.gc(keep=1, unused_days=0)
    assert names(collected, "snapshot") == unneeded
    assert shop.snapshots() == needed


def test_a_state_may_have_any_name(shop: Shop) -> None:
    shop.build("old")
    clean(shop.state, lambda event: None)
    shop.workshop.state = shop.workshop.folder / "\udcff\n"
    (shop.state / "building").mkdir(parents=True)
    (shop.state / "building" / ("a" * 64)).touch()
    (shop.state / "inputs").symlink_to("/etc")
    collected = shop.gc(unused_days=0)
    assert names(collected, "leftover") == {f"building/{'a' * 64}"}
    assert "inputs" in collected.left[0]
    (shop.state / "inputs").unlink()


def test_without_a_state_none_is_made(shop: Shop) -> None:
    shop.two()
    clean(shop.state, lambda event: None)
    collected = shop.gc(keep=1)
    assert collected.layout.tags and not collected.dropped and not collected.left
    assert not shop.state.exists()


def test_what_is_no_directory_is_left(shop: Shop) -> None:
    shop.build("old")
    clean(shop.state, lambda event: None)
    shop.state.write_text("no state")
    assert "no directory" in shop.gc(keep=1).left[0]
    assert shop.state.read_text() == "no state"
    shop.state.unlink()


def test_without_a_namespace_the_files_go_and_the_snapshots_are_left(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MachineError("no user namespaces here", mend="Ask for some.")

    unneeded, needed = shop.two()
    monkeypatch.setattr(collecting, "enter", refuse)
    collected = shop.gc(keep=1)
    assert collected.layout.tags
    assert len(names(collected, "listing")) == 2
    assert names(collected, "snapshot") == set()
    assert "the snapshots" in collected.left[0] and "no user namespaces" in collected.left[0]
    assert shop.snapshots() == unneeded | needed


@pytest.mark.root_only
def test_a_read_only_state_is_left(shop: Shop) -> None:
    unneeded, needed = shop.two()
    subprocess.run(["mount", "--bind", shop.state, shop.state], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", shop.state], check=True)
    try:
        tried = shop.gc(keep=1, dry_run=True)
        collected = shop.gc(keep=1)
        assert names(tried, "snapshot") == unneeded and not tried.left
        assert collected.layout.tags and not collected.dropped
        assert "may not be written to" in collected.left[0]
        assert shop.snapshots() == unneeded | needed
    finally:
        subprocess.run(["umount", shop.state], check=True)


_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.root_only
def test_snapshots_of_another_user_are_told_of_to_him_alone(shop: Shop) -> None:
    """As when a state was used with sudo: the directory is ours, and what root made is not."""
    shop.two()
    shop.state.chmod(0o777)
    for path in (shop.workshop.folder, *shop.workshop.folder.parents):
        if not path.stat().st_mode & 1:
            path.chmod(path.stat().st_mode | 0o711)
    code = (
        "import sys; from pathlib import Path\n"
        "from genoci.build.collect import Limits, collect\n"
        "from genoci.oci.layout import Layout\n"
        "found = collect(Layout.create_or_open(Path(sys.argv[1])), Path(sys.argv[2]), Limits(),"
        " print)\nprint(found.left, found.dropped)"
    )
    with tempfile.TemporaryDirectory() as theirs:
        os.chown(theirs, 65534, 65534)
        done = subprocess.run(
            [*_NOBODY, sys.executable, "-c", code, f"{theirs}/oci", str(shop.state)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "HOME": theirs, "PATH": os.defpath},
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("()"), "something was dropped"
    assert "Permission denied" in done.stdout or "another user" in done.stdout
    assert len(shop.snapshots()) == 5


# Killed, and several at once; and what the command says.

KILLED_AT = """
import mmap, os, signal, struct, sys

counter = mmap.mmap(-1, 8)
last = int(os.environ["KILL_AT"])

def before(event, arguments):
    if event not in {"os.rename", "os.remove", "os.rmdir"}:
        return
    number = struct.unpack("q", counter[:8])[0] + 1
    counter[:8] = struct.pack("q", number)
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)

from genoci.cli.main import main
sys.addaudithook(before)
sys.exit(main())
"""


def command(shop: Shop, *words: str) -> list[str]:
    where = ["--layout", str(shop.workshop.layout_path), "--state", str(shop.state)]
    return [sys.executable, "-m", "genoci", "gc", *words, *where]


def run(words: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | more
    return subprocess.run(words, capture_output=True, text=True, check=False, env=env)


def test_killed_at_any_step_the_next_one_ends_it(shop: Shop) -> None:
    expected = shop.build("new")
    for last in range(1, 1000, 2):
        _, needed = shop.two()
        words = command(shop, "--keep", "1")
        killed = run([sys.executable, "-c", KILLED_AT, *words[3:]], KILL_AT=str(last))
        assert shop.snapshots() >= needed
        assert shop.build("new") == expected
        assert run(command(shop, "--keep", "1")).returncode == 0
        assert shop.snapshots() == needed
        assert not [p for p in shop.store().iterdir() if not p.name.isalnum()]
        if killed.returncode == 0:
            break
    assert last > 10


def test_two_at_once_do_what_one_does(shop: Shop) -> None:
    _, needed = shop.two()
    other = another(shop)
    other.build("other")
    started = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in [*[command(shop, "--keep", "1")] * 3, *[command(other)] * 3]
    ]
    for process in started:
        _, errors = process.communicate()
        assert process.returncode in (0, 1), errors
        assert process.returncode == 0 or "in use" in errors
    assert run(command(shop, "--keep", "1")).returncode == 0
    assert shop.snapshots() == needed | other.chains("top")


def test_the_command_tells_what_goes_and_how_much(shop: Shop) -> None:
    unneeded, _ = shop.two()
    tried = run(command(shop, "--keep", "1", "--dry-run"))
    document = json.loads(run(command(shop, "--keep", "1", "--dry-run", "--json")).stdout)
    done = run(command(shop, "--keep", "1"))
    assert tried.stdout == done.stdout
    lines = done.stdout.splitlines()
    assert {line for line in lines if line.startswith("snapshot")} == {
        f"snapshot sha256:{name}" for name in unneeded
    }
    assert {one["name"] for one in document["snapshots"]} == {f"sha256:{n}" for n in unneeded}
    assert sum(one["bytes"] for one in document["snapshots"]) == document["bytesOf"]["snapshots"]
    assert sum(document["bytesOf"].values()) == document["bytes"] > 4 << 20
    said = tried.stderr.splitlines()[-1]
    assert said.startswith("would drop 3 tags, ") and ", 2 listings (" in said
    assert " and 2 snapshots (4.2 MB): " in said
    assert done.stderr == tried.stderr.replace("would drop", "dropped")
    again = run(command(shop, "--keep", "1"))
    assert (again.stdout, again.stderr) == ("", "nothing to drop\n")


def test_the_command_says_what_it_has_left(shop: Shop) -> None:
    shop.two()
    with using(shop.state):
        done = run(command(shop, "--keep", "1"))
    assert done.returncode == 0
    assert "warning: left alone: " in done.stderr and "in use by a build" in done.stderr


def test_a_layout_that_is_not_there_is_an_error_and_the_state_stays(shop: Shop) -> None:
    unneeded, needed = shop.two()
    shop.workshop.layout_path.rename(shop.workshop.folder / "away")
    done = run(command(shop, "--unused-days", "0"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert shop.snapshots() == unneeded | needed


def test_the_file_thins_out_dated_tags_at_each_build(shop: Shop) -> None:
    yaml = "genoci: {keep: 2}\na: {base: empty, labels: {x: '1'}}\nb: {base: a, labels: {y: '2'}}\n"
    for _ in range(4):
        assert shop.workshop.build(yaml, compression=Compression.parse("gzip")).ok
    day = time.strftime("%Y-%m-%d")
    expected = {f"{name}-{day}_{number}" for name in "ab" for number in (3, 4)}
    assert set(shop.workshop.layout.tags()) == {"a", "b", *expected}
    assert shop.workshop.build(yaml, "a").ok
    assert {tag for tag in shop.workshop.layout.tags() if tag.startswith("b-")} == {
        f"b-{day}_{number}" for number in (3, 4)
    }
