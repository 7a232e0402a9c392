"""One address to one file: attempts, until what has arrived has the digest that is wanted."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from genoci.errors import BuildError
from genoci.fetch.limits import Limits, Patience, Unfinished
from genoci.fetch.partial import Origin, Partial, held

_PIECE = 1 << 16  # bytes
_LIMITS = Limits()


class Listener(Protocol):
    """Who is told how a download goes."""

    def arrived(self, done: int, total: int) -> None:
        """`done` of `total` bytes are there; 0: nobody knows how many there will be."""

    def waiting(self) -> None:
        """Another process is fetching the file, and is waited for."""

    def again(self, why: str) -> None:
        """An attempt failed for this reason, and another is made."""


def is_whole(path: Path, sha256: str) -> bool:
    """Whether `path` is there and has this digest."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def fetch(
    url: str, sha256: str, folder: Path, listener: Listener, *, limits: Limits = _LIMITS
) -> Path:
    """The file in `folder`, which exists, that has this digest; fetched if it is not there.

    A file that no longer has its digest is fetched anew. Of several processes that want the same
    file one fetches it. What a failure or the end of the process leaves is gone on with the next
    time. Raises BuildError with the cause and the mend.
    """
    final = folder / sha256
    if is_whole(final, sha256):
        return final
    with held(final, listener.waiting) as partial:
        if is_whole(final, sha256):  # the one we waited for has fetched it
            partial.remove()
            return final
        with contextlib.suppress(FileNotFoundError):
            final.unlink()
        if partial.origin is not None and partial.origin.url != url:
            partial.empty()
        _Download(url, sha256, partial, listener, limits).fill()
        partial.become(final)
    return final


class _Download:
    """The attempts to fill one partial file."""

    def __init__(
        self, url: str, sha256: str, partial: Partial, listener: Listener, limits: Limits
    ) -> None:
        self._url = url
        self._sha256 = sha256
        self._partial = partial
        self._listener = listener
        self._limits = limits
        self._encoding = ""

    def fill(self) -> None:
        """Attempts, until the partial file has the digest."""
        most, in_vain = self._partial.size, 0
        for left in reversed(range(self._limits.attempts)):
            if self._partial.sha256 == self._sha256:
                return
            resumed = self._partial.size > 0
            try:
                self._attempt()
            except Unfinished as unfinished:
                in_vain = 0 if self._partial.size > most else in_vain + 1
                most = max(most, self._partial.size)
                if in_vain > len(self._limits.pauses) or not left:
                    raise self._given_up(str(unfinished)) from unfinished
                self._listener.again(str(unfinished))
                time.sleep(self._limits.pauses[in_vain - 1] if in_vain else 0)
                continue
            if self._partial.sha256 == self._sha256:
                return
            found, size = self._partial.sha256, self._partial.size
            self._partial.empty()
            if not resumed:
                raise self._wrong(found, size)
            self._listener.again("what was there of it is of another file")
        raise self._given_up("it is never the same file")

    def _attempt(self) -> None:
        """Ask for what is missing and take what comes; raises Unfinished when it breaks off."""
        from genoci.fetch.client import NoSuchRange, answered  # loads urllib3

        partial, patience = self._partial, Patience(self._limits)
        with contextlib.ExitStack() as stack:
            before = partial.origin.validator if partial.origin else None
            request = answered(
                self._url, offset=partial.size, validator=before, limits=self._limits
            )
            try:
                with patience.waiting():
                    answer = stack.enter_context(request)
            except NoSuchRange:
                partial.empty()
                raise
            self._check_size(answer.total or 0)
            self._encoding = answer.encoding
            if answer.start == 0:
                partial.begin(Origin(self._url, answer.validator))
            elif answer.start != partial.size or answer.validator != before:
                partial.empty()
                raise Unfinished("the file on the server has changed")
            self._take(answer.read, patience, answer.total or 0)

    def _take(self, read: Callable[[int], bytes], patience: Patience, total: int) -> None:
        partial = self._partial
        while True:
            with patience.waiting():
                data = read(_PIECE)
            if not data:
                return
            patience.arrived(len(data))
            self._check_size(partial.size + len(data))
            partial.write(data)
            self._listener.arrived(partial.size, total)

    def _check_size(self, size: int) -> None:
        if size > self._limits.largest:
            self._partial.empty()
            raise BuildError(
                f"it is larger than {self._limits.largest >> 20} MiB, the most that is fetched",
                mend="Download it yourself, if that is what you want, and name the file.",
            )

    def _given_up(self, why: str) -> BuildError:
        mend = "Build again later."
        if self._partial.size:
            mend = f"{self._partial.size} bytes are kept: build again, and it goes on from there."
        return BuildError(why, mend=mend)

    def _wrong(self, found: str, size: int) -> BuildError:
        sent = f" (the server says that it has compressed it: {self._encoding})"
        return BuildError(
            f"what arrives, {size} bytes, has the sha256 {found}, not {self._sha256}"
            + (sent if self._encoding else ""),
            mend="If the new content is the wanted one, put its sha256 into the YAML file; "
            "if you don't know, somebody may have changed it on the way.",
        )
