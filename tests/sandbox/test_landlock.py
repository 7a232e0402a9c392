"""What a worker without a namespace can still change."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from genoci import linux
from genoci.sandbox.landlock import restrict_scope, restrict_writes


def test_nothing_is_changed_outside_of_the_given_paths(apart: Any, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").write_text("before")

    def body() -> int:
        assert restrict_writes([inside])
        attempts = [
            (outside / "new").touch,
            lambda: (outside / "file").write_text("after"),
            (outside / "file").unlink,
            (outside / "folder").mkdir,
            lambda: (outside / "link").symlink_to("file"),
            lambda: os.link(outside / "file", inside / "link"),
            lambda: (outside / "file").rename(inside / "moved"),
            lambda: os.truncate(outside / "file", 0),
            lambda: os.mkfifo(outside / "fifo"),
            lambda: os.open("/dev/tty1", os.O_WRONLY),
        ]
        refused = 0
        for attempt in attempts:
            with contextlib.suppress(OSError):
                attempt()
                continue
            refused += 1
        return len(attempts) - refused

    assert apart(body) == 0
    assert sorted(path.name for path in outside.iterdir()) == ["file"]
    assert (outside / "file").read_text() == "before"


def test_inside_everything_works(apart: Any, tmp_path: Path) -> None:
    inside, other = tmp_path / "inside", tmp_path / "other"
    inside.mkdir()
    other.mkdir()

    def body() -> str:
        assert restrict_writes([inside, other])
        (inside / "a" / "b").mkdir(parents=True)
        (inside / "a" / "file").write_text("content")
        (inside / "a" / "file").rename(other / "file")
        os.link(other / "file", inside / "link")
        os.truncate(inside / "link", 4)
        Path("/dev/null").write_text("gone")
        return (other / "file").read_text() + Path("/etc/passwd").read_text()[:4]

    assert apart(body) == "cont" + Path("/etc/passwd").read_text()[:4]


def test_it_can_be_neither_undone_nor_shaken_off(apart: Any, tmp_path: Path) -> None:
    def body() -> None:
        (tmp_path / "inside").mkdir()
        assert restrict_writes([tmp_path / "inside"])
        assert restrict_writes([tmp_path])
        with pytest.raises(PermissionError):
            (tmp_path / "file").touch()
        with pytest.raises(OSError):
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
            linux.mount(b"t", os.fsencode(tmp_path), b"tmpfs")

    apart(body)


def test_a_path_that_is_missing_is_an_error_and_restricts_nothing(
    apart: Any, tmp_path: Path
) -> None:
    def body() -> None:
        with pytest.raises(FileNotFoundError):
            restrict_writes([tmp_path / "missing"])
        (tmp_path / "file").touch()

    apart(body)


def test_abstract_sockets_outside_are_out_of_reach(apart: Any) -> None:
    name = f"\0genoci-{os.urandom(8).hex()}"

    def connect() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(name)
            except PermissionError:
                return "refused"
            return "connected"

    def body() -> str:
        linux.set_no_new_privileges()
        assert restrict_scope()
        return connect()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        assert connect() == "connected"
        assert apart(body) == "refused"


def test_processes_outside_get_no_signal(apart: Any) -> None:
    def body() -> None:
        linux.set_no_new_privileges()
        assert restrict_scope()
        with pytest.raises(PermissionError):
            os.kill(os.getppid(), 0)
        os.kill(os.getpid(), 0)

    apart(body)
