"""A btrfs in a file: made, mounted, found again and destroyed; and every reason not to."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from killing import KILLED_AT

Place = Any
SIZE = ("--size", "256M")


def mounts_of(place: Place) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {place.folder}/" in line]


def loops_of(place: Place) -> list[str]:
    done = subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if f"{place.folder}/" in line]


def names(place: Place) -> set[str]:
    return {path.name for path in place.folder.iterdir()} - {"state", "elsewhere"}


@pytest.fixture
def untouched(plain: Place) -> Iterator[None]:
    """Nothing has changed at the end: no file, no mount, no loop device."""
    before = names(plain)
    yield
    assert names(plain) == before
    assert not mounts_of(plain)
    assert not loops_of(plain)


@pytest.mark.root_only
def test_without_a_config_file_it_makes_all_and_takes_all_away(plain: Place) -> None:
    before = names(plain)
    plain.ok("setup", *SIZE)
    assert names(plain) - before == {"btrfs.img", "btrfs.img.genoci", "btrfs", "atom_config.yaml"}
    plain.ok("setup", *SIZE)
    assert len(mounts_of(plain)) == len(loops_of(plain)) == 1
    shown = plain.ok("co", "base").strip()
    assert shown == str(plain.folder / "btrfs" / "mounted")
    assert "lpack checkin" in plain.refused("unsetup", status=1)
    plain.change()
    plain.ok("ci", "new")
    assert plain.content("new") == "changed\n"
    plain.ok("unsetup")
    plain.ok("unsetup")
    assert names(plain) == before
    assert not mounts_of(plain) and not loops_of(plain)


@pytest.mark.root_only
def test_by_force_a_checkout_goes_too(plain: Place) -> None:
    plain.ok("setup", *SIZE)
    plain.ok("co", "base")
    plain.ok("unsetup", "-f")
    assert not mounts_of(plain) and not loops_of(plain)
    assert json.loads(plain.ok("status", "--json")) is None


@pytest.mark.root_only
def test_what_is_mounted_is_found_although_the_config_was_changed(plain: Place) -> None:
    config = plain.folder / "atom_config.yaml"
    config.write_text("lofile: one.img\nbtrfsmount: deep/er/one\n")
    plain.ok("setup", *SIZE)
    config.write_text("driver: overlay\n")
    plain.ok("unsetup")
    assert not mounts_of(plain) and not loops_of(plain)
    assert not {"one.img", "one.img.genoci", "deep"} & names(plain)
    assert config.read_text() == "driver: overlay\n"


@pytest.mark.root_only
def test_unmounted_it_is_mounted_again_and_the_checkout_goes_on(plain: Place) -> None:
    plain.ok("setup", *SIZE)
    plain.ok("co", "base")
    plain.change()
    subprocess.run(["umount", plain.folder / "btrfs"], check=True)
    assert "lpack setup" in plain.refused("status", status=3)
    plain.ok("setup")
    plain.ok("ci", "new")
    assert plain.content("new") == "changed\n"


@pytest.mark.root_only
def test_somebody_elses_file_is_not_touched(plain: Place) -> None:
    (plain.folder / "btrfs.img").write_text("precious")
    before = names(plain)
    assert "is there already" in plain.refused("setup", *SIZE, status=2)
    plain.ok("unsetup")
    assert (plain.folder / "btrfs.img").read_text() == "precious"
    assert names(plain) == before


@pytest.mark.root_only
def test_a_directory_with_something_in_it_is_not_hidden(plain: Place) -> None:
    (plain.folder / "btrfs").mkdir()
    (plain.folder / "btrfs" / "mine").write_text("")
    assert "not empty" in plain.refused("setup", *SIZE, status=2)
    assert not (plain.folder / "btrfs.img").exists()


@pytest.mark.root_only
@pytest.mark.usefixtures("untouched")
def test_too_little_space(plain: Place) -> None:
    assert "too little space" in plain.refused("setup", "--size", "900T", status=1)


@pytest.mark.root_only
@pytest.mark.usefixtures("untouched")
def test_without_mkfs(plain: Place) -> None:
    hidden = "mount --bind /dev/null $(command -v mkfs.btrfs) && exec"
    done = _in_a_namespace(plain, hidden)
    assert done.returncode == 3 and "btrfs-progs" in done.stderr, done.stderr


@pytest.mark.root_only
@pytest.mark.usefixtures("untouched")
def test_without_loop_devices(plain: Place) -> None:
    done = _in_a_namespace(plain, "mount --bind /dev/null /dev/loop-control && exec")
    assert done.returncode == 3 and "no free loop device" in done.stderr, done.stderr


def _in_a_namespace(plain: Place, first: str) -> subprocess.CompletedProcess[str]:
    prefix = ("unshare", "--mount", "sh", "-c", f'{first} "$@"', "sh")
    done: subprocess.CompletedProcess[str] = plain.run("setup", *SIZE, prefix=prefix)
    return done


@pytest.mark.usefixtures("untouched")
def test_an_ordinary_user_is_told_who_can(plain: Place) -> None:
    if os.getuid() == 0:
        return
    said = plain.refused("setup", *SIZE, status=3)
    assert "only root" in said and "driver: overlay" in said


def test_other_drivers_need_only_directories(plain: Place) -> None:
    (plain.folder / "atom_config.yaml").write_text("driver: overlay\n")
    plain.ok("setup")
    assert plain.state.is_dir()
    plain.ok("unsetup")


@pytest.mark.root_only
def test_killed_between_any_two_steps_the_next_goes_on(plain: Place) -> None:
    """Each rename, link, directory and removal is a step; SIGKILL comes before it."""
    before = names(plain)
    for words in (("setup", *SIZE), ("unsetup",)):
        number = 1
        while True:
            if words[0] == "unsetup":
                plain.ok("setup", *SIZE)
            done = plain.run(*words, code=KILLED_AT, env={"KILL_AT": str(number)})
            if done.returncode == 0:
                break
            assert done.returncode == -9, done.stderr
            plain.ok("setup", *SIZE)
            plain.ok("unsetup")
            assert names(plain) == before
            assert not mounts_of(plain) and not loops_of(plain)
            number += 1
        assert number > 3
        if words[0] == "setup":
            plain.ok("unsetup")
