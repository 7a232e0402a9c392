"""Owner, mode, xattrs and times of what was just made in a root: in this order (layer rules 19).

A change of owner takes away setuid bits and capabilities, so they come after it.
"""

from __future__ import annotations

import enum
import errno
import os
from collections.abc import Callable

from genoci.errors import BuildError
from genoci.layer import pax
from genoci.layer.entry import Entry

Warn = Callable[[str], None]

ACCESS_ACL = "system.posix_acl_access"
DEFAULT_ACL = "system.posix_acl_default"

_REFUSED = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EACCES,
        errno.EINVAL,  # an ACL or a capability that is none
        errno.E2BIG,
        errno.ERANGE,
    }
)


class Owners(enum.Enum):
    """Whose the files become: the archive's owners, or the caller."""

    KEEP = enum.auto()
    MINE = enum.auto()


class Metadata:
    """Gives files what their entries say. `warn` hears of xattrs once, however many are refused."""

    def __init__(self, owners: Owners, warn: Warn) -> None:
        self._mine = (os.geteuid(), os.getegid()) if owners is Owners.MINE else None
        self._plain = os.geteuid() != 0
        self._warn = warn
        self._warned = False

    def give_file(self, fd: int, entry: Entry, *, inherited: bool) -> None:
        """To an open file. `inherited`: it may have got an ACL from its directory."""
        uid, gid = self._mine or (entry.uid, entry.gid)
        try:
            os.fchown(fd, uid, gid)
        except OSError as error:
            self._disowned(error, entry)
        # Without the right to write, the owner may not set user.* either, not even by descriptor.
        locked = self._plain and not entry.mode & 0o200 and bool(entry.xattrs)
        os.fchmod(fd, entry.mode | 0o200 if locked else entry.mode)
        if inherited:
            _remove(fd, ACCESS_ACL)
        self._give_xattrs(fd, entry)
        if locked:
            os.fchmod(fd, entry.mode)
        os.utime(fd, ns=(entry.mtime, entry.mtime))

    def give_directory(self, fd: int, entry: Entry) -> None:
        """To an open directory, but no time: things are still put into it. It stays open to us.

        What xattrs it had before, or inherited, are dropped.
        """
        uid, gid = self._mine or (entry.uid, entry.gid)
        try:
            os.fchown(fd, uid, gid)
        except OSError as error:
            self._disowned(error, entry)
        os.fchmod(fd, entry.mode | 0o700 if self._plain else entry.mode)
        self._drop_xattrs(fd, entry)
        self._give_xattrs(fd, entry)

    def give_name(self, above: int, name: bytes, entry: Entry, *, inherited: bool) -> None:
        """To what is no directory and can't be opened safely; a link has no mode."""
        uid, gid = self._mine or (entry.uid, entry.gid)
        try:
            os.chown(name, uid, gid, dir_fd=above, follow_symlinks=False)
        except OSError as error:
            self._disowned(error, entry)
        if not entry.link:
            os.chmod(name, entry.mode, dir_fd=above)
        path = b"/proc/self/fd/%d/%b" % (above, name)
        if inherited and not entry.link:
            _remove(path, ACCESS_ACL)
        self._give_xattrs(path, entry)
        times = (entry.mtime, entry.mtime)
        os.utime(name, ns=times, dir_fd=above, follow_symlinks=False)

    def _disowned(self, error: OSError, entry: Entry) -> None:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise error
        if self._mine is not None:
            return  # a filesystem without owners
        raise BuildError(
            f"{_text(entry.path)} belongs to {entry.uid}:{entry.gid}, an owner that can't be "
            "given here",
            mend="Subordinate ids make it possible: install the package uidmap, and give "
            "yourself a range in /etc/subuid and /etc/subgid.",
        ) from error

    def _give_xattrs(self, target: int | bytes, entry: Entry) -> None:
        for name, value in entry.xattrs:
            try:
                os.setxattr(target, name, value, follow_symlinks=not isinstance(target, bytes))
            except OSError as error:
                if error.errno not in _REFUSED and not _too_large_for_ext4(error, target):
                    raise
                self._refused(name, entry, error)

    def _drop_xattrs(self, fd: int, entry: Entry) -> None:
        """Those that a directory had before this entry came."""
        wanted = {name for name, _ in entry.xattrs}
        try:
            names = [os.fsencode(name) for name in os.listxattr(fd)]
        except OSError:
            return  # the filesystem has none
        for name in names:
            if name not in wanted and pax.keeps(name):
                _remove(fd, name)

    def _refused(self, name: bytes, entry: Entry, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"the filesystem does not take the extended attribute {_text(name)} of "
                f"{_text(entry.path)} ({error.strerror}): it and others like it are left out"
            )


def _remove(target: int | bytes, name: str | bytes) -> None:
    try:
        os.removexattr(target, name, follow_symlinks=not isinstance(target, bytes))
    except OSError as error:
        if error.errno not in (errno.ENODATA, *_REFUSED):
            raise


def _too_large_for_ext4(error: OSError, target: int | bytes) -> bool:
    """ext4 says 'no space' for a value that is too large for it, on an empty disk as well."""
    if error.errno != errno.ENOSPC:
        return False
    filesystem = target if isinstance(target, int) else target.rpartition(b"/")[0]
    return os.statvfs(filesystem).f_bavail > 0


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
