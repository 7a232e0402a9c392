"""Programs of the root, run for a package manager in the container of `run`."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from genoci.build.install.manager import Ended
from genoci.build.run import PROXIES, Tail, environment
from genoci.errors import BuildError
from genoci.sandbox import process

_MOST = 16 << 20  # characters that are kept of an output


class Programs:
    """A `Run` for one root, seen as in `showing`. What is printed goes to `on_output`."""

    def __init__(
        self,
        root: Path,
        *,
        showing: Callable[[Path], AbstractContextManager[None]],
        where: str,
        epoch: int | None,
        on_output: Callable[[str], None],
        warn: Callable[..., None],
    ) -> None:
        self._root = root
        self._showing = showing
        self._where = where
        self._epoch = epoch
        self._on_output = on_output
        self._warn = warn

    def __call__(
        self,
        *argv: str,
        network: bool = False,
        shown: Mapping[str, Path] | None = None,
        overlaid: Mapping[str, bytes] | None = None,
        env: Mapping[str, str] | None = None,
        quiet: bool = False,
    ) -> Ended:
        command = process.Command(
            argv=argv,
            root=self._root,
            env=self._environment(network) | dict(env or {}),
            network=network,
            shown=tuple((str(source), path) for path, source in (shown or {}).items()),
            overlaid=tuple((path, text, 0o755) for path, text in (overlaid or {}).items()),
        )
        heard = _Heard(None if quiet else self._on_output)
        try:
            with self._showing(self._root):
                status = process.run(command, heard.take, warn=self._warn)
        except FileNotFoundError as error:
            raise BuildError(
                f"the image has no {argv[0]}, or not what that needs to run",
                where=self._where,
                mend="Use a base that is complete, or repair it in an earlier step.",
            ) from error
        heard.take(b"", last=True)
        return Ended(status, heard.tail.lines(), heard.text())

    def _environment(self, network: bool) -> dict[str, str]:
        epoch = None if self._epoch is None else str(self._epoch)
        found = environment({"LC_ALL": "C"}, home="/root", epoch=epoch)
        if network:
            return found
        return {name: value for name, value in found.items() if name.lower() not in PROXIES}


class _Heard:
    """What a program prints: its last lines, and all of it within reason."""

    def __init__(self, on_output: Callable[[str], None] | None) -> None:
        self.tail = Tail()
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._pieces: list[str] = []
        self._size = 0

    def take(self, data: bytes, *, last: bool = False) -> None:
        text = self._decoder.decode(data, last)
        self.tail.feed(text)
        self._pieces.append(text)
        self._size += len(text)
        if self._size > 2 * _MOST:
            self._pieces = [self.text()]
            self._size = len(self._pieces[0])
        if text and self._on_output is not None:
            self._on_output(text)

    def text(self) -> str:
        return "".join(self._pieces)[-_MOST:]
