"""What overlay filesystems show, and what is made of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from filesystems import mounted
from genoci.errors import BuildError
from genoci.oci.digest import Digest
from genoci.snapshot.driver import Driver
from genoci.snapshot.overlay import MOST_LAYERS, Overlay
from genoci.snapshot.probe import pick
from genoci.snapshot.root import Snapshots
from genoci.snapshot.store import Store

if TYPE_CHECKING:
    from conftest import Bench, Built

BELOW, ABOVE = Digest.of(b"below"), Digest.of(b"above")


@pytest.fixture
def bench(bench_of: Callable[[str], Bench]) -> Bench:
    return bench_of("overlay")


def base(root: Path) -> None:
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "dir" / "sub" / "deep").touch()
    (root / "dir" / "file").touch()
    (root / "a").touch()
    (root / "b").hardlink_to(root / "a")


def nominated(bench: Bench, on: Built, script: Callable[[Path], object]) -> set[str]:
    with bench.snapshots.prepare(on.image.chain_id) as active:
        script(active.root)
        return {os.fsdecode(candidate.path) for candidate in active.candidates()}


def test_nothing_is_nominated_where_nothing_was_touched(bench: Bench) -> None:
    assert nominated(bench, bench.build(base), lambda root: None) == set()


def test_of_a_directory_that_was_removed_it_alone_is_nominated(bench: Bench) -> None:
    def remove(root: Path) -> None:
        subprocess.run(["rm", "-r", root / "dir"], check=True)

    assert nominated(bench, bench.build(base), remove) == {"dir"}


def test_of_a_directory_made_again_all_that_it_hides_is_nominated(bench: Bench) -> None:
    def again(root: Path) -> None:
        subprocess.run(["rm", "-r", root / "dir"], check=True)
        (root / "dir" / "sub").mkdir(parents=True)

    found = nominated(bench, bench.build(base), again)
    assert found == {"dir", "dir/sub", "dir/file", "dir/sub/deep"}


def test_names_of_one_new_file_have_one_inode_number(bench: Bench) -> None:
    on = bench.build(base)
    with bench.snapshots.prepare(on.image.chain_id) as active:
        (active.root / "c").hardlink_to(active.root / "a")
        found = {candidate.path: candidate.inode for candidate in active.candidates()}
    assert found.keys() == {b"a", b"c"}
    assert found[b"a"] == found[b"c"] is not None


def test_the_parent_shows_hard_links_of_any_layer_below(bench: Bench) -> None:
    one = bench.build(base)
    two = bench.build(lambda root: (root / "c").touch(), on=one)
    three = bench.build(lambda root: (root / "d").hardlink_to(root / "c"), on=two)
    assert {path: links for path, (_, _, links) in bench.tree(three).items() if len(links) > 1} == {
        b"a": [b"a", b"b"],
        b"b": [b"a", b"b"],
        b"c": [b"c", b"d"],
        b"d": [b"c", b"d"],
    }


def test_changing_one_name_of_a_link_from_below_splits_it(bench_of: Callable[[str], Bench]) -> None:
    """The first known difference between the drivers."""
    names = {}
    for driver in ("overlay", "copy"):
        bench = bench_of(driver)
        upper = bench.build(lambda root: (root / "a").chmod(0o600), on=bench.build(base), epoch=0)
        names[driver] = [(entry.path, entry.kind.value, entry.mode) for entry in upper.entries]
    assert names == {
        "overlay": [(b"a", "file", 0o600), (b"b", "file", 0o644)],
        "copy": [(b"a", "file", 0o600), (b"b", "hardlink", 0o600)],
    }


def test_a_directory_from_below_can_be_renamed_only_by_copying(bench: Bench) -> None:
    """The second: rename(2) says EXDEV, and mv(1) copies."""
    on = bench.build(base)
    with bench.snapshots.prepare(on.image.chain_id) as active:
        with pytest.raises(OSError, match="cross-device"):
            (active.root / "dir").rename(active.root / "other")
        subprocess.run(["mv", active.root / "dir", active.root / "other"], check=True)
        assert (active.root / "other" / "sub" / "deep").exists()


def test_attributes_that_steer_overlay_filesystems_have_no_effect(bench: Bench) -> None:
    def steer(root: Path) -> None:
        base(root)
        os.setxattr(root / "dir", "user.overlay.opaque", b"y")
        os.setxattr(root / "a", "user.overlay.metacopy", b"")
        os.setxattr(root / "a", "user.overlay.redirect", b"/dir/file")

    one = bench.build(steer)
    assert all(entry.xattrs == () for entry in one.entries)
    two = bench.build(lambda root: (root / "dir" / "new").touch(), on=one)
    assert bench.tree(two) == bench.extracted(two)


@pytest.mark.parametrize("number", [120, MOST_LAYERS])
def test_so_many_layers_are_mounted(bench: Bench, number: int) -> None:
    """In a state whose path is longer than a page of mount options could ever repeat."""
    state = bench.state / ("long, and:with\\all" * 10)
    driver, top = stacked(state, number)
    with driver.prepare(top) as active:
        assert len(os.listdir(active.root)) == number
        (active.root / "0").unlink()
        (active.root / "new").touch()
        found = {candidate.path for candidate in active.candidates()}
        assert found == {b"0", b"new"}


def test_more_layers_than_the_kernel_takes_are_an_error_with_the_mend(bench: Bench) -> None:
    driver, top = stacked(bench.state / "many", MOST_LAYERS + 1)
    with pytest.raises(BuildError, match="501 layers") as caught, driver.prepare(top):
        pass
    assert "--driver copy" in caught.value.mend
    assert not [name for name in os.listdir(bench.state / "many") if name.startswith("active-")]


@pytest.mark.root_only
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_on_every_filesystem_that_should_do(
    kind: str, tmp_path: Path, in_a_namespace: Callable[[Callable[[], object]], str]
) -> None:
    """`auto` takes it without a word, and what a child changes is what it nominates."""

    def body() -> None:
        driver = pick(Driver("auto"), place, "map", warn=pytest.fail)
        assert isinstance(driver.trees, Overlay)
        with driver.prepare(None) as active:
            base(active.root)
            active.commit(BELOW)
        with driver.prepare(BELOW) as active:
            (active.root / "a").unlink()
            subprocess.run(["rm", "-r", active.root / "dir" / "sub"], check=True)
            (active.root / "dir" / "sub").mkdir()
            os.setxattr(active.root / "b", "user.a", b"1")
            active.commit(ABOVE)
        with driver.prepare(ABOVE) as active:
            assert sorted(os.listdir(active.root)) == ["b", "dir"]
            assert os.listdir(active.root / "dir" / "sub") == []
            assert os.getxattr(active.root / "b", "user.a") == b"1"
            (active.root / "dir" / "file").write_text("x")
            found = {candidate.path for candidate in active.candidates()}
            assert found == {b"dir", b"dir/file"}

    with mounted(kind, tmp_path) as place:
        assert in_a_namespace(body) == ""


def stacked(folder: Path, number: int) -> tuple[Snapshots, Digest]:
    """As many snapshots, each on the one before."""
    store = Store(folder, Overlay())
    below = None
    for name in range(number):
        with store.place(below) as place:
            (place.path / "fs").mkdir()
            (place.path / "fs" / str(name)).touch()
            below = Digest.of(b"%d" % name)
            place.commit(below)
    assert below is not None
    return Snapshots(store), below
