"""Killed between any two steps, or out of space: nothing is lost, and the next command goes on."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from genoci.build.operations import clean
from killing import KILLED_AT

Place = Any


def test_a_checkout_that_was_killed_can_be_made(place: Place) -> None:
    number = 1
    while place.run("co", "base", code=KILLED_AT, env={"KILL_AT": str(number)}).returncode:
        status = json.loads(place.ok("status", "--json"))
        if status is None:
            place.ok("co", "base")
        place.change()
        assert place.ok("status").splitlines()[1:] == ["C /etc  time", "A /etc/new"]
        place.ok("abort")
        number += 1 + number // 2
    assert number > 4


@pytest.mark.parametrize("more", [(), ("--keep",)], ids=["ended", "kept"])
def test_a_checkin_that_was_killed_loses_nothing(place: Place, more: tuple[str, ...]) -> None:
    number = 1
    while True:
        place.ok("co", "base")
        place.change(str(number))
        done = place.run("ci", "new", *more, code=KILLED_AT, env={"KILL_AT": str(number)})
        out = json.loads(place.ok("status", "--json"))
        if done.returncode and out is not None and out["tag"] == "base":
            place.ok("ci", "new")
        elif out is not None:
            assert out["tag"] == "new" and not out["changes"]["added"]
            place.ok("abort")
        assert place.content("new") == f"{number}\n"
        assert len(place.layout.resolve("new").layers) == 2
        if done.returncode == 0:
            break
        number += 1 + number // 2
    assert number > 6


@pytest.mark.root_only
def test_a_full_layout_leaves_the_checkout_as_it_was(plain: Place, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "small", small], check=True)
    try:
        subprocess.run(["cp", "-r", plain.folder / "oci", small / "oci"], check=True)
        layout = ("--layout", str(small / "oci"))
        shown = Path(plain.ok("co", "base", *layout).strip())
        (shown / "big").write_bytes(os.urandom(8 << 20))
        assert "No space left" in plain.refused("ci", "new", *layout, status=1)
        assert "A /big" in plain.ok("status")
        assert (shown / "big").stat().st_size == 8 << 20
        subprocess.run(["mount", "-o", "remount,size=40m", small], check=True)
        plain.ok("ci", "new", *layout)
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.root_only
def test_a_full_state_leaves_the_checkout_as_it_was(plain: Place, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "small", small], check=True)
    before, plain.state = plain.state, small / "state"
    try:
        shown = Path(plain.ok("co", "base").strip())
        (shown / "etc" / "new").write_text("mine")
        room = os.statvfs(small)
        (small / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize))
        said = plain.refused("ci", "new", status=1)
        assert "disk is full" in said or "No space" in said
        (small / "filler").unlink()
        assert "A /etc/new" in plain.ok("status")
        plain.ok("ci", "new")
        assert plain.content("new") == "mine"
        clean(plain.state, lambda event: None)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
        plain.state = before
