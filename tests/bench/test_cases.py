"""That the cases measure what they say: their data, and that each has its line in the docs."""

from __future__ import annotations

import contextlib
import gzip
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.case import Place
from bench.cases import CASES, cached
from bench.data import large, many, shell_and_files
from bench.timing import timed

from genoci.oci.layout import Layout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    program = Path(sys.executable).parent / "genoci"
    with contextlib.ExitStack() as closing:
        yield Place(tmp_path, tmp_path / "root.tar.gz", program, closing)


def test_every_case_has_its_line_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text()
    assert [make.__name__ for make in CASES if f"`{make.__name__}`" not in page] == []


def test_files_made_by_run_are_those_of_the_tarball(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", many(250)], cwd=tmp_path, check=True)
    with tarfile.open(shell_and_files(tmp_path / "files.tar", 250)) as archive:
        files = [member for member in archive if member.name.startswith("many/")]
        for member in files:
            stream = archive.extractfile(member)
            assert stream is not None
            assert (tmp_path / member.name).read_bytes() == stream.read()
    assert len(files) == 250 == sum(path.is_file() for path in tmp_path.glob("many/*/*"))


def test_the_large_tarball_is_not_trivial_to_compress() -> None:
    made = io.BytesIO()
    large(50 << 20, made)
    assert len(made.getvalue()) >= 50 << 20
    assert 0.6 < len(gzip.compress(made.getvalue(), 6)) / len(made.getvalue()) < 0.9


def test_a_layout_with_many_dated_tags_has_them_all_and_is_still_cached(place: Place) -> None:
    genoci = cached._dated(place, 2000)
    before = Layout.at(genoci.layout).tags()
    assert len(before) == 2000 + 2
    assert "t0x0-2000-01-01_1" in before
    timed(genoci("build", "--expect-cached"))
    assert len(Layout.at(genoci.layout).tags()) == 2000 + 4
