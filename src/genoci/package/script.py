"""Scripts of packages: which of them a root in which nothing runs can do without."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from genoci.errors import BuildError
from genoci.package.wording import readable

_MOST_LINES, _MOST_COLUMNS = 30, 160


class Script(NamedTuple):
    """What an installation would run: its name in the package's words, and what runs it.

    `interpreter` is a program with arguments, "" for none named, "<lua>" for rpm's own.
    """

    package: str
    name: str
    interpreter: str
    text: str


_SHELL = re.compile(r"(/usr)?/bin/(env )?(ba|da)?sh( -\w+)*")
_HASH_COMMENTS = re.compile(r"(/usr)?/bin/(env )?([a-z]*sh|perl|python[\d.]*|ruby)\b.*")
_LDCONFIG = re.compile(r"((/usr)?/sbin/)?ldconfig( -[A-Za-z]+)*")

# Lines that do nothing but look, end well, or call ldconfig. A test is made of words, of the
# script's arguments in quotes, and of nothing that could run a program.
_WORD = r"(?:[\w.+/:=!-]+|\"[\w.+/:=!\$@-]*\"|'[\w.+/:=!-]*'|\$[\w@#]+)"
_TEST = rf"(?:\[ (?:{_WORD} )+\]|test(?: {_WORD})+)"
_TESTS = rf"!? ?{_TEST}(?: (?:&&|\|\|) !? ?{_TEST})*"
_QUIETLY = r"(?: ?(?:[12&]?>>? ?/dev/null|2>&1|>&2))*"
_ANYWAY = r"(?: \|\| (?::|true))?"
_HARMLESS = [
    re.compile(pattern)
    for pattern in (
        r"set( [-+]\w+)+",
        r"exit( 0)?|return( 0)?|true|:",
        rf"(if|elif) {_TESTS}",
        r"then|else|fi|esac|;;",
        rf"case {_WORD} in",
        r"\(?[\w*|. -]+\)",
        rf"(?:{_TEST} (?:&&|\|\|) )?{_LDCONFIG.pattern}{_QUIETLY}{_ANYWAY}",
        rf"{_TESTS} (?:&&|\|\|) (?:exit 0|:|true)",
    )
]


def dealt_with(script: Script) -> bool:
    """Whether nothing is lost when it does not run: it is empty, or only calls `ldconfig`.

    The dynamic linker finds libraries in its own directories without the cache that `ldconfig`
    makes.
    """
    words = script.interpreter.split()
    if words and _LDCONFIG.fullmatch(words[0]):
        return True
    lines = [re.sub(r"[ \t]+", " ", line).strip(" ") for line in script.text.split("\n")]
    if script.interpreter == "<lua>":
        return all(not line or (line.startswith("--") and line[2:3] != "[") for line in lines)
    if not any(lines):
        return True
    interpreter = script.interpreter
    if _HASH_COMMENTS.fullmatch(interpreter) and all(not x or x[0] == "#" for x in lines):
        return True
    return _SHELL.fullmatch(interpreter) is not None and all(map(_is_harmless, _statements(lines)))


def _statements(lines: Iterable[str]) -> Iterable[str]:
    """One for each command, if the lines are as simple as those that we know.

    Anything else stays in one piece and is not known.
    """
    for line in lines:
        if not line or line.startswith("#"):
            continue
        line = line.replace(";;", "\0").replace(";", "\n").replace("\0", "\n;;\n")
        for statement in line.split("\n"):
            if head := re.fullmatch(r"(case \S+ in) (.+)", statement):
                yield head[1]
                statement = head[2]
            head = re.fullmatch(r" ?(then|else|\(?[\w*|. -]+\)) (.+)", statement)
            yield from head.groups() if head else (statement,)


def _is_harmless(statement: str) -> bool:
    statement = statement.strip()
    if len(statement) > _MOST_COLUMNS:
        return False
    return not statement or any(pattern.fullmatch(statement) for pattern in _HARMLESS)


def refuse(scripts: Iterable[Script]) -> None:
    """Raise BuildError, which shows the first of them, for scripts that would have to run."""
    lost = [script for script in scripts if not dealt_with(script)]
    if not lost:
        return
    first, *others = lost
    also = ""
    if others:
        names = sorted({f"{one.package}: {one.name}" for one in others})
        also = f"\nSo would {', '.join(names[:20])}{', …' if len(names) > 20 else ''}."
    interpreter = f" ({readable(first.interpreter)})" if first.interpreter else ""
    raise BuildError(
        f"{first.package} has a {first.name} script, and nothing can run in this root"
        f"{interpreter}:\n{_excerpt(first.text)}{also}",
        mend="Install it where a package manager and a shell are, or, if the image can do without"
        " what the script does, say `scripts: skip`.",
    )


def _excerpt(text: str) -> str:
    lines = text.strip("\n").split("\n")
    shown = [_readable(line)[:_MOST_COLUMNS] for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"… and {len(lines) - _MOST_LINES} more lines")
    return "\n".join(f"    {line}" for line in shown)


def _readable(line: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else ascii(c)[1:-1] for c in line)
