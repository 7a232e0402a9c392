"""Which driver is taken, on filesystems that can and that can't."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci import linux
from genoci.errors import MachineError, UsageError
from genoci.oci.digest import Digest
from genoci.snapshot.copy import Copy
from genoci.snapshot.driver import Driver
from genoci.snapshot.overlay import Overlay
from genoci.snapshot.probe import pick


class Warnings(list[str]):
    def __call__(self, what: str) -> None:
        self.append(what)


def an_overlay(folder: Path) -> Path:
    """A filesystem on which no other overlay can write: another overlay."""
    for name in ("lower", "upper", "work", "mounted"):
        (folder / name).mkdir()
    options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work,userxattr"
    linux.mount(b"overlay", os.fsencode(folder / "mounted"), b"overlay", 0, options.encode())
    return folder / "mounted"


def a_ramfs(folder: Path) -> Path:
    """A filesystem without extended attributes."""
    linux.mount(b"ramfs", os.fsencode(folder), b"ramfs")
    return folder


UNFIT = {"overlay": an_overlay, "ramfs": a_ramfs}


@pytest.fixture(params=UNFIT)
def unfit(request: pytest.FixtureRequest, tmp_path: Path, namespace: None) -> Iterator[object]:
    make = UNFIT[request.param]
    return lambda: make(tmp_path)


def test_auto_is_overlay_where_that_works(tmp_path: Path, namespace: None) -> None:
    warnings = Warnings()
    assert isinstance(pick(Driver("auto"), tmp_path, "map", warn=warnings).trees, Overlay)
    assert warnings == []
    assert os.listdir(tmp_path / "snapshots" / "overlay" / "map") == []


def test_auto_falls_back_to_copy_and_says_so(unfit) -> None:
    state = unfit()
    warnings = Warnings()
    assert isinstance(pick(Driver("auto"), state, "map", warn=warnings).trees, Copy)
    assert len(warnings) == 1
    assert "copying instead" in warnings[0]
    assert str(state) in warnings[0]


def test_who_asks_for_overlay_gets_nothing_else(unfit) -> None:
    state = unfit()
    with pytest.raises(MachineError, match="does not work") as caught:
        pick(Driver("overlay"), state, "map", warn=Warnings())
    assert "local filesystem" in caught.value.mend


def test_copy_works_where_overlay_does_not(unfit) -> None:
    snapshots = pick(Driver("copy"), unfit(), "map", warn=Warnings())
    one, two = Digest.of(b"one"), Digest.of(b"two")
    with snapshots.prepare(None) as active:
        (active.root / "file").write_text("below")
        active.commit(one)
    with snapshots.prepare(one) as active:
        (active.root / "file").write_text("above")
        active.commit(two)
    with snapshots.prepare(two) as active:
        assert (active.root / "file").read_text() == "above"


def test_copy_is_taken_when_asked_for(tmp_path: Path, namespace: None) -> None:
    assert isinstance(pick(Driver("copy"), tmp_path, "map", warn=Warnings()).trees, Copy)


def test_there_is_no_other_driver(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="zfs"):
        pick(Driver("zfs"), tmp_path, "map", warn=Warnings())


def test_snapshots_of_another_id_map_are_others(tmp_path: Path, namespace: None) -> None:
    one = Digest.of(b"one")
    snapshots = pick(Driver("overlay"), tmp_path, "map", warn=Warnings())
    with snapshots.prepare(None) as active:
        active.commit(one)
    assert snapshots.exists(one)
    assert not pick(Driver("overlay"), tmp_path, "other", warn=Warnings()).exists(one)
