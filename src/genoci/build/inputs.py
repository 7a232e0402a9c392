"""What host files hold, as digests: of those that did not change since, remembered."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from genoci import files
from genoci.build.trace import Looks
from genoci.errors import BuildError

_FOLDER = "inputs"
_SETTLED = 2 * 10**9  # nanoseconds after which a change gives a file another time than before
_LARGEST_LIST = 1 << 20  # bytes; a longer one is told by its digest alone
_SHORT = 12  # digits of a file's digest in such a list, which is there to be compared by eye
_LARGEST_TEXT = 64 << 10  # bytes


_Identity = tuple[int, int, int, int, int]  # device, inode, size, modification and change time


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    """What a file was when it was read, and the digest that it had; of a script also the text."""

    identity: _Identity
    sha256: str
    text: str | None = None


_decode = msgspec.msgpack.Decoder(dict[str, _Seen]).decode


class Inputs:
    """Digests of host files. What was read is remembered in the state when `keep` is called.

    A file counts as unchanged as long as device, inode, size, modification and change time are
    the same. One that was changed a moment before it was read is not remembered: another change in
    the same tick of the clock could not be told. `looks` are told what was looked at.
    """

    def __init__(self, state: Path, looks: Looks | None = None) -> None:
        self._looks = looks or Looks()
        self._folder = state / _FOLDER
        self._before: dict[str, dict[str, _Seen]] = {}
        self._now: dict[str, dict[str, _Seen]] = {}
        self._taken = 0

    def file(self, path: str, *, mode: int | None = None) -> dict[str, Any]:
        """A file's content and mode, as a document; links are followed.

        `mode` is the one that it gets, whatever it has.
        """
        status = self._looked_at(path)
        own = stat.S_IMODE(status.st_mode)
        return {"mode": own if mode is None else mode, "sha256": self._digest(path, "", status)}

    def content(self, path: str) -> str:
        """The sha256 of a file's content."""
        return self._digest(path, "", self._looked_at(path))

    def taken(self) -> int:
        """Stands for what the files were that were looked at since this was asked before.

        It differs if one of them was written meanwhile, even if it holds the same again.
        """
        taken, self._taken = self._taken, 0
        return taken

    def is_sound(self, blobs: Path, name: str) -> bool:
        """Whether the blob of that name, in a folder of them, has the digest that is its name."""
        full = str(blobs / name)
        return self._digest(full, name, _stat(full), top=self._known_of(blobs)) == name

    def wrote(self, blobs: Path, name: str) -> None:
        """Take a blob that was stored just now for sound: storing it has checked its bytes."""
        seen = _Seen(_identity(_stat(str(blobs / name))), name)
        self._now[self._known_of(blobs)][name] = seen

    def script(self, path: str) -> tuple[str, str]:
        """The sha256 of a script's content, and the text, for showing what changed in it.

        The text is "" if it is no small one.
        """
        digest = self._digest(path, "", self._looked_at(path))
        seen = self._now[path].get("")
        text = _text(path) if seen is None or seen.text is None else seen.text
        if seen is not None:
            self._now[path][""] = msgspec.structs.replace(seen, text=text)
        return digest, text

    def directory(
        self, path: str, excluded: Callable[[bytes], bool], *, mode: int | None = None
    ) -> dict[str, Any]:
        """What a directory holds, as a document: a digest, and what it is of unless that is long.

        Names, kinds, modes, links and contents count; times do not. `mode` is the one that its
        files get, whatever they have. Sockets are left out, as they are when it is copied.
        """
        own = stat.S_IMODE(self._looked_at(path).st_mode)
        listed = dict(self._walk(os.fsencode(path), path, excluded, mode))
        encoded = msgspec.json.encode(listed, order="sorted")
        digest = hashlib.sha256(encoded).hexdigest()
        document: dict[str, Any] = {"mode": own, "tree": digest}
        if len(encoded) <= _LARGEST_LIST:
            document["files"] = {path: _shortened(told) for path, told in listed.items()}
        return document

    def keep(self) -> None:
        """Remember what was read, for the next build."""
        for name, seen in self._now.items():
            if seen != self._before.get(name):
                self._folder.mkdir(parents=True, exist_ok=True)
                files.replace(self._file(name), msgspec.msgpack.encode(seen))
            elif seen:
                files.touch(self._file(name))

    def _looked_at(self, path: str) -> os.stat_result:
        self._looks.path(path)
        return _stat(path)

    def _known_of(self, blobs: Path) -> str:
        """What a folder of blobs is remembered as; what other builds found in it stays known."""
        folder = str(blobs)
        if folder not in self._now:
            self._now[folder] = {
                known: seen
                for known, seen in self._remembered(folder).items()
                if (blobs / known).exists()
            }
        return folder

    def _walk(
        self, top: bytes, name: str, excluded: Callable[[bytes], bool], mode: int | None
    ) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        pending = [b""]
        while pending:
            above = pending.pop()
            try:
                entries = sorted(os.scandir(os.path.join(top, above)), key=lambda e: e.name)
            except OSError as error:
                raise _unreadable(os.fsdecode(os.path.join(top, above)), error) from error
            for entry in entries:
                path = above + b"/" + entry.name if above else entry.name
                if excluded(path):
                    continue
                status = _lstat(entry)
                self._looks.entry(os.fsdecode(entry.path), status)
                if stat.S_ISSOCK(status.st_mode):
                    continue
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                found.append((_spelled(path), self._told(entry.path, name, path, status, mode)))
        return found

    def _told(
        self, full: bytes, name: str, path: bytes, status: os.stat_result, mode: int | None
    ) -> str:
        own = stat.S_IMODE(status.st_mode)
        if stat.S_ISREG(status.st_mode):
            digest = self._digest(os.fsdecode(full), _spelled(path), status, top=name)
            return f"file {own if mode is None else mode:o} {digest}"
        if stat.S_ISLNK(status.st_mode):
            return f"link {_spelled(_link(full))}"
        return f"{stat.filemode(status.st_mode)[0]} {own:o}"

    def _digest(self, full: str, path: str, status: os.stat_result, *, top: str = "") -> str:
        top = top or full
        seen = self._now.setdefault(top, {})
        known = seen.get(path) or self._remembered(top).get(path)
        identity = _identity(status)
        self._taken = hash((self._taken, identity))
        if known is not None and identity == known.identity:
            seen[path] = known
            return known.sha256
        began = time.time_ns()
        digest, after = _read(full)
        if identity == _identity(after) and _is_settled(identity, began):
            seen[path] = _Seen(identity, digest)
        return digest

    def _remembered(self, top: str) -> Mapping[str, _Seen]:
        if top not in self._before:
            try:
                self._before[top] = _decode(self._file(top).read_bytes())
            except (OSError, msgspec.MsgspecError):  # never seen, or not by this version
                self._before[top] = {}
        return self._before[top]

    def _file(self, top: str) -> Path:
        return self._folder / hashlib.sha256(os.fsencode(top)).hexdigest()


def _identity(status: os.stat_result) -> _Identity:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _shortened(told: str) -> str:
    return told[: _SHORT - 64] if told.startswith("file ") else told


def _is_settled(identity: _Identity, now: int) -> bool:
    """Whether a change from `now` on would give the file other times.

    A modification time that is still to come was set by somebody, and no write sets such a one.
    """
    *_, modified, changed = identity
    return now - changed > _SETTLED and (now - modified > _SETTLED or modified > now)


def _text(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            data = stream.read(_LARGEST_TEXT + 1)
        return data.decode() if len(data) <= _LARGEST_TEXT else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _read(path: str) -> tuple[str, os.stat_result]:
    try:
        with open(path, "rb", buffering=0) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return digest, os.fstat(stream.fileno())
    except OSError as error:
        raise _unreadable(path, error) from error


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _lstat(entry: os.DirEntry[bytes]) -> os.stat_result:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(os.fsdecode(entry.path), error) from error


def _link(path: bytes) -> bytes:
    try:
        return os.readlink(path)
    except OSError as error:
        raise _unreadable(os.fsdecode(path), error) from error


def _unreadable(path: str, error: OSError) -> BuildError:
    return BuildError(
        f"cannot read {path}: {error.strerror}",
        mend="It was there when the build began; make it readable, or leave it out.",
    )


def _spelled(name: bytes) -> str:
    """Text that stands for these bytes and no others."""
    return name.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
