"""Snapshots as upper directories of overlay filesystems: each layer lies on the disk once."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from genoci import linux
from genoci.errors import BuildError
from genoci.layer.beneath import Beneath
from genoci.layer.entry import join
from genoci.layer.remove import remove_tree
from genoci.layer.tree import LiveTree
from genoci.snapshot.copy import copy_metadata
from genoci.snapshot.driver import Candidate
from genoci.snapshot.root import PARENT, ROOT, bind, make_empty

# No index: it would tie an upper directory to its lower ones by file handles. No copying of
# metadata alone: an upper file must be whole. Renamed directories are copied by whoever renames
# (EXDEV). Volatile: what a crash leaves half-written is no snapshot anyway, and unmounting does
# not wait until the whole filesystem below is on the disk.
_OPTIONS = b"userxattr,index=off,metacopy=off,redirect_dir=nofollow"
MOST_LAYERS = 500  # OVL_MAX_STACK in the kernel's fs/overlayfs


class Overlay:
    """The lowest tree of a chain is a plain directory, the others are upper directories."""

    whole = False

    def make(self, folder: Path, chain: list[Path]) -> None:
        make_empty(folder / "fs")
        if chain:
            copy_metadata(chain[0], folder / "fs")

    def mount(self, folder: Path, chain: list[Path]) -> None:
        if not chain:
            bind(folder / "fs", folder / ROOT)
            return
        mount_read_only(folder, chain)
        if not os.path.ismount(folder / ROOT):
            mount(folder, chain)

    def candidates(self, folder: Path, parent: Path | None) -> Iterator[Candidate]:
        return candidates(folder / "fs", parent)

    def freeze(self, folder: Path) -> None:
        pass

    def remove(self, tree: Path) -> None:
        remove_tree(tree)


def mount(folder: Path, lowers: list[Path]) -> None:
    """Mount `folder`/fs over `lowers` (the topmost first) at `folder`/root.

    Raises OSError; BuildError for more layers than an overlay takes. Makes what else it needs in
    `folder`.
    """
    for name in ("work", ROOT):
        (folder / name).mkdir(mode=0o700)
    _mount(folder, ROOT, lowers, b"volatile,upperdir=../fs,workdir=../work,")


def mount_read_only(folder: Path, lowers: list[Path]) -> None:
    """Mount what `lowers` are together at `folder`/parent-root."""
    if len(lowers) == 1:  # too few for an overlay without an upper directory
        bind(lowers[0], folder / PARENT, read_only=True)
        return
    (folder / PARENT).mkdir(mode=0o700, exist_ok=True)
    _mount(folder, PARENT, lowers, b"")


def _mount(folder: Path, target: str, lowers: list[Path], more: bytes) -> None:
    """Mount an overlay at `folder`/`target`; the paths in `more` are relative to a folder in it.

    The kernel takes one page of options, and splits them at colons and commas. Links with short
    names keep as many layers within it as an overlay may have, whatever the path of the state is.
    """
    if len(lowers) > MOST_LAYERS:
        raise BuildError(
            f"there are {len(lowers)} layers to stand on, and the driver overlay takes "
            f"{MOST_LAYERS}",
            mend="The driver copy takes any number: --driver copy.",
        )
    links = folder / "lowers"
    if not links.exists():
        links.mkdir(mode=0o700)
        for number, lower in enumerate(lowers):
            (links / str(number)).symlink_to(lower.absolute())
    options = b"lowerdir=" + b":".join(b"%d" % number for number in range(len(lowers)))
    with _working_in(links):
        linux.mount(
            b"overlay",
            b"../" + target.encode(),
            b"overlay",
            linux.MS_NODEV | linux.MS_NOSUID,
            _OPTIONS + b"," + more + options,
        )


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def candidates(upper: Path, parent: Path | None) -> Iterator[Candidate]:
    """What the upper directory holds, and what of the parent's it hides.

    Names and inode numbers are the upper directory's: through the mount hard links show
    different numbers.
    """
    with contextlib.ExitStack() as stack:
        below = stack.enter_context(LiveTree(parent)) if parent is not None else None
        fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        directories = Beneath(fd)
        stack.callback(directories.close)
        pending = [(b"", False)]
        while pending:
            path, hiding = pending.pop()
            directory = directories.directory(path)
            hiding = hiding or _is_opaque(directory)
            if hiding and below is not None:
                yield from (Candidate(join(path, name)) for name in below.names(path))
            directory = directories.directory(path)
            for name in map(os.fsencode, os.listdir(directory)):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                child = join(path, name)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((child, hiding))
                    yield Candidate(child)
                elif _is_whiteout(status):
                    yield Candidate(child)
                else:
                    yield Candidate(child, status.st_ino if status.st_nlink > 1 else None)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, "user.overlay.opaque") == b"y"
    except OSError:
        return False
