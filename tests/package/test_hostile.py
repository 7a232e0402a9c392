"""Packages with anything in them: an error of ours or members, and nothing else."""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import BuildError
from genoci.layer import tar
from genoci.layer.draft import Draft
from genoci.layer.tree import EMPTY_TREE
from genoci.package.archive import recognise
from genoci.package.install import install_members
from packages import deb, gzipped, minimal, newc, put_together, strings, stripped

ANY = settings(deadline=None, max_examples=150)


def looked_at(content: bytes) -> None:
    """Recognise and place it: what comes out is clean, or an error of ours."""
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(content)
        stream.flush()
        with contextlib.suppress(BuildError):
            archive = recognise(Path(stream.name), "it")
            draft = Draft(EMPTY_TREE)
            members = install_members([archive], draft, skip_scripts=[archive], warn=told)
            draft.place(members, lambda member: member.chunks)
            for path in draft.touched():
                assert path == tar.clean(path) and b".." not in path.split(b"/")


def told(what: str, mend: str = "") -> None:
    assert what.isprintable() and len(what) < 20_000


@pytest.fixture(scope="session")
def plain_deb(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("deb")
    files = {"etc/a": "some text\n", "usr/b": "more\n"}
    scripts = {"conffiles": "/etc/a\n", "postinst": "#!/bin/sh\nldconfig\n"}
    control = "Depends: a (>= 1) | b, c:any\nProvides: d (= 2)\n"
    made = deb(folder, "it", files=files, scripts=scripts, control=control, compression="none")
    return made.read_bytes()


@given(st.data())
@ANY
def test_a_deb_that_was_changed_anywhere(plain_deb: bytes, data: st.DataObject) -> None:
    changed = bytearray(plain_deb)
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)))
    ):
        changed[at] = byte
    looked_at(bytes(changed))


TAGS = [*minimal(), 1003, 1020, 1035, 1036, 1049, 1066, 1085, 1095, 1096, 5008, 5010, 5011, 5092, 9]
VALUES = st.one_of(
    st.binary(max_size=40),
    st.lists(st.integers(0, 1 << 32 - 1), max_size=6).map(
        lambda found: b"".join(struct.pack(">I", one & 0xFFFFFFFF) for one in found)
    ),
    st.lists(st.sampled_from(["/", "../..", "f", "\x1b[31m", ".wh.x", "root"]), max_size=6).map(
        lambda found: strings(*found)[2]
    ),
)
SLOT = st.tuples(st.integers(0, 10), st.integers(0, 9) | st.integers(0, (1 << 32) - 1), VALUES)


@given(st.dictionaries(st.sampled_from(TAGS), SLOT, max_size=6), st.binary(max_size=200))
@ANY
def test_an_rpm_with_any_header(tags: dict[int, tuple[int, int, bytes]], payload: bytes) -> None:
    for content in (newc(("f", b"")), stripped((0, b"")), payload):
        looked_at(put_together(minimal() | tags, gzipped(content)))


@given(st.binary(max_size=300), st.integers(0, 1))
@ANY
def test_an_rpm_with_any_payload(payload: bytes, whole: int) -> None:
    good = newc(("./f", b""))
    at = len(payload) % len(good)
    looked_at(put_together(minimal(), gzipped(good[:at] + payload + good[at:] * whole)))


@given(st.binary(max_size=400))
@ANY
def test_bytes_that_begin_as_a_package_does(content: bytes) -> None:
    looked_at(b"!<arch>\n" + content)
    looked_at(b"\xed\xab\xee\xdb" + content)


CLAIMS: dict[str, Callable[[], bytes]] = {
    "the header's data": lambda: claiming(5, 0x0FFFFFFF),
    "the header's tags": lambda: claiming(0xFFFF, 16),
    "the files": lambda: put_together(
        minimal() | {1117: (8, 0xFFFFFFFF, b"f\0")}, gzipped(newc(("f", b"")))
    ),
    "a file's size": lambda: put_together(
        minimal() | {1028: (4, 1, b"\xff\xff\xff\xff")},
        gzipped(newc(("f", b"")).replace(b"00000000" * 6, b"00000000" * 6 + b"", 1)),
    ),
    "a large file's size": lambda: put_together(
        minimal() | {5008: (5, 1, b"\x7f" + b"\xff" * 7)}, gzipped(stripped((0, b"abc")))
    ),
}


def claiming(entries: int, size: int) -> bytes:
    whole = put_together(minimal(), gzipped(newc(("f", b""))))
    at = whole.rindex(b"\x8e\xad\xe8") + 8
    return whole[:at] + struct.pack(">II", entries, size) + whole[at + 8 :]


@pytest.mark.parametrize("what", CLAIMS)
def test_what_is_merely_claimed_takes_no_memory(what: str) -> None:
    """In a process of its own, which may have little of it."""
    content = CLAIMS[what]()
    child = os.fork()
    if not child:
        try:
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + (96 << 20), now + (96 << 20)))
            looked_at(content)
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_payload_that_unpacks_to_very_much_is_not_kept_in_memory(tmp_path: Path) -> None:
    """And the header's word counts: what is too long is told at once."""
    bomb = subprocess.check_output(["gzip", "-c"], input=newc(("f", bytes(64 << 20))))
    path = tmp_path / "it.rpm"
    path.write_bytes(put_together(minimal(), bomb))
    archive = recognise(path, "it")
    with pytest.raises(BuildError, match="has 67108864 bytes, and 0 in the header"):
        list(install_members([archive], EMPTY_TREE, warn=told))
