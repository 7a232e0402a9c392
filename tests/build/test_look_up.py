"""What a build with nothing to do does not do, as the system calls' audit tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workshop import Workshop

# Files that were made just now count as unchanged; else these tests would have to wait.
_AUDITED = """
import json, os, sys
from genoci.build import inputs
inputs._SETTLED = -10**18
told = []
def note(event, arguments):
    if event == "open" or event.startswith(("os.fork", "os.exec", "os.posix_spawn", "subprocess.",
                                            "_thread.start")):
        told.append([event, str(arguments[0]) if arguments else ""])
sys.addaudithook(note)
from genoci.cli.main import main
status = main()
with open(os.environ["NOTES"], "w") as stream:
    json.dump(told, stream)
sys.exit(status)
"""

YAML = """
base: {{base: empty, expand: {rootfs}, env: {{A: b}}}}
files: {{base: base, copy: [app /app, one /]}}
shell: {{base: files, run: [echo 1 > /1, ./script]}}
hooked: {{base: shell, pre: ./hook, run: "true", post: "true"}}
config: {{base: hooked, labels: {{a: b}}}}
from: {{base: empty, copy: {{from: shell, src: /1, dest: /}}}}
"""


@pytest.fixture
def project(workshop: Workshop, rootfs: Path) -> Workshop:
    workshop.write("genoci.yaml", YAML.format(rootfs=rootfs))
    for name in ("app/file", "app/sub/other", "one", "script", "hook"):
        workshop.write(name, f"# {name}\n")
    return workshop


def build(workshop: Workshop, *options: str) -> list[tuple[str, str]]:
    """What the audit noted of a build's first process."""
    notes = workshop.folder / "notes"
    where = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    file = str(workshop.folder / "genoci.yaml")
    ended = subprocess.run(
        [sys.executable, "-c", _AUDITED, "build", "-f", file, *where, *options],
        env=os.environ | {"NOTES": str(notes)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [(event, what) for event, what in json.loads(notes.read_text())]


def inputs_opened(workshop: Workshop, noted: list[tuple[str, str]]) -> set[str]:
    """The inputs, and the blobs of layers, that were opened."""
    opened = {what for event, what in noted if event == "open"}
    layers = {
        str(workshop.layout.blobs.path(layer.descriptor.digest))
        for tag in workshop.layout.tags()
        for layer in workshop.image(tag).layers
    }
    inputs = {
        str(path)
        for path in workshop.folder.rglob("*")
        if path.is_file() and not path.is_relative_to(workshop.layout_path)
        and not path.is_relative_to(workshop.state) and path.name not in ("genoci.yaml", "notes")
    }  # fmt: skip
    return opened & (layers | inputs)


def test_it_starts_no_process_and_opens_no_input_and_no_layer(project: Workshop) -> None:
    noted = build(project)
    assert {event for event, _ in noted} >= {"os.fork", "open"}, "the audit hears what is done"
    assert inputs_opened(project, noted)
    noted = build(project, "--expect-cached", "--explain")
    assert {event for event, _ in noted} <= {"open"}
    assert inputs_opened(project, noted) == set()
    project.write("app/file", "changed")
    noted = build(project)
    assert inputs_opened(project, noted) == {str(project.folder / "app" / "file")}
