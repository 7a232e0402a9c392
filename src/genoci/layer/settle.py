"""A root made equal to the layer that was made from it, before it is frozen."""

from __future__ import annotations

import os
from pathlib import Path

from genoci.layer.beneath import Beneath
from genoci.layer.change import Changes
from genoci.layer.entry import Entry, Kind, split
from genoci.layer.tree import is_strange, open_alone, xattr_names


def settle(root: Path, changes: Changes) -> None:
    """Give `root` what a root has that `changes`, as a layer, was extracted to.

    What the layer left out is removed, what it tells as one file becomes one, and times are those
    that it tells. Whoever builds on the root sees what he would see on the extracted layer.
    """
    root_fd = open_alone(root)
    beneath = Beneath(root_fd)
    try:
        _Settling(beneath).run(changes)
    finally:
        beneath.close()
        os.close(root_fd)


class _Settling:
    def __init__(self, beneath: Beneath) -> None:
        self._beneath = beneath
        self._times: dict[bytes, int] = {}  # of directories, from before they were touched

    def run(self, changes: Changes) -> None:
        for path in changes.left_out:
            parent, name = self._touched(path)
            os.unlink(name, dir_fd=parent)
        for path, other in changes.joined:
            self._join(path, other)
        unlike = set(changes.unlike)
        for change in changes if unlike else ():
            entry = change.entry
            if entry.path in unlike:
                self._strip(entry)
                self._times[entry.path] = entry.mtime
        for path, time in self._times.items():
            self._set_time(path, time)

    def _touched(self, path: bytes) -> tuple[int, bytes]:
        """The parent, whose time is about to change, and the last component."""
        parent, name = self._beneath.parent(path)
        self._times.setdefault(split(path)[0], os.fstat(parent).st_mtime_ns)
        return parent, name

    def _strip(self, entry: Entry) -> None:
        """Take away the attributes that no layer holds.

        Not for tidiness: `user.overlay.*` on what becomes a lower directory would steer the
        overlay filesystem above it.
        """
        if entry.kind not in (Kind.FILE, Kind.DIRECTORY):
            return
        parent, name = self._beneath.parent(entry.path)
        path = b"/proc/self/fd/%d/%s" % (parent, name)
        for xattr in xattr_names(path):
            if is_strange(xattr):
                os.removexattr(path, xattr, follow_symlinks=False)

    def _join(self, path: bytes, other: bytes) -> None:
        """Make `path` another name of the file `other`."""
        above, source = self._beneath.parent(other)
        above = os.dup(above)
        try:
            parent, name = self._touched(path)
            os.unlink(name, dir_fd=parent)
            os.link(source, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(above)

    def _set_time(self, path: bytes, time: int) -> None:
        parent, name = self._beneath.parent(path)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if status.st_mtime_ns != time:
            times = (status.st_atime_ns, time)
            os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)
