"""Real filesystems for tests, each in a file on a loop device, which leave nothing behind.

Root makes them, and whoever can't is given them: GENOCI_TEST_BTRFS and GENOCI_TEST_XFS name
directories on such filesystems that are his (scripts/test-as-user does that).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Every driver, and where it works if that matters.
DRIVERS = ("overlay", "copy", "copy on xfs", "copy on btrfs", "btrfs on btrfs")

# How each is made, and mounted. Nothing on them has to outlive the machine.
KINDS = {
    "tmpfs": ((), "defaults"),
    "ext4": (("mkfs.ext4", "-q", "-F"), "loop"),
    "ext4 with whole seconds": (("mkfs.ext4", "-q", "-F", "-I", "128"), "loop"),
    "xfs": (("mkfs.xfs", "-q"), "loop"),
    "btrfs": (("mkfs.btrfs", "-q"), "loop,nobarrier,user_subvol_rm_allowed"),
    "btrfs as most mount it": (("mkfs.btrfs", "-q"), "loop,nobarrier"),
}
_SIZE = 512 << 20  # mkfs.xfs refuses less than 300 MB; the file is a hole

# No child of ours, and it waits until nobody holds its input any more: whoever asked for the
# filesystem has ended, or was killed. A loop device of `mount -o loop` goes with the mount.
_GUARD = """exec 3<&0; { cat <&3; umount "$1" && echo gone || umount -l "$1"; } 2>&1 &"""


def given(kind: str) -> Path | None:
    """Where one is that somebody else has made."""
    path = os.environ.get(f"GENOCI_TEST_{kind.upper()}")
    return Path(path) if path else None


@contextlib.contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path]:
    """A new filesystem, mounted on a directory in `folder`; gone at the end. For root."""
    made = Mounted(kind, folder)
    try:
        yield made.path
    finally:
        made.close()


class Mounted:
    """A filesystem that is mounted in `folder` until `close`, or until our end."""

    def __init__(self, kind: str, folder: Path) -> None:
        make, options = KINDS[kind]
        self.path = folder / "mounted"
        self.path.mkdir()
        image = folder / "filesystem"
        if make:
            with image.open("wb") as stream:
                stream.truncate(_SIZE)
            _run(*make, str(image))
            _run("mount", "-o", options, str(image), str(self.path))
            image.unlink()  # the loop device holds it
        else:
            _run("mount", "-t", kind, "-o", options, kind, str(self.path))
        its_input, self._held = os.pipe()
        self._answer, its_output = os.pipe()
        guard = ["setsid", "sh", "-c", _GUARD, "guard", str(self.path)]
        subprocess.run(guard, stdin=its_input, stdout=its_output, check=True)
        os.close(its_input)
        os.close(its_output)

    def close(self) -> None:
        os.close(self._held)
        with open(self._answer) as answer:
            assert answer.read() == "gone\n", f"something still uses {self.path}"


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
