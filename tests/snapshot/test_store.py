"""What is whole, what is in use, and what dead processes left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genoci import linux
from genoci.errors import StorageError
from genoci.layer import remove
from genoci.oci.digest import Digest

if TYPE_CHECKING:
    from conftest import Bench

ONE, TWO, THREE = (Digest.of(name) for name in (b"one", b"two", b"three"))


def commit(bench: Bench, chain_id: Digest, on: Digest | None = None, content: str = "") -> None:
    with bench.snapshots.prepare(on) as active:
        (active.root / chain_id.hex[:4]).write_text(content)
        active.commit(chain_id)


def left(bench: Bench) -> list[str]:
    """What lies in the state, with random parts cut off."""
    folder = bench.state / "snapshots" / bench.driver / "map"
    return sorted(name.partition("-")[0] for name in os.listdir(folder) if name != "failed")


def mounts() -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if "root" in line]


def is_mount_point(path: Path) -> bool:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return str(path) in mounted


def forked(body: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_new_root_is_empty_and_as_the_empty_image_has_it(bench: Bench) -> None:
    with bench.snapshots.prepare(None) as active:
        assert active.parent is None
        status = active.root.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o755, 0, 0)
        assert status.st_mtime_ns == 0
        assert os.listdir(active.root) == []
        assert is_mount_point(active.root)


def test_a_root_that_is_not_committed_is_discarded(bench: Bench) -> None:
    before = mounts()
    with bench.snapshots.prepare(None) as active:
        (active.root / "file").write_text("")
    assert left(bench) == []
    assert mounts() == before


def test_a_root_is_discarded_after_an_error_whatever_is_mounted_in_it(bench: Bench) -> None:
    before = mounts()
    with pytest.raises(ZeroDivisionError), bench.snapshots.prepare(None) as active:
        (active.root / "deep").mkdir(mode=0)
        linux.mount(b"tmpfs", os.fsencode(active.root / "deep"), b"tmpfs")
        (active.root / "deep" / "file").write_text("")
        raise ZeroDivisionError
    assert left(bench) == []
    assert mounts() == before


def test_a_committed_root_is_a_snapshot_to_stand_on(bench: Bench) -> None:
    commit(bench, ONE, content="below")
    commit(bench, TWO, on=ONE)
    assert bench.snapshots.exists(ONE)
    assert bench.snapshots.exists(TWO)
    assert not bench.snapshots.exists(THREE)
    with bench.snapshots.prepare(TWO) as active:
        assert (active.root / ONE.hex[:4]).read_text() == "below"
        (active.root / ONE.hex[:4]).write_text("changed")
        assert active.parent is not None
        assert (active.parent / ONE.hex[:4]).read_text() == "below"
        with pytest.raises(OSError, match="Read-only"):
            (active.parent / "new").touch()


def test_a_snapshot_keeps_what_its_root_directory_is(bench: Bench) -> None:
    with bench.snapshots.prepare(None) as active:
        active.root.chmod(0o1711)
        os.chown(active.root, 2, 3)
        os.setxattr(active.root, "user.a", b"1")
        os.utime(active.root, ns=(0, 5))
        active.commit(ONE)
    with bench.snapshots.prepare(ONE) as active:
        status = active.root.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1711, 2, 3)
        assert status.st_mtime_ns == 5
        assert os.getxattr(active.root, "user.a") == b"1"


def test_committing_what_exists_discards_the_newcomer(bench: Bench) -> None:
    commit(bench, ONE, content="first")
    commit(bench, ONE, content="second")
    with bench.snapshots.prepare(ONE) as active:
        assert (active.root / ONE.hex[:4]).read_text() == "first"
    assert left(bench) == [ONE.hex]


def test_two_roots_on_one_parent_do_not_see_each_other(bench: Bench) -> None:
    commit(bench, ONE)
    with bench.snapshots.prepare(ONE) as first, bench.snapshots.prepare(ONE) as second:
        (first.root / "first").touch()
        (second.root / "second").touch()
        assert not (second.root / "first").exists()
        first.commit(TWO)
        second.commit(TWO)
    with bench.snapshots.prepare(TWO) as active:
        assert (active.root / "first").exists()


def test_many_processes_commit_the_same_at_once(bench: Bench) -> None:
    commit(bench, ONE)
    children = [forked(lambda: commit(bench, TWO, on=ONE)) for _ in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    assert left(bench) == sorted([ONE.hex, TWO.hex])
    assert bench.snapshots.exists(TWO)


def test_a_snapshot_in_use_is_not_removed(bench: Bench) -> None:
    commit(bench, ONE)
    commit(bench, TWO, on=ONE)
    with bench.snapshots.prepare(TWO):
        for chain_id in (ONE, TWO):
            with pytest.raises(StorageError, match="in use"):
                bench.snapshots.remove(chain_id)
    bench.snapshots.remove(TWO)
    bench.snapshots.remove(TWO)
    assert left(bench) == [ONE.hex]


def test_what_stands_on_a_removed_snapshot_does_not_exist_and_is_swept(bench: Bench) -> None:
    for chain_id, below in ((ONE, None), (TWO, ONE), (THREE, TWO)):
        commit(bench, chain_id, on=below)
    bench.snapshots.remove(ONE)
    assert not bench.snapshots.exists(THREE)
    with pytest.raises(StorageError, match="removed"), bench.snapshots.prepare(THREE):
        pass
    bench.snapshots.sweep()
    bench.snapshots.sweep()
    assert left(bench) == []


def test_a_removed_tree_may_be_of_any_depth_and_mode(bench: Bench) -> None:
    with bench.snapshots.prepare(None) as active:
        here = os.open(active.root, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(1200):
            os.mkdir("d" * 100, 0o700, dir_fd=here)
            below = os.open("d" * 100, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.chown(here, 1000, 1000)
            os.fchmod(here, 0)
            os.close(here)
            here = below
        os.close(here)
        active.commit(ONE)
    assert bench.snapshots.exists(ONE)
    bench.snapshots.remove(ONE)
    assert left(bench) == []


def killed_while(bench: Bench, body: Callable[[Callable[[], None]], object]) -> None:
    """Run `body` in a child, which is killed where it calls its argument."""
    assert ended(forked(lambda: body(lambda: os.kill(os.getpid(), signal.SIGKILL)))) == -9


def test_what_a_killed_process_left_is_swept(bench: Bench) -> None:
    commit(bench, ONE)

    def die(kill: Callable[[], None]) -> None:
        with bench.snapshots.prepare(ONE) as active:
            (active.root / "closed").mkdir(mode=0)
            os.chown(active.root / "closed", 1000, 1000)
            unmounted = [active.root, active.parent]
            for path in unmounted:  # a killed worker's mounts die with its namespace
                linux.umount(os.fsencode(path), 0)
            kill()

    killed_while(bench, die)
    assert left(bench) == sorted([ONE.hex, "active"])
    bench.snapshots.sweep()
    assert left(bench) == [ONE.hex]


def test_a_sweep_leaves_alone_what_is_being_built(bench: Bench) -> None:
    commit(bench, ONE)
    with bench.snapshots.prepare(ONE) as active:
        assert ended(forked(bench.snapshots.sweep)) == 0
        (active.root / "file").write_text("")
        active.commit(TWO)
    assert bench.snapshots.exists(TWO)


def test_a_sweep_that_comes_to_the_end_of_another_one_does_not_make_it_fail(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It locks what is nearly gone, and so puts a new lock into it."""
    commit(bench, ONE)
    dead = snapshot(bench, ONE).with_name("dead-0")
    snapshot(bench, ONE).rename(dead)
    emptied = remove.remove_below
    later: list[int] = []

    def emptied_and_locked(fd: int) -> None:
        emptied(fd)
        if not later and os.path.samestat(os.fstat(fd), os.stat(dead)):
            later.append(os.open(dead / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC))

    monkeypatch.setattr(remove, "remove_below", emptied_and_locked)
    bench.snapshots.sweep()
    assert later, "the other one came"
    os.close(later.pop())
    monkeypatch.undo()
    bench.snapshots.sweep()
    assert left(bench) == []


def snapshot(bench: Bench, chain_id: Digest) -> Path:
    return bench.state / "snapshots" / bench.driver / "map" / chain_id.hex


def restart(bench: Bench, *chain_ids: Digest) -> None:
    """As if the machine had been started anew since these were made."""
    for chain_id in chain_ids:
        (snapshot(bench, chain_id) / "boot").write_text("another boot")


def test_what_was_not_synced_before_a_restart_does_not_exist(bench: Bench) -> None:
    commit(bench, ONE, content="perhaps lost")
    commit(bench, TWO, on=ONE)
    restart(bench, ONE)
    assert not bench.snapshots.exists(ONE)
    assert not bench.snapshots.exists(TWO)
    commit(bench, ONE, content="made again")
    assert bench.snapshots.exists(TWO)
    restart(bench, ONE)
    bench.snapshots.sweep()
    bench.snapshots.sweep()
    assert left(bench) == []


def test_what_has_been_there_for_a_while_is_synced_and_outlives_a_restart(bench: Bench) -> None:
    commit(bench, ONE)
    commit(bench, TWO, on=ONE)
    os.utime(snapshot(bench, ONE) / "boot", (0, 0))
    bench.snapshots.sweep()
    restart(bench, ONE, TWO)
    assert bench.snapshots.exists(ONE)
    assert not bench.snapshots.exists(TWO)


def test_a_failed_root_is_kept_and_can_be_entered_again(bench: Bench) -> None:
    assert bench.snapshots.kept("failed") is None
    commit(bench, ONE, content="below")
    with bench.snapshots.prepare(ONE) as active:
        (active.root / "debris").write_text("debris")
        active.keep("failed")
    bench.snapshots.sweep()
    for entered in range(2):
        failed = bench.snapshots.kept("failed")
        assert failed is not None
        with failed as active:
            assert is_mount_point(active.root)
            assert (active.root / ONE.hex[:4]).read_text() == "below"
            assert (active.root / "debris").read_text() == "debris"
            assert (active.root / "looked").exists() == bool(entered)
            (active.root / "looked").touch()
    assert left(bench) == sorted([ONE.hex, "kept"])


def test_a_failed_root_replaces_the_one_before(bench: Bench) -> None:
    for name in ("first", "second"):
        with bench.snapshots.prepare(None) as active:
            (active.root / name).touch()
            active.keep("failed")
    failed = bench.snapshots.kept("failed")
    assert failed is not None
    with failed as active:
        assert os.listdir(active.root) == ["second"]
    assert left(bench) == ["kept"]


def test_a_failed_root_that_somebody_looks_at_is_removed_when_he_has_left(bench: Bench) -> None:
    with bench.snapshots.prepare(None) as active:
        (active.root / "first").touch()
        active.keep("failed")
    looking = bench.snapshots.kept("failed")
    assert looking is not None
    with looking as first:
        again = bench.snapshots.kept("failed")
        assert again is not None
        with pytest.raises(StorageError, match="in use"), again:
            pass
        with bench.snapshots.prepare(None) as active:
            active.keep("failed")
        assert (first.root / "first").exists()
    bench.snapshots.sweep()
    assert left(bench) == ["kept"]


def test_a_failed_root_ends_with_what_it_stands_on(bench: Bench) -> None:
    commit(bench, ONE)
    with bench.snapshots.prepare(ONE) as active:
        active.keep("failed")
    bench.snapshots.remove(ONE)
    assert bench.snapshots.kept("failed") is None
    bench.snapshots.sweep()
    assert left(bench) == []


def test_one_process_at_a_time_makes_a_snapshot(bench: Bench, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def make() -> None:
        with bench.snapshots.making(ONE):
            if not bench.snapshots.exists(ONE):
                commit(bench, ONE)
                with log.open("a") as stream:
                    stream.write("made\n")

    children = [forked(make) for _ in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    assert log.read_text() == "made\n"
    assert left(bench) == [ONE.hex]


def test_sixty_layers(bench: Bench) -> None:
    snapshots = bench.snapshots
    below = None
    for number in range(60 if bench.driver == "overlay" else 10):
        chain_id = Digest.of(b"%d" % number)
        with snapshots.prepare(below) as active:
            (active.root / str(number)).touch()
            active.commit(chain_id)
        below = chain_id
    with snapshots.prepare(below) as active:
        (active.root / str(number)).write_text("new")
        assert sorted(os.listdir(active.root)) == sorted(map(str, range(number + 1)))
        assert bench.changed_names(active) == [str(number).encode()]


def test_a_state_whose_path_has_colons_commas_and_backslashes(
    bench_of: Callable[[str], Bench], driver: str
) -> None:
    bench = bench_of(driver)
    bench.state = bench.folder / "a:b,c\\d e\n,upperdir=x" / ("long" * 50)
    commit(bench, ONE, content="below")
    commit(bench, TWO, on=ONE)
    with bench.snapshots.prepare(TWO) as active:
        assert (active.root / ONE.hex[:4]).read_text() == "below"
