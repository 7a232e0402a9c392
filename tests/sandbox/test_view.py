"""What a worker may still change on the host."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genoci import linux
from genoci.errors import MachineError
from genoci.sandbox import userns
from genoci.sandbox.view import private_view


def refused(attempt: Callable[[], object]) -> str:
    """The name of the error with which the kernel refuses it."""
    with pytest.raises(OSError) as error:
        attempt()
    return errno.errorcode[error.value.errno or 0]


def enter() -> None:
    userns.enter(userns.plan(), warn=lambda what, mend: None)


def test_only_the_given_paths_can_be_written(apart: Any, tmp_path: Path) -> None:
    for name in ("state", "layout", "other"):
        (tmp_path / name).mkdir()

    def body() -> str:
        enter()
        private_view([tmp_path / "state", tmp_path / "layout"])
        (tmp_path / "state" / "file").write_text("written")
        (tmp_path / "layout" / "folder").mkdir()
        return refused((tmp_path / "other" / "file").touch)

    assert apart(body) == "EROFS"
    assert (tmp_path / "state" / "file").read_text() == "written"


def test_paths_may_lie_in_each_other_and_be_links(apart: Any, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")

    def body() -> None:
        enter()
        private_view([tmp_path / "a" / "b", tmp_path / "link", tmp_path / "a"])
        (tmp_path / "a" / "b" / "file").touch()
        (tmp_path / "a" / "file").touch()

    apart(body)
    assert (tmp_path / "a" / "b" / "file").exists()


def test_what_is_mounted_in_them_stays_as_writable_as_it_was(apart: Any, tmp_path: Path) -> None:
    for name in ("state/writable", "state/locked"):
        (tmp_path / name).mkdir(parents=True)

    def body() -> str:
        enter()
        for name, flags in (("writable", 0), ("locked", linux.MS_RDONLY)):
            linux.mount(b"t", os.fsencode(tmp_path / "state" / name), b"tmpfs", flags)
        private_view([tmp_path / "state"])
        (tmp_path / "state" / "writable" / "file").touch()
        return refused((tmp_path / "state" / "locked" / "file").touch)

    assert apart(body) == "EROFS"


def test_a_relative_path_is_found_from_where_the_worker_stands(apart: Any, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()

    def body() -> None:
        os.chdir(tmp_path / "state")
        enter()
        private_view([Path(".")])
        Path("file").touch()

    apart(body)
    assert (tmp_path / "state" / "file").exists()


def test_a_place_on_a_read_only_filesystem_is_an_error(apart: Any, tmp_path: Path) -> None:
    def body() -> tuple[str, str]:
        enter()
        linux.mount(b"t", os.fsencode(tmp_path), b"tmpfs", linux.MS_RDONLY)
        with pytest.raises(MachineError) as error:
            private_view([tmp_path])
        return error.value.what, error.value.where

    assert apart(body) == ("the filesystem is mounted read-only", str(tmp_path))


def test_the_harmless_devices_work(apart: Any, tmp_path: Path) -> None:
    def body() -> bytes:
        enter()
        private_view([tmp_path])
        Path("/dev/null").write_text("gone")
        subprocess.run(["true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        with open("/dev/zero", "rb") as zero:
            return zero.read(3)

    assert apart(body) == b"\0\0\0"


def test_setuid_files_have_no_effect_in_it(apart: Any, tmp_path: Path) -> None:
    def body() -> tuple[int, int]:
        enter()
        private_view([tmp_path])
        flags = [os.statvfs(path).f_flag & os.ST_NOSUID for path in ("/usr", tmp_path)]
        return flags[0], flags[1]

    assert apart(body) == (os.ST_NOSUID, os.ST_NOSUID)


@pytest.mark.root_only
def test_root_can_no_longer_write_what_root_owns(apart: Any, tmp_path: Path) -> None:
    """The identity map takes no ownership away: each of these works without the view."""
    host_name = socket.gethostname()
    knob = next(p for p in Path("/sys/kernel").rglob("*") if p.is_file() and os.access(p, os.W_OK))
    swappiness = Path("/proc/sys/vm/swappiness").read_text()

    def body() -> dict[str, str]:
        enter()
        private_view([tmp_path])
        return {
            "/etc": refused(Path("/etc/genoci-was-here").touch),
            "/usr": refused(lambda: os.chmod("/usr/bin/env", 0o755)),
            "/proc/sys": refused(lambda: Path("/proc/sys/vm/swappiness").write_text(swappiness)),
            "host name": refused(lambda: Path("/proc/sys/kernel/hostname").write_text(host_name)),
            "sethostname": refused(lambda: socket.sethostname(host_name)),
            "/sys": refused(lambda: os.open(knob, os.O_WRONLY)),
            "/dev": refused(Path("/dev/genoci-was-here").touch),
            "cgroups": refused(lambda: os.mkdir("/sys/fs/cgroup/genoci")),
        }

    found = apart(body)
    assert found.pop("sethostname") == "EPERM"
    assert set(found.values()) == {"EROFS"}, found
    assert socket.gethostname() == host_name


@pytest.mark.root_only
def test_root_can_no_longer_open_a_device_that_root_owns(apart: Any, tmp_path: Path) -> None:
    """Also a node that lies in the writable part: disk or memory, one rule holds for all."""
    node = tmp_path / "disk"
    try:
        os.mknod(node, 0o660 | 0o060000, os.makedev(7, 255))  # a loop device that is not in use

        def body() -> tuple[str, str, str]:
            enter()
            private_view([tmp_path])
            return (
                refused(lambda: os.open(node, os.O_RDONLY)),
                refused(lambda: os.open("/dev/kmsg", os.O_WRONLY)),
                refused(lambda: os.mknod(tmp_path / "new", 0o060660, os.makedev(7, 255))),
            )

        assert apart(body) == ("EACCES", "EACCES", "EPERM")
    finally:
        node.unlink()


def test_without_the_view_the_same_attempt_succeeds(apart: Any, tmp_path: Path) -> None:
    """The negative control: it is the view that refuses, not something else."""
    (tmp_path / "state").mkdir()

    def body() -> None:
        enter()
        (tmp_path / "other").touch()

    apart(body)
    assert (tmp_path / "other").exists()
