"""The standard streams, whose readers may be gone at any moment."""

from __future__ import annotations

import contextlib
import os
from typing import TextIO

from genoci.errors import StorageError


def open_missing() -> None:
    """Open the null device for each standard stream that this process was started without.

    Otherwise the next file that is opened, a blob perhaps, would be standard error to everybody.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)


class Stream:
    """Standard output or error. What is written after its reader has gone is lost in silence.

    Also a file in the eyes of libraries that want to write to one.
    """

    def __init__(self, raw: TextIO | None, *, essential: bool) -> None:
        """`essential`: that it can't be written, for another reason than that, is an error."""
        self._raw = raw
        self._essential = essential

    @property
    def encoding(self) -> str:
        return self._raw.encoding if self._raw else "utf-8"

    def isatty(self) -> bool:
        try:
            return self._raw is not None and self._raw.isatty()
        except ValueError:  # closed
            return False

    def fileno(self) -> int:
        if self._raw is None:
            raise OSError("the stream is closed")
        return self._raw.fileno()

    def write(self, text: str) -> int:
        if self._raw is not None:
            try:
                self._raw.write(text)
            except UnicodeEncodeError:
                self._write_escaped(self._raw, text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        if self._raw is not None:
            try:
                self._raw.flush()
            except OSError as error:
                self._give_up(error)

    def _write_escaped(self, raw: TextIO, text: str) -> None:
        """What the locale's encoding lacks, as backslash escapes."""
        try:
            raw.write(text.encode(raw.encoding, "backslashreplace").decode(raw.encoding))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        raw, self._raw = self._raw, None
        # The interpreter flushes what is left in the buffer at its end, and would complain.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, raw.fileno())  # type: ignore[union-attr]
            os.close(null)
        if self._essential and not isinstance(error, BrokenPipeError):
            raise StorageError(
                f"the results can't be written: {error.strerror}", where="standard output"
            ) from error
