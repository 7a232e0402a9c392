"""The examination of a machine, on machines that are well and others that lack something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filesystems import mounted
from genoci.build.doctor.mounts import UNKNOWN, mount_of

FORBIDDING = """
import errno, runpy, sys
import pyseccomp
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
action = pyseccomp.KILL_PROCESS if sys.argv[1] == "kill" else pyseccomp.ERRNO(errno.EPERM)
for name in sys.argv[2].split(","):
    rules.add_rule(action, name)
rules.load()
sys.argv[:] = ["genoci", *sys.argv[3:]]
runpy.run_module("genoci", run_name="__main__", alter_sys=True)
"""
GENOCI = (sys.executable, "-m", "genoci")


class Told:
    """What `genoci doctor` has said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        self.status = done.returncode
        document = json.loads(done.stdout)
        self.build, self.run = document["build"], document["run"]
        self.findings: dict[str, Any] = {one["name"]: one for one in document["findings"]}

    def states(self, *names: str) -> list[str]:
        return [self.findings[name]["state"] for name in names]

    def __getitem__(self, name: str) -> str:
        return " ".join(self.findings[name][field] for field in ("state", "what", "mend"))


def doctor(state: Path, *options: str, before: tuple[str, ...] = (), **more: Any) -> Told:
    words = [*(before or GENOCI), "doctor", "--json", "--state", str(state)]
    words += ["--layout", str(state.parent / "oci"), *options]
    more = {"cwd": state.parent} | more
    return Told(subprocess.run(words, capture_output=True, text=True, check=False, **more))


def in_a_shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", f'{script} && exec "$0" "$@"', *GENOCI)


def test_where_builds_work_everything_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    told = doctor(tmp_path / "a" / "state", cwd=tmp_path)
    assert told.status == 0
    assert told.build and told.run
    assert set(
        told.states("user namespaces", "network", "container", "driver", "overlay", "state")
    ) == {"ok"}
    assert set(told.states("seccomp", "Landlock", "libraries")) == {"ok"}
    assert os.listdir(tmp_path) == []


def test_a_state_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "state" / "snapshots").mkdir(parents=True)
    assert doctor(tmp_path / "state").status == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["state", "snapshots"]


@pytest.mark.parametrize("how", ["refuse", "kill"])
def test_where_namespaces_are_forbidden_run_does_not_work_and_the_rest_does(
    how: str, tmp_path: Path
) -> None:
    before = (sys.executable, "-c", FORBIDDING, how, "unshare,mount,move_mount,open_tree")
    told = doctor(tmp_path / "state", before=before)
    assert told.status == 3
    assert told.build and not told.run
    assert told.states("user namespaces", "container", "driver") == [
        "missing",
        "unknown",
        "unknown",
    ]
    assert "seccomp" in told["user namespaces"]
    assert told.states("Landlock", "state") == ["ok", "ok"]
    assert os.listdir(tmp_path) == []


def test_where_only_overlay_can_t_be_mounted_the_driver_is_copy(tmp_path: Path) -> None:
    """As on a kernel whose overlay an unprivileged user may not mount."""
    before = in_a_shell(
        "mkdir lower upper work state && mount -t overlay overlay state"
        " -o lowerdir=lower,upperdir=upper,workdir=work,userxattr"
    )
    told = doctor(tmp_path / "state", before=("unshare", "-rm", *before))
    assert told.status == 0
    assert told.states("driver", "overlay") == ["limited", "limited"]
    assert told["driver"].startswith("limited copy: overlay does not work")
    assert str(tmp_path / "state") in told["overlay"]
    assert ".genoci-doctor" not in json.dumps(told.findings)


def test_a_driver_that_is_asked_for_and_does_not_work_is_missing(tmp_path: Path) -> None:
    told = doctor(tmp_path / "state", "--driver", "btrfs")
    assert told.status == 3
    assert "lpack setup" in told["driver"]
    assert "lpack setup" in told["btrfs"]


def test_a_proc_that_may_not_be_mounted_is_missing(tmp_path: Path) -> None:
    masked = in_a_shell("mount -t tmpfs masked /proc/fs")
    told = doctor(tmp_path / "state", before=("unshare", "-rmpf", "--mount-proc", *masked))
    assert told.status == 3
    assert told["container"].startswith("missing a container's own /proc")
    assert told.states("user namespaces") == ["ok"]


@pytest.mark.root_only
def test_without_any_proc_it_says_so(tmp_path: Path) -> None:
    before = in_a_shell("mount --make-rprivate / && umount -l /proc")
    told = doctor(tmp_path / "state", before=("unshare", "-m", *before))
    assert told.status == 3
    assert "mount -t proc" in told["/proc"]
    assert told.states("user namespaces", "container") == ["unknown", "unknown"]
    assert os.listdir(tmp_path) == []


def test_a_state_that_can_t_be_written_is_missing_and_nothing_can_be_built(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    before = in_a_shell("mount --bind state state && mount -o remount,ro,bind state")
    told = doctor(tmp_path / "state", before=("unshare", "-rm", *before))
    assert told.status == 3
    assert not told.build and not told.run
    assert "--state" in told["state"]
    assert told.states("container", "driver") == ["unknown", "unknown"]


def test_a_state_that_is_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    told = doctor(tmp_path / "state")
    assert (told.status, told.build) == (3, False)


def test_without_subordinate_ids_it_tells_what_is_lost_and_how_to_get_them(tmp_path: Path) -> None:
    told = doctor(tmp_path / "state", before=("unshare", "-r", *GENOCI))
    assert told.status == 0
    assert told["subordinate ids"].startswith("limited")
    assert "start it with more" in told["subordinate ids"]
    assert "there is nobody else" in told["user namespaces"]


@pytest.mark.root_only
def test_somebody_without_a_name_a_home_and_subordinate_ids(tmp_path: Path) -> None:
    (tmp_path / "his").mkdir()
    os.chown(tmp_path / "his", 4242, 4242)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o111)
    told = doctor(
        tmp_path / "his" / "state",
        user=4242,
        group=4242,
        extra_groups=[],
        env={**os.environ, "HOME": "/nowhere"},
    )
    assert told.status == 0
    assert "usermod" in told["subordinate ids"]
    assert os.listdir(tmp_path / "his") == []


@pytest.mark.root_only
@pytest.mark.parametrize("kind", ["tmpfs", "xfs", "btrfs"])
def test_on_every_filesystem(kind: str, tmp_path: Path) -> None:
    with mounted(kind, tmp_path) as place:
        told = doctor(place / "state")
        assert told.status == 0
        assert told.states("driver", "overlay") == ["ok", "ok"]
        assert told.states("reflink") == ["note" if kind == "tmpfs" else "ok"]
        assert told.states("btrfs") == ["ok" if kind == "btrfs" else "note"]
        assert f"free on {kind}" in told["state"]
        assert os.listdir(place) == []


def test_proxies_are_named_without_what_they_hold(tmp_path: Path) -> None:
    secret = "http://me:secret@host:3128"
    told = doctor(tmp_path / "state", env={**os.environ, "HTTPS_PROXY": secret, "no_proxy": ""})
    assert told["proxies"].startswith("note HTTPS_PROXY")
    assert "secret" not in json.dumps(told.findings)


def test_a_layout_and_its_tags_are_told_and_a_damaged_one_too(tmp_path: Path) -> None:
    (tmp_path / "oci").mkdir()
    (tmp_path / "oci" / "index.json").write_text("{")
    told = doctor(tmp_path / "state")
    assert told.states("layout") == ["limited"]
    assert told.status == 0


def test_a_text_for_people_ends_with_what_it_means(tmp_path: Path) -> None:
    words = [*GENOCI, "doctor", "--state", str(tmp_path / "state")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("Builds work here")
    assert done.stderr == ""


def test_mounts_are_read_from_the_kernel_s_table(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 0:5 / /with\\040blank rw,nodev shared:1 - btrfs /dev/loop0 rw,user_subvol_rm_allowed\n"
        "3 1 0:6 / /with ro - tmpfs tmpfs rw\n"
        "4 1 0:7 / /with ro - xfs /dev/sdb rw\n"
    )
    assert mount_of(Path("/elsewhere"), table).kind == "ext4"
    assert mount_of(Path("/with/a"), table).kind == "xfs"
    found = mount_of(Path("/with blank/a"), table)
    assert (found.point, found.kind) == ("/with blank", "btrfs")
    assert {"nodev", "user_subvol_rm_allowed"} <= set(found.options)
    assert mount_of(Path("/"), tmp_path / "missing") == UNKNOWN
