"""What a second build does not do again: the work is proportional to the change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from workshop import Workshop, member

DIRECTORIES = 300

# Notes what every worker of the build opens and lists. (The scheduler reads a blob once, to see
# whether its bytes are right, and remembers that.) What is looked at only by stat(2) is not
# noted, but nobody knows what to look at who has not listed a directory.
WATCHING = """
import os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
mine, scheduler = os.fstat(log), os.getpid()
def is_open():  # not in a container's first process, which closes what it does not know
    try:
        return os.path.samestat(os.fstat(log), mine)
    except OSError:
        return False
def note(event, arguments):
    if os.getpid() != scheduler and event in ("open", "os.listdir", "os.scandir"):
        name = arguments[0]
        if isinstance(name, int):
            try:
                name = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                pass
        if is_open():
            os.write(log, f"{event} {name!r}\\n".encode(errors="backslashreplace"))
sys.addaudithook(note)
sys.argv[:] = ["genoci", *sys.argv[2:]]
runpy.run_module("genoci", run_name="__main__", alter_sys=True)
"""


class Noted(NamedTuple):
    opened: list[str]
    listed: list[str]


@pytest.fixture
def based(workshop: Workshop, rootfs: Path) -> Workshop:
    """A target with something to run on a base of many directories."""
    base = [member(f"tree/{number}", b"5") for number in range(DIRECTORIES)]
    base += [member(f"tree/{number}/file") for number in range(DIRECTORIES)]
    workshop.tarball("tree.tar", member("tree", b"5"), *base)
    workshop.write("rootfs.tar.gz", rootfs.read_bytes())
    return workshop


def watched_build(workshop: Workshop, run: str, *options: str) -> Noted:
    workshop.write(
        "genoci.yaml",
        "base: {base: empty, expand: [rootfs.tar.gz, tree.tar]}\n"
        f"app: {{base: base, run: '{run}'}}\n",
    )
    log = workshop.folder / "log"
    log.unlink(missing_ok=True)
    where = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    file = ["build", "-f", str(workshop.folder / "genoci.yaml")]
    words = [sys.executable, "-c", WATCHING, str(log), *file, *where, *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return Noted(
        opened=[name for event, name in lines if event == "open"],
        listed=[name for event, name in lines if event != "open"],
    )


def layers_of_the_base(workshop: Workshop) -> set[str]:
    return {layer.descriptor.digest.hex for layer in workshop.image("base").layers}


def test_on_overlay_a_changed_run_neither_unpacks_its_base_nor_walks_through_it(
    based: Workshop,
) -> None:
    first = watched_build(based, "echo 1 > /one", "--driver", "overlay")
    blobs = layers_of_the_base(based)
    assert any(blob in name for name in first.opened for blob in blobs)

    second = watched_build(based, "echo 2 > /tree/7/two", "--driver", "overlay")
    assert based.text("app", "tree/7/two") == "2\n"
    assert not [name for name in second.opened for blob in blobs if blob in name]
    assert len(second.listed) < DIRECTORIES / 5, second.listed


def test_a_walk_would_have_been_noticed(based: Workshop) -> None:
    """The driver copy has to walk, once to copy and once to see what was touched."""
    watched_build(based, "echo 1 > /one", "--driver", "copy")
    blobs = layers_of_the_base(based)
    second = watched_build(based, "echo 2 > /two", "--driver", "copy")
    assert not [name for name in second.opened for blob in blobs if blob in name]
    assert len(second.listed) > 2 * DIRECTORIES


@pytest.mark.debian
def test_on_debian_s_root_filesystem_it_is_the_same(workshop: Workshop, debian: Path) -> None:
    os.symlink(debian / "root.tar", workshop.folder / "rootfs.tar.gz")
    workshop.tarball("tree.tar", member("tree", b"5"))
    watched_build(workshop, "echo 1 > /one", "--driver", "overlay")
    blobs = layers_of_the_base(workshop)
    second = watched_build(workshop, "echo 2 > /two", "--driver", "overlay")
    assert not [name for name in second.opened for blob in blobs if blob in name]
    assert len(second.listed) < DIRECTORIES / 5, second.listed
