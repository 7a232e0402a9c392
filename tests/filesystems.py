"""Filesystems of their own for tests: a btrfs and an XFS, each in a file on a loop device.

Root makes them, and whoever can't is given them: GENOCI_TEST_BTRFS and GENOCI_TEST_XFS name
directories on such filesystems that are his (scripts/test-as-user does that).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple


class Filesystem(NamedTuple):
    """`size` in MiB, of a file with holes. Nothing in it has to outlive the machine."""

    size: int
    make: tuple[str, ...]
    options: str


KINDS = {
    "btrfs": Filesystem(512, ("mkfs.btrfs", "-q"), "loop,user_subvol_rm_allowed,nobarrier"),
    "xfs": Filesystem(320, ("mkfs.xfs", "-q"), "loop"),
}

# Every driver, and where it works if that matters.
DRIVERS = ("overlay", "copy", "copy on xfs", "copy on btrfs", "btrfs on btrfs")

# It waits until nobody holds its input any more: whoever asked for the filesystem has ended, or
# was killed. A loop device of `mount -o loop` goes with the mount.
_GUARD = 'cat; umount "$1" && exit; umount -l "$1"; exit 1'


def given(kind: str) -> Path | None:
    """Where one is that somebody else has made."""
    path = os.environ.get(f"GENOCI_TEST_{kind.upper()}")
    return Path(path) if path else None


class Mounted:
    """A filesystem of this `kind`, mounted in `folder` until `close`, or our end."""

    def __init__(self, kind: str, folder: Path) -> None:
        filesystem = KINDS[kind]
        image, self.path = folder / f"{kind}.img", folder / kind
        self.path.mkdir()
        with image.open("wb") as stream:
            stream.truncate(filesystem.size << 20)
        _run(*filesystem.make, str(image))
        _run("mount", "-o", filesystem.options, str(image), str(self.path))
        image.unlink()  # the loop device holds it
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", self.path],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        self._guard.communicate()
        assert self._guard.returncode == 0, f"something still uses {self.path}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
