"""Hand-made layers, and what becomes of them: on disk, by extraction, and on paper, by folding."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from genoci.errors import ArchiveError
from genoci.layer import tar
from genoci.layer.beneath import Beneath
from genoci.layer.entry import OPAQUE, WHITEOUT, Entry, Kind, join
from genoci.layer.extract import Devices, Owners, extract_layer
from genoci.layer.listing import Listing, fold_all, read_listing
from genoci.layer.remove import remove
from genoci.layer.tree import LiveTree
from genoci.oci.digest import Digest

SECOND = 10**9
TIME = 1_500_000_000 * SECOND
ROOT = os.geteuid() == 0
OWNERS = Owners.KEEP if ROOT else Owners.MINE


class Piece(NamedTuple):
    """A member of a tar; its name and its link's target are written as they stand."""

    entry: Entry
    content: bytes = b""


def piece(path: bytes, kind: Kind, content: bytes = b"", **fields: Any) -> Piece:
    mode = 0o755 if kind is Kind.DIRECTORY else 0o644
    known = {"mode": mode, "uid": 0, "gid": 0, "mtime": TIME, "size": len(content)}
    return Piece(Entry(path or b".", kind, **(known | fields)), content)


def file(path: bytes, content: bytes = b"", **fields: Any) -> Piece:
    return piece(path, Kind.FILE, content, **fields)


def directory(path: bytes, **fields: Any) -> Piece:
    return piece(path, Kind.DIRECTORY, **fields)


def symlink(path: bytes, link: bytes, **fields: Any) -> Piece:
    return piece(path, Kind.SYMLINK, link=link, **fields)


def hardlink(path: bytes, link: bytes, **fields: Any) -> Piece:
    return piece(path, Kind.HARDLINK, link=link, **fields)


def fifo(path: bytes, **fields: Any) -> Piece:
    return piece(path, Kind.FIFO, **fields)


def device(path: bytes, kind: Kind = Kind.CHARACTER, **fields: Any) -> Piece:
    return piece(path, kind, **({"device": (1, 3)} | fields))


def whiteout(path: bytes, **fields: Any) -> Piece:
    parent, _, name = path.rpartition(b"/")
    return file(join(parent, WHITEOUT + name), **fields)


def opaque(path: bytes, **fields: Any) -> Piece:
    return file(join(path, OPAQUE), **fields)


def layer(*pieces: Piece) -> bytes:
    """The tar."""
    blocks = [
        tar.write_header(entry) + content + tar.padding(len(content)) for entry, content in pieces
    ]
    return b"".join(blocks) + tar.END


def changed(header: bytes, at: int, field: bytes) -> bytes:
    """A header block with other bytes at `at`, and the checksum made right."""
    raw = bytearray(header)
    raw[at : at + len(field)] = field
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def socket(path: bytes) -> bytes:
    """A member (a tar's bytes, without the end) as cpio and old tars tell of a socket."""
    return changed(layer(file(path))[:512], 100, b"0140755\0")


class Seen(NamedTuple):
    """What is at a path; `names` are all the names of the file.

    What can't be the same everywhere is left out: a link's mode, owners where only root can give
    them.
    """

    entry: Entry
    content: bytes
    names: tuple[bytes, ...]


View = Mapping[bytes, Seen]


def seen(entry: Entry, path: bytes, content: bytes, names: Iterable[bytes]) -> Seen:
    uid, gid = (entry.uid, entry.gid) if ROOT else (0, 0)
    mode = 0 if entry.kind is Kind.SYMLINK else entry.mode
    entry = msgspec.structs.replace(entry, path=path, uid=uid, gid=gid, mode=mode)
    return Seen(entry, content, tuple(sorted(names)) if entry.kind is not Kind.DIRECTORY else ())


class Root:
    """A directory to extract into, and one beside it that nothing may touch."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "root"
        self.beside = folder / "beside"
        self.path.mkdir()
        self.path.chmod(0o755)
        os.utime(self.path, ns=(0, 0))  # as the empty listing's
        self.beside.mkdir()
        (self.beside / "secret").write_bytes(b"secret")
        (self.beside / "full").mkdir()
        (self.beside / "full" / "inner").write_bytes(b"inner")
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self.warnings: list[str] = []
        self._before = self.state_of_beside()

    def close(self) -> None:
        os.close(self.fd)
        above = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for path in (self.path, self.beside):
                remove(above, os.fsencode(path.name))
        finally:
            os.close(above)

    def extract(self, *layers: bytes, **options: Any) -> None:
        chosen = {"owners": OWNERS, "devices": Devices.PLACEHOLDER, "warn": self.warnings.append}
        for content in layers:
            members = tar.read(io.BytesIO(content), name="layer.tar")
            extract_layer(members, self.fd, **(chosen | options))

    def state_of_beside(self) -> list[tuple[object, ...]]:
        found = []
        for path in sorted([self.beside, *self.beside.rglob("*")]):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            # The change time as well: nobody can set it, so it tells of chmod and links too.
            found.append((path, status.st_mode, status.st_ino, status.st_ctime_ns, content))
        return found

    def untouched_beside(self) -> bool:
        return self.state_of_beside() == self._before

    def seen(self) -> dict[bytes, Seen]:
        """The tree; afterwards everything in it is open to its owner."""
        nodes = dict(self._nodes())
        groups: dict[object, list[bytes]] = {}
        for path, (inode, _, _) in nodes.items():
            groups.setdefault(inode, []).append(path)
        return {
            path: seen(entry, path, content, groups[inode])
            for path, (inode, entry, content) in nodes.items()
        }

    def _nodes(self) -> Iterator[tuple[bytes, tuple[object, Entry, bytes]]]:
        beneath = Beneath(self.fd)
        tree = LiveTree(self.fd)
        modes: dict[object, int] = {}
        pending = [b""]
        try:
            while pending:
                path = pending.pop()
                status = self._opened_up(beneath, path)
                node = tree.node(path)
                assert node is not None
                mode = modes.setdefault(status.st_ino, stat.S_IMODE(status.st_mode))
                entry = msgspec.structs.replace(node.entry, mode=mode)
                content = b"".join(tree.content(path)) if entry.kind is Kind.FILE else b""
                yield path, ((status.st_dev, status.st_ino), entry, content)
                pending += [join(path, child) for child in tree.names(path)]
        finally:
            tree.close()
            beneath.close()

    def _opened_up(self, beneath: Beneath, path: bytes) -> os.stat_result:
        """How it was, before it was made readable to an ordinary user."""
        if not path:
            status = os.fstat(self.fd)
            os.fchmod(self.fd, status.st_mode | 0o700)
            return status
        parent, name = beneath.parent(path)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        needed = {stat.S_IFREG: 0o400, stat.S_IFDIR: 0o500}.get(stat.S_IFMT(status.st_mode), 0)
        if status.st_mode & needed != needed:
            os.chmod(name, status.st_mode | needed, dir_fd=parent)
        return status


@contextlib.contextmanager
def a_root(folder: Path) -> Iterator[Root]:
    root = Root(folder)
    try:
        yield root
    finally:
        root.close()


def listing(*layers: bytes) -> Listing:
    return fold_all(
        read_listing(io.BytesIO(content), _digest(number), name="layer.tar")
        for number, content in enumerate(layers)
    )


def _digest(number: int) -> Digest:
    return Digest("sha256", f"{number:064x}")


def contents(*layers: bytes) -> dict[tuple[Digest, int], bytes]:
    """Of every file, by its layer and its number in it."""
    return {
        (_digest(number), at): b"".join(member.chunks())
        for number, content in enumerate(layers)
        for at, member in enumerate(tar.read(io.BytesIO(content), name="layer.tar"))
        if member.entry.kind is Kind.FILE
    }


def folded(*layers: bytes) -> dict[bytes, Seen]:
    """The tree of a listing."""
    view = listing(*layers)
    content_of = contents(*layers)
    groups: dict[object, list[bytes]] = {}
    found = {path: view.get(path) for path in view.paths()}
    for path, listed in found.items():
        assert listed is not None and listed.entry.path == path
        groups.setdefault((listed.layer, listed.number), []).append(path)
    return {
        path: seen(
            listed.entry,
            path,
            content_of.get((listed.layer, listed.number), b""),  # type: ignore[arg-type]
            groups[listed.layer, listed.number],
        )
        for path, listed in found.items()
        if listed is not None
    }


def both(folder: Path, *layers: bytes) -> dict[bytes, Seen]:
    """The tree that the layers make: the same on disk as on paper, and nothing beside it."""
    with a_root(folder) as root:
        root.extract(*layers)
        seen = root.seen()
        assert root.untouched_beside()
    assert seen == folded(*layers)
    return seen


def both_refuse(folder: Path, *layers: bytes) -> str:
    """What is said of the last of the layers, which both refuse; those before it are well."""
    with a_root(folder) as root:
        root.extract(*layers[:-1])
        with pytest.raises(ArchiveError) as on_disk:
            root.extract(layers[-1])
        assert root.untouched_beside()
    with pytest.raises(ArchiveError) as on_paper:
        listing(*layers)
    assert on_disk.value.what == on_paper.value.what
    return str(on_disk.value)
