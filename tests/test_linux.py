"""The system calls that Python lacks, against the kernel itself."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genoci import linux


@pytest.fixture
def root(tmp_path: Path) -> int:
    """A directory, open, with a file, and beside it one that is outside."""
    (tmp_path / "root" / "inside").mkdir(parents=True)
    (tmp_path / "root" / "inside" / "file").write_text("inside")
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    (tmp_path / "root" / "up").symlink_to("../outside")
    fd = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    yield fd  # type: ignore[misc]
    os.close(fd)


def test_openat2_resolves_inside_a_root(root: int) -> None:
    fd = linux.openat2(
        root, b"inside/../../../inside/file", os.O_RDONLY, resolve=linux.RESOLVE_IN_ROOT
    )
    with open(fd) as stream:
        assert stream.read() == "inside"
    for path in (b"out/outside", b"up", b"/outside"):
        with pytest.raises(FileNotFoundError):
            linux.openat2(root, path, os.O_RDONLY, resolve=linux.RESOLVE_IN_ROOT)


def test_openat2_refuses_to_leave_and_to_follow(root: int) -> None:
    with pytest.raises(OSError) as beneath:
        linux.openat2(root, b"../outside", os.O_RDONLY, resolve=linux.RESOLVE_BENEATH)
    assert beneath.value.errno == errno.EXDEV
    with pytest.raises(OSError) as links:
        linux.openat2(root, b"up", os.O_RDONLY, resolve=linux.RESOLVE_NO_SYMLINKS)
    assert links.value.errno == errno.ELOOP
    assert links.value.filename == b"up"


def test_openat2_makes_files_that_are_closed_on_exec(root: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    fd = linux.openat2(root, b"new", flags, mode=0o600, resolve=linux.RESOLVE_BENEATH)
    assert not os.get_inheritable(fd)
    assert os.fstat(fd).st_mode & 0o777 == 0o600
    os.close(fd)


def test_renameat2_replaces_nothing_or_exchanges(root: int, tmp_path: Path) -> None:
    (tmp_path / "root" / "other").write_text("other")
    with pytest.raises(FileExistsError):
        linux.renameat2(root, b"other", root, b"inside/file", linux.RENAME_NOREPLACE)
    linux.renameat2(root, b"other", root, b"inside/file", linux.RENAME_EXCHANGE)
    assert (tmp_path / "root" / "other").read_text() == "inside"
    assert (tmp_path / "root" / "inside" / "file").read_text() == "other"


def test_ficlone_shares_or_says_that_the_filesystem_can_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "wb") as target:
        try:
            linux.ficlone(source.fileno(), target.fileno())
        except OSError as error:
            assert error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EXDEV)
            return
    assert (tmp_path / "b").read_bytes() == b"content"


def test_write_back_begins_on_a_file_and_on_nothing_else(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb", buffering=0) as stream:
        stream.write(bytes(10_000))
        linux.start_write_back(stream.fileno(), 0, 10_000)
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="seek"):
            linux.start_write_back(writing, 0, 1)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="what glibc can be told")
def test_freed_memory_is_used_again_and_not_asked_for_anew() -> None:
    code = (
        "import resource, sys\n"
        "from genoci import linux\n"
        "if sys.argv[1:]: linux.keep_freed_memory(4 << 20)\n"
        "for _ in range(50): many = [bytearray(1 << 20) for _ in range(10)]; del many\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
    )
    run = [sys.executable, "-c", code]
    without, kept = (
        int(subprocess.run([*run, *more], capture_output=True, check=True).stdout)
        for more in ([], ["keep"])
    )
    assert kept < without / 5


def test_syncfs_takes_any_descriptor_of_the_filesystem(root: int) -> None:
    linux.syncfs(root)
    with pytest.raises(OSError):
        linux.syncfs(10_000)


def test_a_refusal_is_an_oserror_with_the_path() -> None:
    with pytest.raises(OSError) as refused:
        linux.mount(b"none", b"/no/such/place", b"tmpfs")
    assert refused.value.errno in (errno.ENOENT, errno.EPERM)
    assert refused.value.filename == b"/no/such/place"
    with pytest.raises(OSError):
        linux.umount(b"/no/such/place")
    with pytest.raises(OSError):
        linux.pivot_root(b"/no/such", b"/no/such")
    with pytest.raises(OSError):
        linux.setns(0, -1)


def test_a_process_can_ask_to_die_with_its_parent(apart_dies: int) -> None:
    assert apart_dies == 0


@pytest.fixture
def apart_dies() -> int:
    """The exit status of a grandchild's wait: 0 if it was killed when its parent ended."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ready_read, ready_write = os.pipe()
        if os.fork() == 0:
            linux.set_parent_death_signal(signal.SIGKILL)
            os.write(ready_write, b"!")
            signal.pause()
        os.read(ready_read, 1)
        os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:  # ends when the grandchild, who holds the other end, is dead
        stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_command_line_can_be_taken_away() -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            linux.set_process_name(b"a-name")
            told = Path("/proc/self/cmdline").read_bytes() + Path("/proc/self/environ").read_bytes()
            if Path("/proc/self/comm").read_text() == "a-name\n" and not told.strip(b"\0"):
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_capabilities_are_what_the_kernel_says() -> None:
    status = Path("/proc/thread-self/status").read_text()
    shown = next(line for line in status.splitlines() if line.startswith("CapEff"))
    assert linux.get_capabilities() == int(shown.split()[1], 16)


def test_landlock_tells_its_version() -> None:
    assert linux.landlock_abi() >= 0
