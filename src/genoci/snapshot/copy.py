"""Snapshots as plain trees, each a copy of its parent's: for where there is nothing better.

On a filesystem that can share blocks between files (btrfs, XFS, bcachefs) a copy takes no space.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from genoci import linux
from genoci.layer import pax
from genoci.layer.beneath import Beneath
from genoci.layer.entry import join
from genoci.layer.remove import remove_tree
from genoci.layer.tree import LiveTree, xattr_names
from genoci.snapshot import marks
from genoci.snapshot.driver import Candidate
from genoci.snapshot.root import bind_whole, make_empty

_CHUNK = 1 << 20
_NOT_HERE = (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS)
_NOT_THIS = (errno.EINVAL, errno.EPERM, errno.ETXTBSY)  # a file without checksums, a swap file


class Copy:
    """Trees that are whole, and share nothing but blocks."""

    whole = True

    def make(self, folder: Path, chain: list[Path]) -> None:
        make_empty(folder / "fs")
        if chain:
            copy_tree(chain[0], folder / "fs")
            marks.record(folder / "fs", folder)

    def mount(self, folder: Path, chain: list[Path]) -> None:
        bind_whole(folder, chain)

    def candidates(self, folder: Path, parent: Path | None) -> Iterator[Candidate]:
        """What is not as it was after the copy; if that is not known, every path of both trees.

        Another content, owner, mode, attribute, name or number of names: each changes the ctime.
        """
        known = marks.recorded(folder)
        if known is None:
            yield from _all(folder / "fs", parent)
            return
        gone = set(known)
        with LiveTree(folder / "fs") as tree:
            for path, status in tree.walk():
                gone.discard(path)
                if known.get(path) != marks.mark(status):
                    yield Candidate(path)
        yield from map(Candidate, gone)

    def freeze(self, folder: Path) -> None:
        (folder / marks.NAME).unlink(missing_ok=True)

    def remove(self, tree: Path) -> None:
        remove_tree(tree)


def _all(*tops: Path | None) -> Iterator[Candidate]:
    for top in tops:
        if top is not None:
            with LiveTree(top) as tree:
                yield from (Candidate(path) for path in tree.paths())


def copy_tree(source: Path, target: Path) -> None:
    """Make the empty directory `target` the same as `source`, links, holes, times and all."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        fds = [os.open(path, flags) for path in (source, target)]
        for fd in fds:
            stack.callback(os.close, fd)
        copying = _Copying(Beneath(fds[0]), Beneath(fds[1]))
        stack.callback(copying.close)
        copying.run()


def copy_metadata(source: Path, target: Path) -> None:
    """Give one directory the other's owner, mode and times, and the xattrs that a layer holds."""
    _copy_metadata(os.fsencode(source), os.fsencode(target), os.stat(source), pax.keeps)


class _Copying:
    def __init__(self, source: Beneath, target: Beneath) -> None:
        self._source = source
        self._target = target
        self._names: dict[tuple[int, int], bytes] = {}  # of files that have several
        self._shares = True

    def close(self) -> None:
        self._source.close()
        self._target.close()

    def run(self) -> None:
        directories = [b""]
        for above in directories:  # it grows: parents come before what is in them
            for name in os.listdir(self._source.directory(above)):
                path = join(above, os.fsencode(name))
                if self._copy(path):
                    directories.append(path)
        for path in reversed(directories):
            source, target = self._source.directory(path), self._target.directory(path)
            _copy_metadata(source, target, os.fstat(source))

    def _copy(self, path: bytes) -> bool:
        """Copy one name; whether it is a directory, which is empty then, and gets its own later."""
        source, name = self._source.parent(path)
        target, _ = self._target.parent(path)
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            return True
        if status.st_nlink > 1:
            known = self._names.setdefault((status.st_dev, status.st_ino), path)
            if known != path:
                self._link(known, path)
                return False
        if stat.S_ISREG(status.st_mode):
            self._copy_file(source, target, name, status)
            return False
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=target)
        _copy_metadata(_through(source, name), _through(target, name), status)
        return False

    def _link(self, known: bytes, path: bytes) -> None:
        above, old = self._target.parent(known)
        above = os.dup(above)
        try:
            below, new = self._target.parent(path)
            os.link(old, new, src_dir_fd=above, dst_dir_fd=below, follow_symlinks=False)
        finally:
            os.close(above)

    def _copy_file(self, source: int, target: int, name: bytes, status: os.stat_result) -> None:
        old = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            new = os.open(name, flags, 0o600, dir_fd=target)
            try:
                self._copy_content(old, new, status)
                _copy_metadata(old, new, status)
            finally:
                os.close(new)
        finally:
            os.close(old)

    def _copy_content(self, old: int, new: int, status: os.stat_result) -> None:
        if not status.st_size or (self._shares and self._share(old, new)):
            return
        os.ftruncate(new, status.st_size)
        for offset, length in _data(old, status):
            _copy_range(old, new, offset, length)

    def _share(self, old: int, new: int) -> bool:
        try:
            linux.ficlone(old, new)
        except OSError as error:
            if error.errno not in (*_NOT_HERE, *_NOT_THIS):
                raise
            self._shares = error.errno in _NOT_THIS
            return False
        return True


def _through(directory: int, name: bytes) -> bytes:
    return b"/proc/self/fd/%d/%s" % (directory, name)


def _is_ours(xattr: bytes) -> bool:
    return xattr != b"security.selinux"  # the kernel gives that itself


def _copy_metadata(
    source: int | bytes,
    target: int | bytes,
    status: os.stat_result,
    wanted: Callable[[bytes], bool] = _is_ours,
) -> None:
    """From what `status` is of. Both are descriptors, or paths that may be links."""
    follow = isinstance(target, int)
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=follow)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in xattr_names(source):
        if wanted(name):
            value = os.getxattr(source, name, follow_symlinks=follow)
            os.setxattr(target, name, value, follow_symlinks=follow)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(target, ns=times, follow_symlinks=follow)


def _data(fd: int, status: os.stat_result) -> Iterator[tuple[int, int]]:
    """The runs of data of a file, (offset, length) each, without the holes between them."""
    if status.st_blocks * 512 >= status.st_size:
        yield 0, status.st_size
        return
    end = 0
    while end < status.st_size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end - start


def _copy_range(old: int, new: int, offset: int, length: int) -> None:
    end = offset + length
    try:
        while offset < end:
            done = os.copy_file_range(old, new, end - offset, offset, offset)
            if not done:
                return
            offset += done
    except OSError as error:
        if error.errno not in (*_NOT_HERE, *_NOT_THIS):
            raise
        while offset < end:
            chunk = os.pread(old, min(_CHUNK, end - offset), offset)
            if not chunk:
                return
            offset += os.pwrite(new, chunk, offset)
