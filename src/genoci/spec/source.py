"""A file's bytes as text that a YAML parser may be trusted with."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from genoci.errors import SpecError
from genoci.spec.problems import Mistake
from genoci.spec.target import Place
from genoci.spec.wording import did_you_mean, quoted

_LARGEST = 4 << 20
_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
# YAML 1.2.2's c-printable, less the three that libyaml, being a 1.1 parser, takes for line
# breaks, and the byte order mark.
_FORBIDDEN = (
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_PLAIN = b"\t\n\r" + bytes(range(0x20, 0x7F))
_BREAK = "\r\n|\r|\n"


def read_text(path: Path, file: str) -> str:
    """The text of the YAML file `path`, called `file`: UTF-8, not huge, without control characters.

    Raises SpecError; its place is the file alone when the file can't be read at all.
    """
    content = _content(path, file)
    for bom, name in _BOMS.items():
        if content.startswith(bom):
            raise Mistake(Place(file, 1, 1), f"the file is {name}", "save it as UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    text = _decoded(content, file)
    # A file of plain ASCII, as most are, need not wait for that pattern to be compiled.
    if content.translate(None, _PLAIN) and (found := re.search(_FORBIDDEN, text)):
        place = place_of(text, found.start(), file)
        raise Mistake(place, f"a file can't hold {_name(found[0])}", _escape(found[0]))
    return text


def _content(path: Path, file: str) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise SpecError("there is no such file", where=file, mend=_beside(path)) from error
    except IsADirectoryError as error:
        raise SpecError(
            "this is a folder; a YAML file is needed", where=file, mend=_within(path)
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"the file can't be read: {why}", where=file) from error
    if len(content) > _LARGEST:
        raise SpecError(
            f"the file is larger than {_LARGEST >> 20} MiB",
            where=file,
            mend="keep data and long scripts in files of their own, and name them here",
        )
    return content


def _yaml_files(folder: Path) -> list[str]:
    try:
        return sorted(n for n in os.listdir(folder) if n.endswith((".yaml", ".yml")))
    except OSError:
        return []


def _beside(path: Path) -> str:
    names = _yaml_files(path.parent)
    return did_you_mean(path.name, names, otherwise=_only(names))


def _within(path: Path) -> str:
    return _only([str(path / name) for name in _yaml_files(path)])


def _only(names: list[str]) -> str:
    return f"did you mean {quoted(names[0])}?" if len(names) == 1 else ""


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if b"\0" in content:
            mend = "name the YAML file; a tarball is named in it: `expand: FILE`"
            raise SpecError("this is no text file", where=file, mend=mend) from error
        place = place_of(content[: error.start].decode("utf-8"), error.start, file)
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise Mistake(place, what, "save it as UTF-8") from error


def place_of(text: str, offset: int, file: str) -> Place:
    """The line and column of `text[offset]`."""
    breaks = list(re.finditer(_BREAK, text[:offset]))
    start = breaks[-1].end() if breaks else 0
    return Place(file, len(breaks) + 1, min(offset, len(text)) - start + 1)


def _name(character: str) -> str:
    point = f"U+{ord(character):04X}"
    if character == "\ufeff":
        return f"a byte order mark ({point}) but at its start"
    name = unicodedata.name(character, "")
    return f"the character {point} ({name.lower()})" if name else f"the control character {point}"


def _escape(character: str) -> str:
    if character == "\0":
        return "is this a text file?"
    point = ord(character)
    escaped = f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"
    return f'delete it, or write "{escaped}" in double quotes'
