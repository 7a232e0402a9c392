"""The rpm database that is made without rpm, with rpm as the judge."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genoci.errors import BuildError
from genoci.layer.draft import Draft
from genoci.layer.extract import expand
from genoci.layer.member import Placeable
from genoci.layer.tree import EMPTY_TREE, LiveTree
from genoci.package import rpm as rpms
from genoci.package import rpm_database, rpm_installed
from genoci.package.archive import recognise
from genoci.package.install import install_members
from genoci.package.rpm_header import Header
from packages import rpm
from tars import Piece, a_root, file, layer, symlink, tar

MORE = """\
Name: more
Version: 1.0
Release: 1
BuildArch: noarch
Requires(pre): a
Requires(post): b
Requires(preun): c
Requires(pretrans): d
Obsoletes: old < 1
Suggests: s
Supplements: t
Enhances: e
%description
For a test.
%files
%triggerin -- foo, bar, foo
echo in
%triggerun -- foo
echo un
%filetriggerin -- /usr/lib
echo file
%transfiletriggerin -- /usr/lib /usr/share
echo all
"""


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of all kinds of dependencies and triggers, and without files."""
    return rpm(tmp_path_factory.mktemp("rpm"), MORE)


def headers(*paths: Path, time: int = 1_700_000_000) -> list[tuple[int, Header]]:
    found = []
    for number, path in enumerate(paths, 1):
        fd = os.open(path, os.O_RDONLY)
        try:
            found.append((number, rpm_installed.installed(rpms.read(fd, path.name), time)))
        finally:
            os.close(fd)
    return found


def rpm_says(folder: Path, *argv: str) -> str:
    options = ["--dbpath", str(folder), "--define", "_db_backend sqlite"]
    return subprocess.check_output(["rpm", *options, *argv], text=True)


def made_by_rpm(folder: Path, *paths: Path) -> Path:
    """Where rpm itself has installed the packages into an empty database."""
    for path in paths:
        options = ["--justdb", "--nodeps", "--noscripts", "--notriggers", "--ignorearch"]
        argv = [
            "rpm",
            "--dbpath",
            str(folder),
            "--define",
            "_db_backend sqlite",
            *options,
            "-i",
            path,
        ]
        subprocess.run(argv, check=True, capture_output=True)
    return folder / "rpmdb.sqlite"


def test_the_database_is_the_one_that_rpm_makes(thing: Path, more: Path, tmp_path: Path) -> None:
    theirs = sqlite3.connect(made_by_rpm(tmp_path / "theirs", thing, more))
    blobs = theirs.execute("SELECT blob FROM Packages ORDER BY hnum").fetchall()
    times = [rpm_installed.from_blob(blob, "").number(1008) or 0 for (blob,) in blobs]
    made = [headers(thing, time=times[0])[0], (2, headers(more, time=times[1])[0][1])]
    for (_, header), (blob,) in zip(made, blobs, strict=True):
        ours = rpm_installed.blob(header)
        # but for one number, which tells what the machine thinks of 64 bits
        differing = [at for at in range(len(blob)) if ours[at] != blob[at]]
        assert len(ours) == len(blob) and len(differing) <= 1
    ours = sqlite3.connect(":memory:")
    ours.deserialize(rpm_database.made(made))
    names = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1"
    assert ours.execute(names).fetchall() == theirs.execute(names).fetchall()
    rows = 0
    for name, _ in ours.execute(names).fetchall():
        if not name.endswith("_idx") and name not in ("Packages", "sqlite_sequence"):
            every = f"SELECT key, hnum, idx FROM '{name}' ORDER BY 2, 3, 1"
            found = ours.execute(every).fetchall()
            # rpm also finds the package by the parts of (either or other), which we don't read
            parts = ("either", "other")
            wanted = [row for row in theirs.execute(every).fetchall() if row[0] not in parts]
            assert found == wanted, name
            rows += len(found)
    assert rows > 40
    theirs.close()
    ours.close()


def test_rpm_reads_the_database(thing: Path, more: Path, tmp_path: Path) -> None:
    (tmp_path / "rpmdb.sqlite").write_bytes(rpm_database.made(headers(thing, more)))
    assert set(rpm_says(tmp_path, "-qa").split()) == {"thing-1.0-2.noarch", "more-1.0-1.noarch"}
    rpm_says(tmp_path, "--verifydb")
    assert "/usr/bin/thing\n" in rpm_says(tmp_path, "-ql", "thing")
    assert rpm_says(tmp_path, "-qf", "/etc/thing.conf") == "thing-1.0-2.noarch\n"
    assert rpm_says(tmp_path, "-q", "--whatprovides", "virtual(thing)") == "thing-1.0-2.noarch\n"
    assert rpm_says(tmp_path, "-q", "--qf", "%{INSTALLTIME}", "thing") == "1700000000"


def test_a_broken_database_is_no_database_for_rpm(thing: Path, tmp_path: Path) -> None:
    whole = rpm_database.made(headers(thing))
    (tmp_path / "rpmdb.sqlite").write_bytes(whole.replace(b"thing", b"other"))
    assert "thing" not in rpm_says(tmp_path, "-qa")


@pytest.mark.root_only
def test_rpm_verifies_what_was_installed(thing: Path, tmp_path: Path) -> None:
    passwd = b"root:x:0:0::/:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nnobody-knows:x:9:9::/:/bin/sh\n"
    group = b"root:x:0:\ndaemon:x:1:\nnobody-knows:x:9:\n"
    with a_root(tmp_path) as root:
        root.extract(layer(file(b"etc/passwd", passwd), file(b"etc/group", group)))
        with LiveTree(root.path) as tree:
            members = install_members(
                [recognise(thing, "thing")], tree, warn=lambda *_: None, epoch=1_700_000_000
            )
            expand(members, root.fd, dest=b"", strip=0, warn=pytest.fail)
        argv = ["rpm", "--root", str(root.path), "--dbpath", "/var/lib/rpm"]
        argv += ["--define", "_db_backend sqlite", "-Va", "--nodeps", "--noscripts"]
        clean = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert clean.stdout == "" and clean.returncode == 0, clean.stdout + clean.stderr
        (root.path / "usr/bin/capable").write_bytes(b"changed\n")
        changed = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert "/usr/bin/capable" in changed.stdout


def test_the_same_headers_give_the_same_bytes(thing: Path, more: Path) -> None:
    assert rpm_database.made(headers(thing, more)) == rpm_database.made(headers(thing, more))
    assert rpm_database.made(headers(thing)) != rpm_database.made(headers(more))


def test_what_was_made_is_read_again(thing: Path, more: Path) -> None:
    made = headers(thing, more)
    found = rpm_database.packages(rpm_database.made(made), "it")
    assert [(number, header.raw) for number, header in found] == [
        (number, header.raw) for number, header in made
    ]


def test_what_rpm_made_is_read(thing: Path, more: Path, tmp_path: Path) -> None:
    raw = made_by_rpm(tmp_path / "theirs", thing, more).read_bytes()
    assert [header.string(1000) for _, header in rpm_database.packages(raw, "it")] == [
        "thing",
        "more",
    ]


def database_of(sql: str) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript(sql)
    content = connection.serialize()
    connection.close()
    return content


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, x FROM n"


@pytest.mark.parametrize(
    "raw",
    [
        b"SQLite format 3\0" + bytes(4080),
        b"no database" * 500,
        database_of("CREATE TABLE other (x)"),
        database_of(
            "CREATE TABLE Packages (hnum INTEGER, blob); INSERT INTO Packages VALUES (-1, 1)"
        ),
        database_of("CREATE TABLE Packages (hnum INTEGER)").replace(b"hnum I", b"\xcenum("),
        database_of(f"CREATE VIEW Packages (hnum, blob) AS {ENDLESS}"),
        database_of(
            "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob AS (zeroblob(1 << 28))); "
            "INSERT INTO Packages (hnum) VALUES (1)"
        ),
        database_of(
            "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, x, blob BLOB GENERATED ALWAYS AS "
            "(zeroblob(999999999)) VIRTUAL); INSERT INTO Packages (x) VALUES (1)"
        ),
        database_of(
            "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob); "
            "INSERT INTO Packages VALUES (1, x'00000001')"
        ),
    ],
)
def test_a_hostile_database_is_told(raw: bytes) -> None:
    with pytest.raises(BuildError, match="rpm database can't be read: "):
        rpm_database.packages(raw, "/var/lib/rpm/rpmdb.sqlite")


def keep(member: Placeable) -> Callable[[], Iterator[bytes]]:
    content = b"".join(member.chunks())
    return lambda: iter([content])


def on(*pieces: Piece) -> Draft:
    base = Draft(EMPTY_TREE)
    base.place(tar.read(io.BytesIO(layer(*pieces)), name="base"), keep)
    return base


def install(base: Draft, path: Path, told: list[str] | None = None) -> dict[bytes, bytes]:
    archive = recognise(path, path.name)
    warnings = [] if told is None else told
    members = install_members(
        [archive], base, epoch=1_700_000_000, warn=lambda what, mend="": warnings.append(what)
    )
    return {one.entry.path: b"".join(one.chunks()) for one in members}


@pytest.mark.parametrize("folder", [b"usr/lib/sysimage/rpm", b"usr/share/rpm", b"var/lib/rpm"])
def test_the_database_of_the_root_is_added_to(folder: bytes, thing: Path, small: Path) -> None:
    base = on(file(folder + b"/rpmdb.sqlite", rpm_database.made(headers(small))))
    found = install(base, thing)
    names = [
        (number, header.string(1000))
        for number, header in rpm_database.packages(found[folder + b"/rpmdb.sqlite"], "it")
    ]
    assert names == [(1, "small"), (2, "thing")]


def test_a_package_that_is_in_the_database_is_replaced(thing: Path) -> None:
    told: list[str] = []
    base = on(file(b"var/lib/rpm/rpmdb.sqlite", rpm_database.made(headers(thing))))
    found = install(base, thing, told)
    ((number, header),) = rpm_database.packages(found[b"var/lib/rpm/rpmdb.sqlite"], "it")
    assert (number, header.string(1000)) == (2, "thing")
    assert any("thing is in this root already" in one for one in told)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((b"Packages",), "Berkeley DB's"),
        ((b"Packages.db",), "ndb"),
        ((b"rpmdb.sqlite", b"rpmdb.sqlite-wal"), "left in the middle"),
    ],
)
def test_a_database_that_cant_be_added_to_is_told(
    names: tuple[bytes, ...], words: str, thing: Path
) -> None:
    base = on(*(file(b"var/lib/rpm/" + name, b"x") for name in names))
    with pytest.raises(BuildError, match=words):
        install(base, thing)


def test_an_empty_root_gets_its_database_where_scanners_look(thing: Path) -> None:
    assert b"var/lib/rpm/rpmdb.sqlite" in install(on(), thing)


def test_a_root_whose_links_have_strange_names_is_told_of(thing: Path) -> None:
    strange = b"\xff\x1b"
    base = on(symlink(b"var/lib/rpm", b"../../" + strange), file(strange + b"/Packages", b"x"))
    with pytest.raises(BuildError) as caught:
        install(base, thing)
    assert str(caught.value).isascii() and "\x1b" not in str(caught.value)
