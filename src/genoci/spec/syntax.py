"""What a YAML parser complains of, in the words of someone who wants to mend it.

libyaml and PyYAML's own scanner word the same complaint differently; both are known here.
"""

from __future__ import annotations

import re

import yaml

from genoci.spec.problems import Mistake
from genoci.spec.target import Place
from genoci.spec.wording import quoted

_TAB = "a tab where YAML wants spaces"
_TAB_MEND = "indent with spaces; in text after `|`, too"
_INDENT = "the indentation of this line fits no line above it"
_INDENT_MEND = "keys that belong together begin in the same column"

# A part of the complaint, what we say, and the mend. The first that fits is taken.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    ("tab character", _TAB, _TAB_MEND),
    ("'\\t' that cannot start", _TAB, _TAB_MEND),
    (
        "unknown escape character",
        "this backslash means nothing in double quotes",
        "write `\\\\` for a backslash, or use single quotes, where it is just one: 'C:\\x'",
    ),
    (
        "invalid Unicode character escape",
        "this escape is no Unicode character",
        "write the character itself",
    ),
    (
        "expected ',' or ']'",
        "in a list in brackets, a `,` or the closing `]` is missing before this",
        'write `[a, b]`; quote items that hold commas, brackets or `: `: ["a: b", c]',
    ),
    (
        "expected ',' or '}'",
        "in a mapping in braces, a `,` or the closing `}` is missing before this",
        'write `{a: b, c: d}`; quote values that hold commas or braces: {a: "b, c"}',
    ),
    (
        "entries are not allowed",
        "a list can't begin on the line of its key",
        "put each `- item` on a line of its own, or write `[item, item]`",
    ),
    (
        "expected alphabetic or numeric character",
        "`&` and `*` at the start of a value begin an anchor or an alias, which lacks its name",
        "quote the value if it is just text",
    ),
    (
        "expected comment or line break",
        "after `|` or `>` the text begins on the next line",
        "",
    ),
    (
        "expected chomping or indentation",
        "after `|` or `>` the text begins on the next line",
        "",
    ),
    (
        "expected '-' indicator",
        "a key stands among the items of a list",
        "begin it with `- `, or indent it as its list's key is",
    ),
    ("undefined tag handle", "tags (`!…`) are not understood", "quote the value if it is text"),
    ("incompatible YAML document", "genoci reads YAML 1.2", "delete the line `%YAML …`"),
    (
        "unexpected document",
        "a quoted text holds a line `---` or `...`",
        "is a closing quote missing above?",
    ),
    ("directive", "a line can't begin with `%`", "quote the key"),
    (
        "expected the node content",
        "a value is missing before this",
        "quote it if it is part of the value",
    ),
    (
        "expected node content",
        "a value is missing before this",
        "quote it if it is part of the value",
    ),
    (
        "document start",
        "text after the end of the document",
        "the file is one mapping; does a quote, a bracket or `...` end it too early?",
    ),
)
_LONGEST_KEY = 1024  # section 7.4.2, 'implicit keys'
DEEPEST = 50
"""Lists and mappings in one another; a file that anybody wrote has fewer."""
_BLOCK = re.compile(r"expected key|expected <block end>")


def explained(error: yaml.YAMLError | ValueError | OverflowError, text: str, file: str) -> Mistake:
    """The parser's `error` about `text` as a Mistake with its place and its mend."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Mistake(Place(file, 1, 1), f"the YAML can't be read: {error}")
    problem = error.problem or ""
    here, start = error.problem_mark, error.context_mark
    place = Place(file, here.line + 1, here.column + 1)
    if "unexpected end of stream" in problem and start is not None:
        opened = Place(file, start.line + 1, start.column + 1)
        return Mistake(opened, "a quote is opened here and never closed")
    if "maximum nesting depth" in problem:  # libyaml's own limit, since it looks far ahead
        return too_deep(place)
    line = _line(text, here.line)
    if "mapping values" in problem:
        return _second_colon(place, text)
    if "could not find expected ':'" in problem and start is not None:
        return _no_colon(Place(file, start.line + 1, start.column + 1))
    if "cannot start any token" in problem and "\\t" not in problem:
        return _reserved(place, line[here.column : here.column + 1])
    if _BLOCK.search(problem):
        return _misplaced(place, line[: here.column], line[here.column :])
    for part, what, mend in _KNOWN:
        if part in problem or part in (error.context or ""):
            return Mistake(place, what, mend)
    context = f" {error.context}" if error.context else ""
    return Mistake(place, f"the YAML can't be read: {problem}{context}")


def too_deep(place: Place) -> Mistake:
    return Mistake(place, f"lists and mappings are nested more than {DEEPEST} deep")


def _line(text: str, number: int) -> str:
    lines = re.split("\r\n|\r|\n", text)
    return lines[number] if number < len(lines) else ""


def _second_colon(place: Place, text: str) -> Mistake:
    line = _line(text, place.line - 1)
    before = line[: place.column - 1]
    if re.search(r":\s", before):
        return Mistake(
            place,
            "a second `: ` on one line",
            "quote the whole value, or put it on the next line, indented, after `|`",
        )
    if len(before) > _LONGEST_KEY:
        return Mistake(place, f"a key is longer than {_LONGEST_KEY} characters")
    above = _line(text, place.line - 2) if place.line > 1 else ""
    if ":" not in above and above.strip() and _indent(above) == _indent(line):
        return _no_colon(Place(place.file, place.line - 1, _indent(above) + 1))
    return Mistake(
        place,
        "this key is indented like a part of the line above",
        "keys of one mapping begin in the same column, and each has its `:`",
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _no_colon(place: Place) -> Mistake:
    return Mistake(
        place,
        "this line has no `: `, and is no list item",
        "a key is written `key: value`; text of several lines stands indented after `|`",
    )


def _reserved(place: Place, character: str) -> Mistake:
    if character == "\t":
        return Mistake(place, _TAB, _TAB_MEND)
    shown = "a backtick" if character == "`" else quoted(character)
    return Mistake(place, f"a value can't begin with {shown}", "quote the value")


def _misplaced(place: Place, before: str, after: str) -> Mistake:
    if before.rstrip().endswith(("'", '"')):
        return Mistake(
            place,
            "the value goes on after its closing quote",
            "quote the whole value, with the other kind of quotes: '/bin/echo \"a b\"'",
        )
    if after.startswith("- "):
        return Mistake(
            place,
            "a list item where a key is expected",
            "a list stands below a key of its own; a mapping can't be continued as a list",
        )
    if after.startswith(":"):
        return Mistake(place, "a key is missing before this `:`", "quote it if it is text")
    return Mistake(place, _INDENT, _INDENT_MEND)
