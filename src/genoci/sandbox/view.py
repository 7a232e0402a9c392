"""What a worker may still change on the host: what it is told, and nothing else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from genoci import linux
from genoci.errors import MachineError

_CLOSED = linux.MOUNT_ATTR_RDONLY | linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOSUID
_OPEN = linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOSUID
_BOTH_ENDS = linux.MOVE_MOUNT_F_EMPTY_PATH | linux.MOVE_MOUNT_T_EMPTY_PATH

# Devices that hold nothing, and that a container gets.
HARMLESS_NODES = ("null", "zero", "full", "random", "urandom", "tty")


def private_view(writable: Sequence[Path]) -> None:
    """Make everything but what lies below `writable` read-only, without devices or setuid files.

    For this process and its children, in the mount namespace that `userns.enter` has made. The
    paths exist. What is mounted below them stays as writable as it was. Descriptors of
    directories that were opened before still lead to the read-only view.

    Root of a namespace with the identity map still owns what root owns on the host: files,
    /proc/sys, block devices. The mounts take from it what the capabilities do not.
    """
    linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
    paths = _outermost(writable)
    nodes = [os.fsencode(f"/dev/{name}") for name in HARMLESS_NODES if _is_node(name)]
    with contextlib.ExitStack() as stack:
        # Cloned while they still are what they were on the host, put back when all is closed.
        trees = [(_clone(path, stack), path, _OPEN) for path in paths]
        trees += [(_clone(path, stack), path, linux.MOUNT_ATTR_NOSUID) for path in nodes]
        linux.mount_setattr(linux.AT_FDCWD, b"/", linux.AT_RECURSIVE, set=_CLOSED)
        for tree, path, attributes in trees:
            recursive = linux.AT_EMPTY_PATH | linux.AT_RECURSIVE
            linux.mount_setattr(tree, b"", recursive, set=attributes)
            _put(tree, path)
    for path in paths:
        _check(path)
    with contextlib.suppress(OSError):
        os.chdir(os.getcwdb())  # it may lie below one of them, and has to be found anew


def _is_node(name: str) -> bool:
    return Path("/dev", name).is_char_device()


def _outermost(writable: Sequence[Path]) -> list[bytes]:
    """The paths without links, each once, and without those that lie below another."""
    found: list[Path] = []
    for path in sorted({path.resolve(strict=True) for path in writable}):
        if not any(path.is_relative_to(above) for above in found):
            found.append(path)
    return [os.fsencode(path) for path in found]


def _clone(path: bytes, stack: contextlib.ExitStack) -> int:
    flags = linux.OPEN_TREE_CLONE | linux.OPEN_TREE_CLOEXEC | linux.AT_RECURSIVE
    tree = linux.open_tree(linux.AT_FDCWD, path, flags)
    stack.callback(os.close, tree)
    return tree


def _put(tree: int, path: bytes) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        linux.move_mount(tree, b"", target, b"", _BOTH_ENDS)
    finally:
        os.close(target)


def _check(path: bytes) -> None:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise MachineError(
            "the filesystem is mounted read-only",
            where=os.fsdecode(path),
            mend="Name a place that can be written: --layout, --state.",
        )
