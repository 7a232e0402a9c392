"""What is to run in a container, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Command(msgspec.Struct, frozen=True):
    """`argv` in the root filesystem `root`, which is a mount point.

    `env` is the whole environment; without a `/` in it, argv[0] is looked for in its PATH. `cwd`
    is made for the time being if the root has none. `files` are pairs of a path below /dev and a
    content: seen there, executable, read-only, and never in the root itself. `network`: the
    host's; else there is only a loopback. `shown` are directories of the host, each with the path
    in the root where it is seen, writable, while the command runs; `overlaid` are files with
    contents of our own, each with its path in the root and its mode: what is written to them is
    lost. Where the root has no such place, it is made and gone afterwards.
    """

    argv: tuple[str, ...]
    root: Path
    env: Mapping[str, str]
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    network: bool = True
    files: tuple[tuple[str, bytes], ...] = ()
    shown: tuple[tuple[str, str], ...] = ()
    overlaid: tuple[tuple[str, bytes, int], ...] = ()
