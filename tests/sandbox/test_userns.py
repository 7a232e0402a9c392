"""Becoming root of a namespace of our own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genoci import linux
from genoci.errors import MachineError
from genoci.sandbox import userns

ENTER = """
import os, sys
from genoci.errors import GenociError
from genoci.sandbox import userns
try:
    userns.enter(userns.plan(), warn=lambda what, mend: print("warning:", what, "|", mend))
except GenociError as error:
    print("status", error.exit_status)
    print(error)
else:
    print("uid", os.getuid(), os.geteuid(), os.getgid())
"""


def entered(*prefix: str, first: str = "") -> str:
    """What a program says that enters, started by `prefix`, after `first` has run there."""
    command = [*prefix, "sh", "-ec", f'{first}\nexec "$@"', "sh", sys.executable, "-c", ENTER]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_caller_becomes_root_and_may_mount(apart: Any, tmp_path: Path) -> None:
    def body() -> tuple[int, int, bool]:
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        linux.mount(b"t", os.fsencode(tmp_path), b"tmpfs")
        (tmp_path / "inside").touch()
        return os.getuid(), os.getgid(), os.path.ismount(tmp_path)

    assert apart(body) == (0, 0, True)
    assert not (tmp_path / "inside").exists()


def test_mounts_of_the_namespace_are_not_seen_outside(apart: Any, tmp_path: Path) -> None:
    def body() -> None:
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        assert "shared:" not in Path("/proc/self/mountinfo").read_text()

    apart(body)


def test_other_ids_are_there_if_the_map_has_them(apart: Any, tmp_path: Path) -> None:
    def body() -> tuple[int, int]:
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        path = tmp_path / "file"
        path.touch()
        os.chown(path, 5, 7)
        found = path.stat()
        path.unlink()
        return found.st_uid, found.st_gid

    assert apart(body) == (5, 7)


def test_the_callers_groups_still_open_his_files(apart: Any) -> None:
    def body() -> int:
        before = len(os.getgroups())
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        return len(os.getgroups()) - before

    assert apart(body) == 0


def test_without_subordinate_ids_it_works_and_says_what_is_lost(apart_as_a_user: Any) -> None:
    def body() -> tuple[int, list[str]]:
        said: list[str] = []
        own = (userns.Extent(0, os.getuid(), 1),), (userns.Extent(0, os.getgid(), 1),)
        userns.enter(userns.IdMap("single", *own), warn=lambda *words: said.extend(words))
        assert Path("/proc/self/setgroups").read_text() == "deny\n"
        return os.getuid(), said

    uid, said = apart_as_a_user(body)
    assert uid == 0
    assert "subordinate ids" in said[0]
    assert "uidmap" in said[1] and "--add-subuids" in said[1]


def test_it_works_inside_somebody_elses_namespace() -> None:
    told = entered("unshare", "-r")
    assert told.endswith("uid 0 0 0\n")
    assert told.startswith("warning: ")


def test_it_works_inside_one_that_has_many_ids(apart: Any) -> None:
    def body() -> tuple[list[str], list[str], list[str]]:
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        outer = Path("/proc/self/uid_map").read_text().split()[0::3]
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        inner = Path("/proc/self/uid_map").read_text().split()
        return outer, inner[0::3], inner[1::3]

    outer, inner, inner_outside = apart(body)
    assert outer == inner == inner_outside


def test_it_works_inside_one_where_the_caller_is_not_root_but_has_all_rights() -> None:
    assert entered("unshare", "--map-current-user", "--keep-caps").endswith("uid 0 0 0\n")


def test_where_they_are_forbidden_the_setting_is_named() -> None:
    told = entered("unshare", "-r", first="echo 0 > /proc/sys/user/max_user_namespaces")
    assert "status 3\n" in told
    assert "sysctl -w user.max_user_namespaces=" in told


@pytest.mark.parametrize(
    "setting, value",
    [
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("user/max_user_namespaces", "0"),
    ],
)
def test_each_setting_that_forbids_has_its_mend(tmp_path: Path, setting: str, value: str) -> None:
    (tmp_path / setting).parent.mkdir()
    (tmp_path / setting).write_text(f"{value}\n")
    error = userns.forbidden(OSError(errno.EPERM, "no"), settings=tmp_path)
    assert isinstance(error, MachineError)
    assert f"sysctl -w {setting.replace('/', '.')}=" in error.mend


def test_without_such_a_setting_the_mend_is_about_containers(tmp_path: Path) -> None:
    assert "container" in userns.forbidden(OSError(errno.EPERM, "no"), settings=tmp_path).mend


@pytest.mark.root_only
def test_a_chroot_has_none_and_gets_an_answer(apart: Any) -> None:
    def body() -> str:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
        linux.mount(b"/usr", b"/mnt", None, linux.MS_BIND)
        plan = userns.plan()
        os.chroot("/mnt")
        with pytest.raises(MachineError) as refused:
            userns.enter(plan, warn=lambda what, mend: None)
        return refused.value.mend

    assert "chroot" in apart(body)


def test_a_map_that_newuidmap_refuses_is_an_error(apart_as_a_user: Any) -> None:
    def body() -> str:
        uids = (userns.Extent(0, os.getuid(), 1), userns.Extent(1, 4_000_000_000, 5))
        with pytest.raises(MachineError) as refused:
            userns.enter(userns.IdMap("subordinate", uids, uids), warn=lambda what, mend: None)
        return str(refused.value)

    assert "/etc/subuid" in apart_as_a_user(body)
