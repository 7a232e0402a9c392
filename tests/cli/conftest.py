"""The real program as a subprocess, and a real terminal to watch it on."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from genoci.oci.digest import Digest
from genoci.oci.documents import LAYER, Platform
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout

GENOCI = (sys.executable, "-m", "genoci")
_OURS = ("GENOCI_", "XDG_", "SOURCE_DATE_EPOCH", "NO_COLOR", "CI", "TERM", "COLUMNS", "LINES")


Genoci = Callable[..., subprocess.CompletedProcess[str]]
OnTerminal = Callable[..., tuple[int, str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The caller's environment without anything that genoci heeds, and a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    (tmp_path / "home").mkdir()
    return kept | {"HOME": str(tmp_path / "home")}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The working directory of the `genoci` fixture."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def genoci(environment: dict[str, str], place: Path) -> Genoci:
    """Runs `genoci WORDS…` in `place`; `env` is added to its environment."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GENOCI, *words],
            cwd=place,
            env=environment | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def layout(place: Path) -> Layout:
    """./oci with two tags on one image of one layer, and an older one without layers."""
    layout = Layout.create_or_open(place / "oci")
    empty = Image.empty(Platform("linux", "amd64"))
    content = b"\0" * 1024  # an archive with nothing in it
    layer = Layer(layout.put([content], LAYER), Digest.of(content))
    image = empty.append(layer, created=1_700_000_000 * 10**9, created_by="run: make")
    image = image.configure(env={"PATH": "/bin", "LANG": "C"}, entrypoint=("/bin/echo", "a b"))
    app = layout.write_image(image)
    layout.tag({"app": app, "app-2026-11-23_1": app, "bare": layout.write_image(empty)})
    return layout


@pytest.fixture
def on_a_terminal(environment: dict[str, str], place: Path) -> OnTerminal:
    """Runs `genoci WORDS…`, or another `program`, on a pty; its status and all that it wrote."""

    def run(
        *words: str,
        program: tuple[str, ...] = GENOCI,
        width: int = 80,
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        process = subprocess.Popen(
            [*program, *words],
            cwd=place,
            env=environment | {"TERM": "xterm-256color"} | dict(env or {}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = b""
        try:
            while chunk := _read(ours):
                shown += chunk
        finally:
            os.close(ours)
            status = process.wait()
        return status, shown.decode(errors="replace")

    return run


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except OSError as error:  # Linux says so when the last holder of the other end is gone
        if error.errno == errno.EIO:
            return b""
        raise


@pytest.fixture
def screen() -> Callable[[str, int], list[str]]:
    """What a terminal of a given width has on its screen and above it, after `shown`."""

    def rows(shown: str, width: int) -> list[str]:
        terminal = _Terminal(width)
        for part in _PARTS.finditer(shown):
            terminal.obey(part)
        return terminal.lines()

    return rows


_PARTS = re.compile(r"\x1b\[(?P<arguments>[0-9;?]*)(?P<order>[A-Za-z])|(?P<character>.)", re.DOTALL)


class _Terminal:
    """Knows just the orders that a display may give, and fails at any other."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._rows]

    def obey(self, part: re.Match[str]) -> None:
        order, argument = part["order"], part["arguments"]
        if part["character"]:
            self._put(part["character"])
        elif order == "A":
            self._row = max(0, self._row - int(argument or 1))
        elif order == "K":
            assert argument == "2"
            self._rows[self._row] = []
        else:
            assert order == "m" or (order in "hl" and argument == "?25"), part[0]

    def _put(self, character: str) -> None:
        if character == "\n":
            self._down()
        elif character == "\r":
            self._column = 0
        elif character == "\t":
            for _ in range(8 - self._column % 8):
                self._put(" ")
        else:
            assert character.isprintable(), repr(character)
            if self._column == self._width:
                self._down()
                self._column = 0
            row = self._rows[self._row]
            row.extend(" " * (self._column + 1 - len(row)))
            row[self._column] = character
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])
