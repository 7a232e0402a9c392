"""rpm's database in its sqlite form: read, and made anew with more packages in it.

What rpm writes holds the time of the installation and depends on what was there before; this is a
function of the headers alone. The tables are those of rpm's lib/backend/sqlite.c, their rows those
of its lib/rpmdb.c.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from genoci.errors import ArchiveError, BuildError
from genoci.layer import tar
from genoci.package import rpm_installed
from genoci.package.rpm_header import Header
from genoci.package.rpm_tags import Sense, Tag

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"
_MOST_HEADER = 260 << 20  # bytes; a little more than rpm takes
_NUMBERS = range(1, 1 << 30)
_MOST_STEPS = 200_000_000  # of sqlite's machine: thousands of packages take a few million
_PLAIN = b"\1\1"  # not in the write-ahead mode, which keeps a second file
_VERSION = struct.pack(">I", 3040000)  # who wrote it; constant, so that the bytes do not tell


class Index(NamedTuple):
    """One of rpm's index tables: its key's type, its indexes, and the (key, number) rows."""

    name: str
    type: str
    indexes: tuple[str, ...]
    rows: Callable[[Header], Iterable[tuple[str | bytes, int]]]


def packages(database: bytes, named: str) -> list[tuple[int, Header]]:
    """The headers that a database holds, by rpm's numbers for them, in order.

    The database may be hostile. Raises BuildError for one that can't be read.
    """
    import sqlite3

    found: dict[int, Header] = {}
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            for number, blob in _rows(connection, database):
                if not isinstance(blob, bytes) or number not in _NUMBERS or number in found:
                    raise sqlite3.DatabaseError("its table of packages is none of rpm's")
                found[number] = rpm_installed.from_blob(blob, named)
    except (sqlite3.Error, ArchiveError, OverflowError, UnicodeDecodeError) as error:
        # sqlite quotes what it finds, and sqlite3 wants that to be UTF-8
        told = tar.shown(str(error).encode("utf-8", "backslashreplace"))
        raise BuildError(
            f"the root's rpm database can't be read: {told}",
            where=named,
            mend="Look at it with `rpm --rebuilddb` in a container of the image.",
        ) from error
    return list(found.items())


def _rows(connection: sqlite3.Connection, database: bytes) -> Iterator[tuple[int, object]]:
    import sqlite3

    connection.text_factory = bytes  # it need not be text
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_HEADER)
    steps = 0

    def step() -> bool:
        nonlocal steps
        steps += 1
        return steps > _MOST_STEPS // 10_000

    connection.set_progress_handler(step, 10_000)
    connection.deserialize(database[:18] + _PLAIN + database[20:])
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    table = "SELECT sql FROM sqlite_master WHERE name = 'Packages' AND type = 'table'"
    written = connection.execute(table).fetchone()
    # Columns that are computed, or a virtual table, would be a program of somebody else's.
    if written is None or not isinstance(written[0], bytes) or b"(hnum INTEGER" not in written[0]:
        raise sqlite3.DatabaseError("it has no table of packages")
    if b" as " in written[0].lower() or b"virtual" in written[0].lower():
        raise sqlite3.DatabaseError("its table of packages is none of rpm's")
    yield from connection.execute("SELECT hnum, blob FROM Packages ORDER BY hnum")


def made(headers: Sequence[tuple[int, Header]]) -> bytes:
    """A database of these packages: the same bytes for the same headers and numbers."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)"
        )
        rows = ((number, rpm_installed.blob(header)) for number, header in headers)
        connection.executemany("INSERT INTO Packages VALUES (?, ?)", rows)
        for index in _INDEXES:
            _fill(connection, index, headers)
        connection.execute("COMMIT")
        content = connection.serialize()
    return content[:96] + _VERSION + content[100:]


def _fill(
    connection: sqlite3.Connection, index: Index, headers: Sequence[tuple[int, Header]]
) -> None:
    name = index.name
    connection.execute(
        f"CREATE TABLE '{name}' (key '{index.type}' NOT NULL, hnum INTEGER NOT NULL, "
        "idx INTEGER NOT NULL, FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))"
    )
    for column in index.indexes:
        connection.execute(f"CREATE INDEX '{name}_{column}_idx' ON '{name}'({column} ASC)")
    rows = ((key, number, at) for number, header in headers for key, at in index.rows(header))
    connection.executemany(f"INSERT INTO '{name}' VALUES (?, ?, ?)", rows)


def _texts(tag: int) -> Callable[[Header], Iterator[tuple[str | bytes, int]]]:
    def rows(header: Header) -> Iterator[tuple[str | bytes, int]]:
        for at, text in enumerate(header.strings(tag)):
            yield _text(text), at

    return rows


def _once(tag: int) -> Callable[[Header], Iterator[tuple[str | bytes, int]]]:
    """A trigger for the same package several times is found by the first."""

    def rows(header: Header) -> Iterator[tuple[str | bytes, int]]:
        seen: set[bytes] = set()
        for at, text in enumerate(header.strings(tag)):
            if text not in seen:
                seen.add(text)
                yield _text(text), at

    return rows


def _by_script(tag: int, index: int) -> Callable[[Header], Iterator[tuple[str | bytes, int]]]:
    """Triggers for paths have the number of their script."""

    def rows(header: Header) -> Iterator[tuple[str | bytes, int]]:
        for text, number in zip(header.strings(tag), header.numbers(index), strict=False):
            yield _text(text), number

    return rows


# Only needed while the package is installed: rpm does not look for it afterwards.
_PASSING = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10 | Sense.RPMLIB | 1 << 26
_LASTING = 1 << 11 | 1 << 12


def _required(header: Header) -> Iterator[tuple[str | bytes, int]]:
    names, flags = header.strings(Tag.REQUIRE_NAMES), header.numbers(Tag.REQUIRE_FLAGS)
    for at, name in enumerate(names):
        flag = flags[at] if at < len(flags) else 0
        if not flag & _PASSING or flag & _LASTING:
            yield _text(name), at


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _time(header: Header) -> Iterator[tuple[str | bytes, int]]:
    for number in header.numbers(1128):
        yield struct.pack("=I", number & 0xFFFFFFFF), 0


def _md5(header: Header) -> Iterator[tuple[str | bytes, int]]:
    if value := header.blob(261):
        yield value, 0


_BOTH = ("key", "hnum")
_FILE_TRIGGERS = (Tag.FILE_TRIGGER_NAMES, Tag.FILE_TRIGGER_INDEX)
_TRANSACTION_TRIGGERS = (Tag.TRANSACTION_TRIGGER_NAMES, Tag.TRANSACTION_TRIGGER_INDEX)
_INDEXES = (
    Index("Name", "TEXT", ("key",), _texts(Tag.NAME)),
    Index("Basenames", "TEXT", _BOTH, _texts(Tag.BASENAMES)),
    Index("Group", "TEXT", ("key",), _texts(1016)),
    Index("Requirename", "TEXT", _BOTH, _required),
    Index("Providename", "TEXT", _BOTH, _texts(Tag.PROVIDE_NAMES)),
    Index("Conflictname", "TEXT", _BOTH, _texts(Tag.CONFLICT_NAMES)),
    Index("Obsoletename", "TEXT", _BOTH, _texts(Tag.OBSOLETE_NAMES)),
    Index("Triggername", "TEXT", _BOTH, _once(Tag.TRIGGER_NAMES)),
    Index("Dirnames", "TEXT", _BOTH, _texts(Tag.DIRECTORIES)),
    Index("Installtid", "BLOB", (), _time),
    Index("Sigmd5", "BLOB", (), _md5),
    Index("Sha1header", "TEXT", ("key",), _texts(269)),
    Index("Filetriggername", "TEXT", _BOTH, _by_script(*_FILE_TRIGGERS)),
    Index("Transfiletriggername", "TEXT", _BOTH, _by_script(*_TRANSACTION_TRIGGERS)),
    Index("Recommendname", "TEXT", _BOTH, _texts(Tag.RECOMMEND_NAMES)),
    Index("Suggestname", "TEXT", _BOTH, _texts(Tag.SUGGEST_NAMES)),
    Index("Supplementname", "TEXT", _BOTH, _texts(Tag.SUPPLEMENT_NAMES)),
    Index("Enhancename", "TEXT", _BOTH, _texts(Tag.ENHANCE_NAMES)),
)
