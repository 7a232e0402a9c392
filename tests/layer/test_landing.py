"""Where paths lead, on disk and on paper: the kernel is the judge of both."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genoci import linux
from genoci.errors import ArchiveError
from genoci.layer import landing
from genoci.layer.places import Places
from tars import Piece, a_root, directory, file, layer, symlink

NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
STEPS = st.sampled_from([b"a", b"b", b"c", b"..", b".", b""])
TEXTS = st.tuples(
    st.sampled_from([b"", b"", b"/", b"../", b"/../../"]), st.lists(STEPS, min_size=1, max_size=4)
).map(lambda drawn: drawn[0] + b"/".join(drawn[1]) or b".")
TREES = st.lists(
    st.one_of(
        PATHS.map(directory),
        PATHS.map(directory),
        PATHS.map(file),
        st.builds(symlink, PATHS, TEXTS),
        st.builds(symlink, PATHS, TEXTS),
    ),
    max_size=10,
)
PROBES = [b"/".join(path) for path in ([b"a"], [b"b"], [b"c"], [b"a", b"b"], [b"b", b"a", b"c"])]
PROBES += [b"c/a", b"a/a/a", b"c/b/a/b", b"b/c", b""]


def kernel(root_fd: int, path: bytes) -> int | None:
    """The inode of the directory; None: there is none."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        fd = linux.openat2(root_fd, path or b".", flags, resolve=linux.RESOLVE_IN_ROOT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def ours(places: Places, path: bytes) -> int | None:
    place = places.find(path)
    return None if place is None else os.fstat(places.fd(place)).st_ino


@settings(
    max_examples=int(os.environ.get("GENOCI_TEST_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(TREES)
@example([directory(b"a"), directory(b"b/c"), symlink(b"a/b", b"/b"), file(b"c")])
def test_a_path_leads_where_it_leads_in_a_chroot(pieces: list[Piece]) -> None:
    with tempfile.TemporaryDirectory() as folder, a_root(Path(folder)) as root:
        for piece in pieces:
            with contextlib.suppress(ArchiveError):
                root.extract(layer(piece))
        places = Places(root.fd, plain=False)
        try:
            for path in PROBES:
                try:
                    expected = kernel(root.fd, path)
                except OSError:  # a loop
                    continue
                assert ours(places, path) == expected, path
        finally:
            places.close()


class Paper:
    """A root in which `d` is the root again, and `l` a link to `d`."""

    root = b""

    def child(self, spot: bytes, name: bytes) -> bytes | None:
        return b"" if name == b"d" else None

    def above(self, spot: bytes) -> bytes:
        return b""

    def link(self, spot: bytes, name: bytes) -> bytes | None:
        return b"d" if name == b"l" else None


def test_forty_links_of_a_path_are_followed_and_no_more() -> None:
    assert landing.find(Paper(), b"l/" * 39 + b"l") == b""
    with pytest.raises(ArchiveError, match="loop"):
        landing.find(Paper(), b"l/" * 40 + b"l")


def test_the_same_limit_is_the_kernels(tmp_path: Path) -> None:
    with a_root(tmp_path) as root:
        root.extract(layer(directory(b"d"), symlink(b"d/l", b"."), symlink(b"l", b"d")))
        assert kernel(root.fd, b"l" + b"/l" * 39) is not None
        with pytest.raises(OSError, match="Too many levels"):
            kernel(root.fd, b"l" + b"/l" * 40)
