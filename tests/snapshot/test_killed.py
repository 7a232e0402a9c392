"""Processes killed between any two steps: what they leave is whole, or goes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genoci import linux
from genoci.oci.digest import Digest

if TYPE_CHECKING:
    from conftest import Bench

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")

# What Python tells of before it is done, and the mounts, which are told of below.
STEPS = {
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr"),
    *("open", "fcntl.flock", "fcntl.ioctl", "genoci.mount"),
}


def forked(body: Callable[[], object]) -> int:
    """The exit status of a process that runs `body`; -9: it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_before(number: int, patch: pytest.MonkeyPatch) -> None:
    """This process is killed before its step of that number, with all that it has mounted."""
    linux.unshare(linux.CLONE_NEWNS)
    for name in ("mount", "umount", "mount_setattr"):
        patch.setattr(linux, name, telling(getattr(linux, name)))
    steps = iter(range(number))

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        reading = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) == 0  # type: ignore[operator]
        if event in STEPS and not reading and next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def telling(call: Callable[..., object]) -> Callable[..., object]:
    def told(*arguments: object, **named: object) -> object:
        sys.audit("genoci.mount")
        return call(*arguments, **named)

    return told


@pytest.fixture
def killed_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[], object]], Iterator[bool]]:
    """For each step of a function: it is run, and killed before that step; at last it ends.

    Yields whether it was killed.
    """

    def run(body: Callable[[], object]) -> Iterator[bool]:
        for number in range(1000):

            def dying(number: int = number) -> None:
                die_before(number, monkeypatch)
                body()

            status = forked(dying)
            assert status in (0, -signal.SIGKILL)
            yield status != 0
            if status == 0:
                assert number > 10
                return
        pytest.fail("the steps never end")

    return run


Everywhere = Callable[[Callable[[], object]], Iterator[bool]]


def left(bench: Bench) -> list[str]:
    """What lies in the state, with random parts cut off, but for the names of kept roots."""
    folder = bench.state / "snapshots" / bench.driver / "map"
    names = {name.partition("-")[0] for name in os.listdir(folder)}
    return sorted(names - {"failed", "checkout"})


def furnish(root: Path) -> None:
    (root / "dir").mkdir()
    (root / "dir" / "file").write_text("below")
    (root / "link").symlink_to("dir")
    os.link(root / "dir" / "file", root / "name")


def commit(bench: Bench, chain_id: Digest, on: Digest | None = None) -> None:
    with bench.snapshots.prepare(on) as active:
        furnish(active.root) if on is None else change(active.root)
        active.commit(chain_id)


def change(root: Path) -> None:
    (root / "dir" / "file").write_text("above")
    (root / "new").mkdir()


def is_whole(root: Path) -> bool:
    """As `furnish` and `change` left it."""
    one, other = root / "dir" / "file", root / "name"
    return sorted(os.listdir(root)) == ["dir", "link", "name", "new"] and (
        (one.read_text(), (root / "link").is_symlink(), other.exists()) == ("above", True, True)
    )


def contents(bench: Bench, chain_id: Digest) -> bool:
    with bench.snapshots.prepare(chain_id) as active:
        return is_whole(active.root)


def test_a_snapshot_that_is_being_made_is_whole_or_does_not_exist(
    bench: Bench, killed_everywhere: Everywhere
) -> None:
    commit(bench, ONE)
    for killed in killed_everywhere(lambda: commit(bench, TWO, on=ONE)):
        assert bench.snapshots.exists(ONE)
        if bench.snapshots.exists(TWO):
            assert contents(bench, TWO)
            bench.snapshots.remove(TWO)
        else:
            assert killed
        bench.snapshots.sweep()
        assert left(bench) == [ONE.hex]


def test_a_snapshot_that_is_being_removed_is_whole_or_does_not_exist(
    bench: Bench, killed_everywhere: Everywhere
) -> None:
    commit(bench, ONE)
    commit(bench, TWO, on=ONE)
    for killed in killed_everywhere(lambda: bench.snapshots.remove(TWO)):
        if bench.snapshots.exists(TWO):
            assert killed
            assert contents(bench, TWO)
        else:
            bench.snapshots.sweep()
            assert left(bench) == [ONE.hex]
            commit(bench, TWO, on=ONE)


def test_a_sweep_that_was_killed_is_ended_by_the_next(
    bench: Bench, killed_everywhere: Everywhere
) -> None:
    commit(bench, ONE)

    def leave_debris() -> None:
        linux.unshare(linux.CLONE_NEWNS)
        with bench.snapshots.prepare(ONE) as active:
            change(active.root)
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(leave_debris) == -signal.SIGKILL
    assert left(bench) == sorted([ONE.hex, "active"])
    for killed in killed_everywhere(bench.snapshots.sweep):
        assert bench.snapshots.exists(ONE)
        if not killed:
            assert left(bench) == [ONE.hex]
        else:
            bench.snapshots.sweep()
            assert left(bench) == [ONE.hex]
            forked(leave_debris)


def check_out(bench: Bench) -> None:
    with bench.snapshots.prepare(ONE) as active:
        change(active.root)
        active.keep("checkout")


def check_in(bench: Bench) -> None:
    kept = bench.snapshots.kept("checkout")
    assert kept is not None
    with kept as active:
        active.commit(TWO)


def is_checked_out(bench: Bench) -> bool:
    kept = bench.snapshots.kept("checkout")
    if kept is None:
        return False
    with kept as active:
        assert {candidate.path for candidate in active.candidates()} >= {b"new", b"dir/file"}
        assert is_whole(active.root)
    return True


def test_a_root_that_is_being_kept_is_kept_whole_or_goes(
    bench: Bench, killed_everywhere: Everywhere
) -> None:
    commit(bench, ONE)
    was_kept = False
    for killed in killed_everywhere(lambda: check_out(bench)):
        bench.snapshots.sweep()
        is_kept = is_checked_out(bench)
        assert is_kept or killed
        assert is_kept or not was_kept, "what was kept before is lost"
        was_kept = is_kept
        assert left(bench) == sorted([ONE.hex, *(["kept"] if is_kept else [])])


def test_nothing_is_lost_when_what_was_kept_is_being_committed(
    bench: Bench, killed_everywhere: Everywhere
) -> None:
    commit(bench, ONE)
    check_out(bench)
    for killed in killed_everywhere(lambda: check_in(bench)):
        bench.snapshots.sweep()
        if bench.snapshots.exists(TWO):
            assert contents(bench, TWO)
            assert left(bench) == sorted([ONE.hex, TWO.hex])
            bench.snapshots.remove(TWO)
            check_out(bench)
        else:
            assert killed
            assert is_checked_out(bench)
