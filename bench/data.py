"""Synthetic trees and tarballs: the same bytes each time. `python -m bench.data BYTES` is one."""

from __future__ import annotations

import io
import random
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bench.timing import Failed

# A program for any Python, also that of a root filesystem: N files of some 200 bytes in `many`.
MANY = (
    'import os; [(n % 100 or os.makedirs("many/%d" % (n // 100)),'
    ' open("many/%d/%d" % (n // 100, n), "w").write("%d " % n * 40)) for n in range(COUNT)]'
)
_DATE = 1_600_000_000


def many(count: int) -> str:
    return MANY.replace("COUNT", str(count))


def shell_and_files(path: Path, count: int) -> Path:
    """A tarball with a shell that needs no library, and the files that `many` makes."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise Failed("busybox is not installed (Debian's package busybox-static)")
    with tarfile.open(path, "w") as archive:
        _add(archive, "bin/sh", Path(busybox).read_bytes(), 0o755)
        for number in range(count):
            name = f"many/{number // 100}/{number}"
            _add(archive, name, f"{number} ".encode() * 40, 0o644)
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), mode, _DATE
    archive.addfile(member, io.BytesIO(content))


def large(size: int, out: BinaryIO) -> None:
    """A tar of so many bytes, in files of 1 MiB that gzip makes a quarter smaller."""
    with tarfile.open(fileobj=out, mode="w|", bufsize=1 << 20) as archive:
        for number, content in zip(range(size >> 20), _contents(), strict=False):
            _add(archive, f"large/{number // 1000}/{number}", content, 0o644)


def _contents() -> Iterator[bytes]:
    """Half noise, half letters that need four bits of eight; gzip sees nothing twice: 32 kB back
    is as far as it looks."""
    chosen = random.Random(0)
    noise = chosen.randbytes(8 << 20)
    letters = noise.translate(bytes(97 + value % 16 for value in range(256)))
    while True:
        at = chosen.randrange(len(noise) - (1 << 19))
        yield noise[at : at + (1 << 19)] + letters[at : at + (1 << 19)]


if __name__ == "__main__":
    large(int(sys.argv[1]), sys.stdout.buffer)
