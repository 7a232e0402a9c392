"""What a container needs in its root, and nobody finds there afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RESOLV = Path("/etc/resolv.conf")


def described(root: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """Mode, modification time, and content or link of all that is in the root but /bin."""
    found: dict[str, tuple[int, int, bytes | str]] = {}
    for folder, names, files in os.walk(root):
        for name in (".", *names, *files):
            path = Path(folder, name)
            status = path.lstat()
            content: bytes | str = b""
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime_ns, content)
    return {path: what for path, what in found.items() if not path.startswith("bin")}


def old(root: Path) -> None:
    for folder, names, _ in os.walk(root, topdown=False):
        for name in (".", *names):
            if not Path(folder, name).is_symlink():
                os.utime(Path(folder, name), ns=(0, 123456789))


SHAPES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda root: None,
    "the directories": lambda root: [
        (root / name).mkdir() for name in ("proc", "sys", "dev", "etc")
    ],
    "a file": lambda root: ((root / "etc").mkdir(), (root / "etc/resolv.conf").write_text("own")),
    "a dangling link": lambda root: (
        (root / "etc").mkdir(),
        (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf"),
    ),
    "an absolute link": lambda root: (
        (root / "etc").mkdir(),
        (root / "var").mkdir(),
        (root / "etc/resolv.conf").symlink_to("/var/resolv.conf"),
    ),
    "/etc as a link": lambda root: (
        (root / "usr/etc").mkdir(parents=True),
        (root / "etc").symlink_to("usr/etc"),
    ),
    "/etc as a link that leads out": lambda root: (root / "etc").symlink_to(
        "../../../../var/tmp/genoci-etc"
    ),
    "an unreadable /etc": lambda root: (root / "etc").mkdir(mode=0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hosts_name_resolution_is_seen_and_nothing_is_left(container: Any, shape: str) -> None:
    SHAPES[shape](container.root)
    old(container.root)
    before = described(container.root)
    assert container("cat /etc/resolv.conf").text == RESOLV.read_text()
    assert described(container.root) == before


@pytest.mark.parametrize(
    "shape",
    [
        lambda root: (root / "etc/resolv.conf").mkdir(parents=True),
        lambda root: (root / "etc").write_text("a file"),
        lambda root: ((root / "etc").mkdir(), (root / "etc/resolv.conf").symlink_to("resolv.conf")),
        lambda root: (
            (root / "etc").mkdir(),
            (root / "etc/resolv.conf").symlink_to("/bin/busybox/x"),
        ),
        lambda root: ((root / "etc").mkdir(), os.mkfifo(root / "etc/resolv.conf")),
        lambda root: (root / "etc").symlink_to("etc"),
        lambda root: ((root / "etc").mkdir(), (root / "etc/resolv.conf").symlink_to("/proc/net/x")),
        lambda root: (root / "etc").symlink_to("sys/kernel"),
        lambda root: ((root / "etc").mkdir(), (root / "etc/resolv.conf").symlink_to("../dev/x")),
    ],
    ids=[
        *("directory", "etc is a file", "loop", "through a file", "fifo", "etc is a loop"),
        *("into proc", "into sys", "into dev"),
    ],
)
def test_where_it_can_not_be_seen_the_command_runs_without(
    container: Any, shape: Callable[[Path], object]
) -> None:
    shape(container.root)
    old(container.root)
    before = described(container.root)
    assert container("echo ran").text == "ran\n"
    assert described(container.root) == before


def test_writing_to_it_reaches_neither_the_host_nor_the_root(container: Any) -> None:
    (container.root / "etc").mkdir()
    (container.root / "etc" / "hosts").write_text("the image's own")
    before = {name: Path("/etc", name).read_bytes() for name in ("resolv.conf", "hosts")}
    for name in before:
        ran = container(f"echo changed > /etc/{name}; cat /etc/{name}; rm -f /etc/{name}")
        assert ran.text.startswith("changed\n")
    assert {name: Path("/etc", name).read_bytes() for name in before} == before
    assert (container.root / "etc" / "hosts").read_text() == "the image's own"
    assert os.listdir(container.root / "etc") == ["hosts"]


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_link_in_the_place_of_a_mount_point_is_refused(
    container: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "outside").mkdir()
    (container.root / name).symlink_to(tmp_path / "outside")
    with pytest.raises(AssertionError, match=f"BuildError: the image's /{name} is not a directory"):
        container("true")
    assert list((tmp_path / "outside").iterdir()) == []
    assert sorted(os.listdir(container.root)) == ["bin", name]


def test_what_the_command_puts_there_stays(container: Any) -> None:
    container("mkdir -p /etc; echo x > /etc/file; mkdir /srv")
    assert sorted(os.listdir(container.root)) == ["bin", "etc", "srv"]
    assert os.listdir(container.root / "etc") == ["file"]


def test_a_directory_that_the_command_changed_keeps_its_new_time(container: Any) -> None:
    (container.root / "etc").mkdir()
    old(container.root)
    container("touch /etc/file; touch -d '2020-02-02 02:02:02' /etc /")
    times = [path.stat().st_mtime for path in (container.root / "etc", container.root)]
    assert times == [1580608922.0, 1580608922.0]


def test_the_command_sees_the_times_that_the_root_has(container: Any) -> None:
    (container.root / "etc").mkdir()
    old(container.root)
    assert container("stat -c %Y /etc /").text == "0\n0\n"


def test_a_directory_that_was_moved_away_is_cleaned_all_the_same(container: Any) -> None:
    (container.root / "etc").mkdir()
    container("mv /etc /moved; mkdir /etc; echo own > /etc/resolv.conf")
    assert list((container.root / "moved").iterdir()) == []
    assert (container.root / "etc" / "resolv.conf").read_text() == "own\n"


def test_a_umask_of_the_caller_does_not_matter(container: Any, apart: Any) -> None:
    def body() -> str:
        os.umask(0o077)
        ran: str = container.in_a_worker(
            "/bin/sh",
            "-c",
            "stat -c %a /etc /etc/hosts; cat /etc/hosts >/dev/null && echo read",
            uid=5,
        ).text
        return ran

    assert apart(body) == "755\n644\nread\n"


def test_after_a_failure_nothing_is_left_either(container: Any) -> None:
    old(container.root)
    before = described(container.root)
    with pytest.raises(AssertionError):
        container.run("/bin/none")
    with pytest.raises(AssertionError):
        container("true", cwd="/bin/sh")
    assert container("exit 1").status == 1
    assert described(container.root) == before


@pytest.fixture
def shelf(container: Any, tmp_path: Path) -> Path:
    """A directory of the host that may be shown."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    container.writable.append(folder)
    return folder


@pytest.mark.parametrize("shape", SHAPES)
def test_a_directory_of_the_host_is_seen_and_written_to(
    container: Any, shelf: Path, shape: str
) -> None:
    SHAPES[shape](container.root)
    old(container.root)
    before = described(container.root)
    (shelf / "in").write_text("from the host")
    shell = "cat /etc/lists/in && echo out > /etc/lists/new"
    assert container(shell, shown=((str(shelf), "/etc/lists"),)).text == "from the host"
    assert (shelf / "new").read_text() == "out\n"
    assert described(container.root) == before


def test_what_the_root_has_in_that_place_is_hidden_and_not_touched(
    container: Any, shelf: Path
) -> None:
    (container.root / "srv").mkdir()
    (container.root / "srv" / "own").write_text("own")
    old(container.root)
    before = described(container.root)
    assert container("ls /srv; rm -rf /srv/*", shown=((str(shelf), "/srv"),)).text == ""
    assert described(container.root) == before


@pytest.mark.parametrize("shape", ["nothing", "the directories", "/etc as a link"])
def test_a_file_of_ours_lies_over_the_root_and_can_be_executed(container: Any, shape: str) -> None:
    SHAPES[shape](container.root)
    old(container.root)
    before = described(container.root)
    mine = (("/etc/init.d/policy", b"#!/bin/sh\necho mine; exit 101\n", 0o755),)
    ran = container("/etc/init.d/policy; echo $?; echo x > /etc/init.d/policy", overlaid=mine)
    assert ran == (0, b"mine\n101\n", ())
    assert described(container.root) == before


def test_a_file_of_the_root_comes_back_as_it_was(container: Any) -> None:
    (container.root / "etc").mkdir()
    (container.root / "etc" / "policy").write_text("own")
    (container.root / "etc" / "policy").chmod(0o600)
    old(container.root)
    before = described(container.root)
    mine = (("/etc/policy", b"mine", 0o444),)
    assert container("stat -c %a /etc/policy; cat /etc/policy", overlaid=mine).text == "444\nmine"
    assert described(container.root) == before


def test_no_link_of_the_root_leads_what_is_shown_out_of_it(
    container: Any, shelf: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (container.root / "etc").symlink_to(tmp_path / "outside")
    (container.root / "srv").symlink_to("../../../../../../../../.." + str(tmp_path / "outside"))
    more = {
        "shown": ((str(shelf), "/etc/lists"),),
        "overlaid": (("/srv/file", b"mine", 0o644),),
    }
    inside = str(tmp_path / "outside")
    assert container(f"cat {inside}/file; touch {inside}/lists/x", **more).text == "mine"
    assert os.listdir(shelf) == ["x"]
    assert os.listdir(tmp_path / "outside") == []
    assert sorted(os.listdir(container.root)) == ["bin", "etc", "srv"]


@pytest.mark.parametrize("path", ["/", "/proc/x", "/dev/null", "/link", "/folder", "/file/below"])
def test_where_a_file_can_not_be_shown_nothing_runs(container: Any, path: str) -> None:
    (container.root / "link").symlink_to("bin/busybox")
    (container.root / "folder").mkdir()
    (container.root / "file").write_text("a file")
    old(container.root)
    before = described(container.root)
    with pytest.raises(AssertionError, match=f"nothing can be shown at {path} in the image"):
        container("touch /ran", overlaid=((path, b"x", 0o644),))
    assert described(container.root) == before


@pytest.mark.parametrize("path", ["/", "/sys/x", "/dangling/x", "/file", "/file/below"])
def test_where_a_directory_can_not_be_shown_nothing_runs(
    container: Any, shelf: Path, path: str
) -> None:
    (container.root / "dangling").symlink_to("dangling")
    (container.root / "file").write_text("a file")
    old(container.root)
    before = described(container.root)
    with pytest.raises(AssertionError, match=f"nothing can be shown at {path} in the image"):
        container("touch /ran", shown=((str(shelf), path),))
    assert described(container.root) == before
