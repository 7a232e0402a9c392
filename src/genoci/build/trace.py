"""What a build depended on, written down at its end: whether the next has anything to do.

A verifying trace (Mokhov, Mitchell and Peyton Jones, "Build systems à la carte", 2018). It tells
every path of the host that was looked at, and `index.json` and the blobs that were relied on, each
as it was. While all of them are that still, a build would find every target in the cache; so it
need not read the YAML file, nor any document. Whatever is not plainly the same is not for a trace
to judge: then the planner looks.
"""

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from genoci import files
from genoci.version import VERSION

_FOLDER = "traces"
_FORMAT = 1
_LARGEST = 64 << 20  # bytes of a trace that are believed
_SETTLED = 2 * 10**9  # nanoseconds after which a change gives a file another time than before

Identity = list[int]
"""Device, inode, size, modification and change time. The last of them nobody can set."""


class Asked(NamedTuple):
    """What of a request decides what is built, and where. Paths may be relative.

    `compression` is the algorithm and its level, as text; "": none was given.
    """

    file: str
    layout: str
    state: str
    targets: tuple[str, ...]
    compression: tuple[str, str]
    epoch: int | None
    hooks: bool


class Looks:
    """The paths that were looked at, as they were then. To be told before they are read."""

    def __init__(self) -> None:
        self.paths: dict[str, Identity | None] = {}
        self.entries: dict[str, Identity] = {}
        self.patterns: list[tuple[str, str, list[str]]] = []
        self.settled = True
        """Whether another change of each of them will be seen: none was changed just now."""

    def path(self, path: str) -> None:
        """Links are followed; that nothing is there counts as well."""
        if path not in self.paths:
            status = _stat(path)
            self.paths[path] = None if status is None else self._seen(status)

    def pattern(self, folder: str, pattern: str, found: list[str]) -> None:
        self.patterns.append((folder, pattern, found))

    def entry(self, path: str, status: os.stat_result) -> None:
        """What a directory holds, a link itself for instance."""
        self.entries[path] = self._seen(status)

    def _seen(self, status: os.stat_result) -> Identity:
        self.settled = self.settled and time.time_ns() - status.st_ctime_ns > _SETTLED
        return _identity(status)


class Traced(NamedTuple):
    """An image that was found or built: its target's name, and its manifest's descriptor."""

    name: str
    media_type: str
    digest: str
    size: int


class Trace(NamedTuple):
    """All that a build depended on, and what came of it.

    `index_file` is what `index.json` was, with its checksum, since it was written just then.
    `blobs` are told by their names. `until`, in seconds since 1970, is when a layer gets too old.
    `images` are in the order in which they were told, `warnings` are the YAML file's.
    `numbers` are the highest of the dated tags of `date`, by name; None: more of them can't be
    appended to the index as it stands.
    """

    paths: Mapping[str, Identity | None]
    entries: Mapping[str, Identity]
    patterns: list[tuple[str, str, list[str]]]
    index_file: list[int]
    blobs: Mapping[str, Identity]
    until: float | None
    warnings: list[str]
    images: list[Traced]
    date: str
    numbers: Mapping[str, int] | None

    def _holds(self, layout: str) -> bool:
        return (
            (self.until is None or time.time() < self.until)
            and all(_same(path, known) for path, known in self.paths.items())
            and all(_same_entry(path, known) for path, known in self.entries.items())
            and all(_matches(*known) for known in self.patterns)
            and all(_same_entry(path, known) for path, known in self._blob_paths(layout))
            and index_of(layout) == self.index_file
        )

    def _blob_paths(self, layout: str) -> Iterator[tuple[str, Identity]]:
        folder = os.path.join(layout, "blobs", "sha256", "")
        return ((folder + name, known) for name, known in self.blobs.items())


def index_of(layout: str) -> list[int] | None:
    """What `index.json` is at the moment; None: there is none."""
    try:
        with opened(os.path.join(layout, "index.json")) as stream:
            return stamp(stream.fileno(), stream.read())
    except OSError:
        return None


def opened(path: str) -> BinaryIO:
    """To be read, without a link being followed, and without a wait for who writes to a FIFO."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return open(os.open(path, flags), "rb")


def stamp(index: int, content: bytes) -> list[int]:
    """What an open `index.json` is that holds this."""
    return [*_identity(os.fstat(index)), zlib.crc32(content)]


def blob_identity(layout: str, name: str) -> Identity:
    """Raises OSError if it is not there."""
    return _identity(os.lstat(os.path.join(layout, "blobs", "sha256", name)))


def standing(asked: Asked) -> Trace | None:
    """The trace of the last build that was asked for the same, if all is as it was then."""
    try:
        with opened(_file(asked)) as stream:
            checksum, _, content = stream.read(_LARGEST).partition(b"\n")
        if int(checksum, 16) != zlib.crc32(content):
            return None
        document = json.loads(content)
        if document.pop("asked") != _key(asked):
            return None
        images = [Traced(*image) for image in document.pop("images")]
        trace = Trace(images=images, **document)
        return trace if trace._holds(asked.layout) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # there is none, or it is none


def save(asked: Asked, trace: Trace) -> None:
    """For the next build that is asked for the same. A disk that refuses costs only time."""
    document = {"asked": _key(asked), **trace._asdict()}
    with contextlib.suppress(OSError):
        path = _file(asked)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = json.dumps(document).encode()
        files.replace(path, b"%08x\n%b" % (zlib.crc32(content), content))


def forget(asked: Asked) -> None:
    """Its last trace is not to be used any more."""
    with contextlib.suppress(OSError):
        os.unlink(_file(asked))


def _key(asked: Asked) -> list[Any]:
    """What another has another trace for, as JSON gives it back."""
    return [
        *(_FORMAT, VERSION, os.uname().machine, os.geteuid()),
        *(os.path.abspath(asked.file), os.path.abspath(asked.layout)),
        *(list(asked.targets), list(asked.compression), asked.epoch, asked.hooks),
    ]


def _file(asked: Asked) -> str:
    key = json.dumps(_key(asked)).encode()
    # Two sums, so that few share a file; who asked is in the file.
    name = f"{zlib.crc32(key):08x}{zlib.adler32(key):08x}"
    return os.path.join(asked.state, _FOLDER, name)


def _same(path: str, known: Identity | None) -> bool:
    status = _stat(path)
    return known is None if status is None else _identity(status) == known


def _matches(folder: str, pattern: str, found: list[str]) -> bool:
    import glob

    return sorted(glob.glob(pattern, root_dir=folder), key=os.fsencode) == found


def _same_entry(path: str, known: Identity) -> bool:
    try:
        return _identity(os.lstat(path)) == known
    except (OSError, ValueError):
        return False


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # a NUL in the path
        return None


def _identity(status: os.stat_result) -> Identity:
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]
