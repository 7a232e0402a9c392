"""Real filesystems in files, for tests that root runs; and what a mount of one leaves: nothing."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

KINDS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "ext4 with whole seconds": ("mkfs.ext4", "-q", "-F", "-I", "128"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
}
_SIZE = 400 << 20  # mkfs.xfs refuses less than 300 MB; the file is a hole


@contextlib.contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path]:
    """A new filesystem, mounted on a directory in `folder`; gone at the end. For root."""
    target = folder / "mounted"
    target.mkdir()
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "tmpfs", str(target))
    else:
        image = folder / "filesystem"
        with image.open("wb") as stream:
            stream.truncate(_SIZE)
        _run(*KINDS[kind], str(image))
        _run("mount", "-o", "loop", str(image), str(target))
    try:
        yield target
    finally:
        _run("umount", str(target))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
