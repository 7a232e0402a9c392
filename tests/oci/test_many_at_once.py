"""Many processes in one layout lose nothing, and none of them half-writes anything."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from genoci.oci.digest import Digest
from genoci.oci.documents import Platform
from genoci.oci.fsck import check
from genoci.oci.gc import collect
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout
from genoci.oci.publish import publish

PROCESSES = 30
TODAY = datetime.date(2026, 11, 23)


def build_some(path: Path, start: Any, number: int) -> None:
    """What a build does to a layout, in a layout that thirty find missing at the same moment."""
    start.wait()
    layout = Layout.create_or_open(path)
    with layout.holding(shared=True):
        for turn in range(3):
            content = f"{number} {turn}".encode()
            blob = layout.put([content, b"shared"], "application/vnd.oci.image.layer.v1.tar")
            image = Image.empty(Platform("linux", "amd64"))
            image = image.append(
                Layer(blob, Digest.of(content + b"shared")), created=turn, created_by="x"
            )
            manifest = layout.write_image(image)
            layout.tag({f"mine{number}": manifest})
            publish(layout, {"ours": manifest}, date="2026-11-23")


def test_thirty_processes_that_make_store_and_tag_lose_nothing(
    tmp_path: Path, umoci: Any, skopeo: Any
) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    path = tmp_path / "oci"
    processes = [
        context.Process(target=build_some, args=(path, start, n)) for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    layout = Layout.at(path)
    expected = {f"mine{n}" for n in range(PROCESSES)} | {"ours"}
    expected |= {f"ours-2026-11-23_{n + 1}" for n in range(3 * PROCESSES)}
    assert set(layout.tags()) == expected == set(umoci("ls", "--layout", path).split())
    dated = {layout.tags()[tag].digest for tag in expected if tag.startswith("ours-")}
    assert len(dated) == 3 * PROCESSES  # no build's dated tag was moved by another's
    assert not list(path.rglob(".genoci-*"))
    assert check(layout, lambda blob, _: Digest.of(blob.read())) == []
    skopeo("inspect", "--raw", f"oci:{path}:ours")


WRITER = """
import itertools, sys
from pathlib import Path
from genoci.oci.layout import Layout
layout = Layout.create_or_open(Path(sys.argv[1]))
for n in itertools.count():
    blob = layout.put([b"%d " % n, b"x" * 50_000], "text/plain")
    publish(layout, {"x": blob}, date="2026-11-23")
    print(n, flush=True)
"""


def test_whenever_a_writer_is_killed_the_layout_is_whole(tmp_path: Path, umoci: Any) -> None:
    path = tmp_path / "oci"
    for turn in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout
            for _ in range(turn):
                writer.stdout.readline()
            os.kill(writer.pid, signal.SIGKILL)
        layout = Layout.create_or_open(path)
        assert check(layout, lambda blob, _: Digest.of(blob.read())) == []
        assert not list(path.rglob(".genoci-*"))
        umoci("ls", "--layout", path)
    with_tag = layout.put([b"whole"], "text/plain")
    layout.tag({"y": with_tag})
    collect(layout, keep=0, today=TODAY)
    assert not [tag for tag in layout.tags() if tag.startswith("x-")]


def test_gc_and_builds_at_once_lose_nothing_that_is_tagged(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    layout = Layout.create_or_open(tmp_path / "oci")
    processes = [context.Process(target=build_some, args=(layout.path, start, n)) for n in range(8)]
    for process in processes:
        process.start()
    start.set()
    while any(process.is_alive() for process in processes):
        try:
            collect(layout, today=TODAY)
        except Exception as error:
            assert "in use" in str(error), error
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert check(layout, lambda blob, _: Digest.of(blob.read())) == []
    assert len(layout.tags()) == 8 + 1 + 24
