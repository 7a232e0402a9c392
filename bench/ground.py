"""Where a case works: a filesystem that is new, its own, and gone afterwards.

Not a folder of the disk: on some filesystems making files is many times slower for minutes after
others were deleted, and a benchmark that tidies up between its runs measures that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

_APART = "GENOCI_BENCH_IS_APART"
_SIZE = 60 << 30  # a hole: it takes what is written
_EACH_RUN = 4 << 30  # of the case that writes most

# No thread of the kernel is to write inode tables while something is timed; what is deleted goes
# back to the disk. btrfs: as `lpack setup` mounts it.
_KINDS = {
    "ext4": (("mkfs.ext4", "-q", "-F", "-i", "8192"), "loop,discard,noinit_itable"),
    "btrfs": (("mkfs.btrfs", "-q", "-f"), "loop,discard,user_subvol_rm_allowed"),
}


class Unable(Exception):
    """The case can't be had here, for this reason."""


def go_apart() -> None:
    """As root, go on in a mount namespace of our own: what is mounted in it can't outlive us."""
    if os.geteuid() == 0 and _APART not in os.environ:
        os.environ[_APART] = "1"
        again = [sys.executable, "-m", "bench", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *again])


def end_properly() -> None:
    """Let SIGINT, SIGTERM and SIGHUP end us through every `finally`; a second one does nothing."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number: int, frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in signals:
        signal.signal(each, leave)


def check_space(scratch: Path, runs: int) -> None:
    """Raises Unable where so many runs might fill the disk, which would fail in odd ways."""
    space = os.statvfs(scratch)
    needed = runs * _EACH_RUN
    if space.f_bavail * space.f_frsize < needed:
        raise Unable(f"{scratch} has less than {needed >> 30} GB of free space")


@contextlib.contextmanager
def ground(kind: str, scratch: Path) -> Iterator[Path]:
    """An empty folder of ours: for root, a new filesystem of the kind. Raises Unable."""
    folder = Path(tempfile.mkdtemp(prefix="genoci-bench-", dir=scratch))
    try:
        if os.geteuid() == 0:
            with _mounted(kind, folder) as path:
                yield path
        elif kind == "ext4":
            yield folder
        else:
            raise Unable(f"only root can make a {kind}")
    finally:
        _remove(folder)


@contextlib.contextmanager
def _mounted(kind: str, folder: Path) -> Iterator[Path]:
    make, options = _KINDS[kind]
    image, path = folder / "image", folder / "on"
    path.mkdir()
    with image.open("wb") as stream:
        stream.truncate(_SIZE)
    try:
        _do(*make, str(image))
        _do("mount", "-o", options, str(image), str(path))
        image.unlink()  # the loop device holds it
        yield path
    finally:
        # With what storage drivers of others have mounted in it, and by force if they hold it.
        if os.path.ismount(path):
            plain = subprocess.run(["umount", "-R", path], stderr=subprocess.PIPE, check=False)
            if plain.returncode != 0:
                subprocess.run(["umount", "-R", "-l", path], check=False)


def _do(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unable(f"{' '.join(words)}: {done.stderr.strip()}")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # files of subordinate ids, which only their namespace's root can delete
        within = ["unshare", "--user", "--map-auto", "--map-root-user", "rm", "-rf", str(folder)]
        subprocess.run(within, check=False)
