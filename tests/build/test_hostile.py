"""Tarballs that nobody made in good faith, as a user meets them."""

from __future__ import annotations

import io
import tarfile

import pytest

from genoci.layer.entry import Kind
from workshop import Workshop, member


def sparse(name: str, size: int) -> bytes:
    """A PAX archive of a file that is one hole of `size` bytes (GNU tar's format 1.0)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(f"GNUSparseFile.0/{name}")
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": name,
            "GNU.sparse.realsize": str(size),
        }
        table = b"1\n%d\n0\n" % size
        info.size = 512
        archive.addfile(info, io.BytesIO(table.ljust(512, b"\0")))
    return out.getvalue()


@pytest.mark.parametrize("base", ["empty", "other"])
def test_a_file_that_claims_exabytes_of_holes_is_an_error(workshop: Workshop, base: str) -> None:
    workshop.write("bomb.tar", sparse("bomb", 1 << 62))
    workshop.tarball("other.tar", ("x", "y"))
    outcome = workshop.build(
        f"other: {{base: empty, expand: other.tar}}\nt: {{base: {base}, expand: bomb.tar}}\n"
    )
    (failure,) = outcome.failed
    assert failure.kind == "ArchiveError"
    assert "sparse file" in failure.what
    assert "bomb" in failure.where


@pytest.mark.parametrize("base", ["empty", "other"])
def test_a_sparse_file_of_an_honest_size_is_built(workshop: Workshop, base: str) -> None:
    workshop.write("sparse.tar", sparse("hole", 5_000_000))
    workshop.tarball("other.tar", ("x", "y"))
    outcome = workshop.build(
        f"other: {{base: empty, expand: other.tar}}\nt: {{base: {base}, expand: sparse.tar}}\n"
    )
    assert outcome.ok, outcome.failed
    node = workshop.tree("t").node(b"hole")
    assert node is not None
    assert (node.entry.kind, node.entry.size) == (Kind.FILE, 5_000_000)
    assert workshop.text("t", "hole") == "\0" * 5_000_000


@pytest.mark.parametrize("base", ["empty", "other"])
@pytest.mark.parametrize("name", [".wh.x", "d/.wh.x", ".wh..wh..opq", ".wh."])
def test_a_whiteout_in_a_plain_tarball_is_an_error(
    workshop: Workshop, base: str, name: str
) -> None:
    workshop.tarball("bad.tar", member("d", tarfile.DIRTYPE), member(name))
    workshop.tarball("other.tar", ("x", "y"))
    outcome = workshop.build(
        f"other: {{base: empty, expand: other.tar}}\nt: {{base: {base}, expand: bad.tar}}\n"
    )
    assert "whiteout" in outcome.failed[0].what


def test_links_lead_nowhere_but_into_the_image(workshop: Workshop) -> None:
    secret = workshop.write("secret", "secret")
    workshop.tarball(
        "bad.tar",
        member("out", tarfile.SYMTYPE, linkname=str(workshop.folder)),
        member("up", tarfile.SYMTYPE, linkname="../../../../../.."),
        ("out/secret", "overwritten"),
        (f"up{workshop.folder}/secret", "overwritten"),
    )
    workshop.tarball("other.tar", ("x", "y"))
    yaml = "other: {base: empty, expand: other.tar}\nt: {base: other, expand: bad.tar}\n"
    assert workshop.build(yaml).ok, workshop.events
    assert secret.read_text() == "secret"
    assert workshop.text("t", f"{workshop.folder}/secret".lstrip("/")) == "overwritten"
