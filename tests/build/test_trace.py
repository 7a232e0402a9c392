"""A build with nothing to do is known for one without reading anything; and no other build is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genoci.build import recall as recalling
from genoci.build import trace
from genoci.build.events import AnyEvent, Finished, Started, Warned
from genoci.build.operations import fsck
from genoci.build.outcome import Outcome
from genoci.build.recall import recall
from genoci.build.remember import as_asked
from genoci.build.request import Request
from genoci.build.schedule import build
from genoci.errors import BuildError
from genoci.layer.compression import Compression
from genoci.oci.index import read_index
from genoci.spec.read import read as read_spec
from workshop import Workshop

FILE = """
base:
  base: empty
  copy: [app /app, "*.txt /texts/"]
next:
  base: base
  copy: hello /
  env: {A: b}
"""


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write their files a moment before they build; the others wait for that to pass."""
    monkeypatch.setattr(trace, "_SETTLED", -(10**10))


@pytest.fixture
def inputs(workshop: Workshop) -> Workshop:
    workshop.write("genoci.yaml", FILE)
    workshop.write("app/main.py", "1")
    workshop.write("app/sub/other", "2")
    (workshop.folder / "app" / "link").symlink_to("main.py")
    workshop.write("one.txt", "one")
    workshop.write("hello", "hello")
    return workshop


def asked(workshop: Workshop, **options: Any) -> Request:
    given: dict[str, Any] = {
        "file": workshop.folder / "genoci.yaml",
        "layout": workshop.layout_path,
        "state": workshop.state,
        "compression": Compression.parse("gzip"),
    }
    return Request(**(given | options))


def recalled(workshop: Workshop, *, dated_tags: bool = True, **options: Any) -> Outcome | None:
    workshop.events = []
    wanted = as_asked(asked(workshop, **options))
    return recall(wanted, workshop.events.append, dated_tags=dated_tags)


def built(workshop: Workshop, **options: Any) -> Outcome:
    workshop.events = []
    return build(asked(workshop, **options), workshop.events.append)


def fell_back(workshop: Workshop, **options: Any) -> bool:
    """Whether recall left it to the planner: then it has told, tagged and written nothing."""
    before = workshop.layout.index_path.read_bytes()
    outcome = recalled(workshop, **options)
    if outcome is None:
        assert workshop.events == []
        assert workshop.layout.index_path.read_bytes() == before
    return outcome is None


def test_it_tells_and_tags_what_a_build_would(inputs: Workshop) -> None:
    first = built(inputs)
    outcome = recalled(inputs)
    assert outcome is not None
    told = inputs.events
    again = built(inputs)
    assert [type(event) for event in told] == [type(event) for event in inputs.events]
    assert [e for e in told if isinstance(e, Started)] == [
        e for e in inputs.events if isinstance(e, Started)
    ]
    assert [it.digest for it in outcome.built] == [it.digest for it in first.built]
    assert all(it.cached for it in outcome.built)
    numbers = [[it.tags[1].rpartition("_")[2] for it in o.built] for o in (first, outcome, again)]
    assert numbers == [["1", "1"], ["2", "2"], ["3", "3"]]


def test_the_tags_are_there_and_the_layout_is_sound(inputs: Workshop) -> None:
    built(inputs)
    for number in range(2, 12):
        outcome = recalled(inputs)
        assert outcome is not None
        for it in outcome.built:
            assert it.tags[1].endswith(f"_{number}")
            assert [str(inputs.layout.tags()[tag].digest) for tag in it.tags] == [it.digest] * 2
    assert fsck(inputs.layout, lambda event: None) == []
    names = [entry.name for entry in read_index(inputs.layout.index_path).entries]
    assert sum(name is not None and name.startswith("next") for name in names) == 12


def test_without_dated_tags_nothing_is_written(inputs: Workshop) -> None:
    built(inputs, dated_tags=False)
    before = {path: path.lstat() for path in inputs.folder.rglob("*")}
    outcome = recalled(inputs, dated_tags=False)
    assert outcome is not None
    assert [it.tags for it in outcome.built] == [("base",), ("next",)]
    after = {path: path.lstat() for path in inputs.folder.rglob("*")}
    assert {p: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for p, s in after.items()} == {
        p: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for p, s in before.items()
    }


def test_what_others_wrote_into_the_index_stays(inputs: Workshop) -> None:
    built(inputs)
    index = json.loads(inputs.layout.index_path.read_bytes())
    index["annotations"] = {"of": "somebody"}
    foreign = {**index["manifests"][0], "annotations": {}, "unknown": [1, {"a": None}]}
    index["manifests"].insert(0, foreign)
    inputs.layout.index_path.write_text(json.dumps(index, indent=3))
    assert fell_back(inputs)
    built(inputs)
    assert recalled(inputs) is not None
    after = json.loads(inputs.layout.index_path.read_bytes())
    assert after["annotations"] == {"of": "somebody"}
    assert after["manifests"][0]["unknown"] == [1, {"a": None}]


def test_entries_are_appended_to_manifests_and_to_no_other_list(inputs: Workshop) -> None:
    """Another tool's index may end with another list: then the planner writes it."""
    built(inputs, dated_tags=False)
    index = json.loads(inputs.layout.index_path.read_bytes())
    index["zzz"] = [{"a": 1}]
    inputs.layout.index_path.write_text(json.dumps(index, separators=(",", ":")))
    built(inputs, dated_tags=False)  # writes no index, since nothing changes in it
    outcome = recalled(inputs)
    if outcome is None:
        built(inputs)
    after = json.loads(inputs.layout.index_path.read_bytes())
    assert after["zzz"] == [{"a": 1}]


def _edit(name: str, text: str) -> Callable[[Workshop], object]:
    return lambda workshop: workshop.write(name, text)


def _remove(name: str) -> Callable[[Workshop], object]:
    return lambda workshop: (workshop.folder / name).unlink()


def _retarget(workshop: Workshop) -> None:
    link = workshop.folder / "app" / "link"
    link.unlink()
    link.symlink_to("elsewhere")


def _drop_blobs(workshop: Workshop, number: int) -> None:
    """One of the layout's blobs, by its place in their order, goes."""
    names = sorted(digest.hex for digest in workshop.layout.blobs.digests())
    (workshop.layout.blobs.folder / names[number]).unlink()


CHANGES: dict[str, Callable[[Workshop], object]] = {
    "the YAML file": _edit("genoci.yaml", FILE + "# \n"),
    "an input": _edit("hello", "hallo"),
    "an input, to what has the same size": _edit("hello", "jello"),
    "a file in a directory": _edit("app/sub/other", "3"),
    "a new file in a directory": _edit("app/sub/new", ""),
    "a new directory": lambda workshop: (workshop.folder / "app/sub/empty").mkdir(),
    "a file that goes": _remove("app/main.py"),
    "a link": _retarget,
    "a mode": lambda workshop: (workshop.folder / "app/main.py").chmod(0o600),
    "a directory's mode": lambda workshop: (workshop.folder / "app/sub").chmod(0o700),
    "a new match of a pattern": _edit("two.txt", "two"),
    "a match that goes": _remove("one.txt"),
    "a lock file": _edit("genoci.lock", "version: 1\nfiles: {}\n"),
    "a time": lambda workshop: os.utime(workshop.folder / "hello", (1, 1)),
    "a tag": lambda workshop: workshop.layout.tag({"x": workshop.layout.tags()["base"]}),
    "a tag that goes": lambda workshop: workshop.layout.untag(["base"]),
    **{
        f"blob {number} that goes": lambda workshop, number=number: _drop_blobs(workshop, number)  # type: ignore[misc]
        for number in range(10)
    },
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_seen(inputs: Workshop, what: str) -> None:
    built(inputs)
    assert recalled(inputs) is not None, "the control"
    CHANGES[what](inputs)
    assert fell_back(inputs)


def test_these_are_all_blobs_that_there_are(inputs: Workshop) -> None:
    """Two layers, two configs, two manifests, and of both cache entries a manifest and a key."""
    built(inputs)
    assert len(list(inputs.layout.blobs.digests())) == 10


def test_damage_to_a_blob_is_seen(inputs: Workshop) -> None:
    built(inputs)
    for digest in list(inputs.layout.blobs.digests()):
        path = inputs.layout.blobs.path(digest)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert fell_back(inputs)
        path.write_bytes(content)


@pytest.mark.parametrize(
    "options",
    [
        {"targets": ("base",)},
        {"compression": Compression.parse("zstd")},
        {"epoch": 1_000_000_000},
        {"hooks": False},
    ],
)
def test_another_request_is_another_build(inputs: Workshop, options: dict[str, Any]) -> None:
    built(inputs)
    assert fell_back(inputs, **options)
    assert recalled(inputs) is not None, "the control"


def test_each_request_has_its_own_trace(inputs: Workshop) -> None:
    built(inputs, dated_tags=False)
    built(inputs, dated_tags=False, targets=("base",))
    assert recalled(inputs, dated_tags=False) is not None
    outcome = recalled(inputs, dated_tags=False, targets=("base",))
    assert outcome is not None
    assert [it.target for it in outcome.built] == ["base"]


def test_how_it_is_built_does_not_count(inputs: Workshop) -> None:
    built(inputs)
    assert recalled(inputs, jobs=7, keep_going=True, expect_cached=True, explain=True) is not None


def test_a_script_that_was_not_there_counts(inputs: Workshop) -> None:
    """`run: build.sh` is shell text, until there is a file of that name."""
    looks = trace.Looks()
    inputs.write("genoci.yaml", "t: {base: empty, run: build.sh}\n")
    read_spec(inputs.folder / "genoci.yaml", tags={}, looks=looks)
    assert looks.paths[str(inputs.folder / "build.sh")] is None
    assert looks.paths[str(inputs.folder / "genoci.yaml")] is not None


def test_what_was_changed_just_before_it_was_read_is_not_relied_on(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    built(inputs)
    assert fell_back(inputs)


def test_a_failed_build_is_tried_again(inputs: Workshop) -> None:
    built(inputs)
    inputs.write("genoci.yaml", FILE + "bad: {base: base, expand: hello}\n")
    assert not built(inputs).ok
    assert fell_back(inputs)
    inputs.write("genoci.yaml", FILE)
    assert fell_back(inputs)


def test_cache_never_is_never_recalled(inputs: Workshop) -> None:
    inputs.write("genoci.yaml", FILE + "n: {base: empty, copy: hello /n, cache: never}\n")
    built(inputs)
    assert fell_back(inputs)


def test_a_layer_gets_too_old(inputs: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs.write("genoci.yaml", FILE + "n: {base: empty, copy: hello /n, cache: 2d}\n")
    built(inputs)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1.9 * 86400)
    assert recalled(inputs) is not None
    monkeypatch.setattr(time, "time", lambda: now + 2.1 * 86400)
    assert fell_back(inputs)


def test_another_day_begins_with_the_planner(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(inputs)
    monkeypatch.setattr(recalling.time, "strftime", lambda form: "2099-01-01")
    assert fell_back(inputs)
    assert recalled(inputs, dated_tags=False) is not None


def test_dated_tags_that_are_to_be_thinned_out_are_for_the_planner(inputs: Workshop) -> None:
    inputs.write("genoci.yaml", FILE + "genoci: {keep: 2}\n")
    for _ in range(4):
        built(inputs)
    assert fell_back(inputs)
    assert recalled(inputs, dated_tags=False) is not None


def test_warnings_are_told_again(inputs: Workshop) -> None:
    inputs.write("genoci.yaml", "t: {base: empty, copy: hello /, annotations: [{env: A=b}]}\n")
    built(inputs)
    warned = [event for event in inputs.events if isinstance(event, Warned)]
    assert warned
    assert recalled(inputs) is not None
    assert [event for event in inputs.events if isinstance(event, Warned)] == warned


def test_a_tag_as_base_counts(inputs: Workshop) -> None:
    built(inputs)
    inputs.write("genoci.yaml", "t: {base: next, copy: hello /again}\n")
    built(inputs)
    assert recalled(inputs) is not None
    inputs.layout.tag({"next": inputs.layout.tags()["base"]})
    assert fell_back(inputs)


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes().partition(b"\n")[2])
    return document


def write(path: Path, document: dict[str, Any]) -> None:
    content = json.dumps(document).encode()
    path.write_bytes(b"%x\n%b" % (zlib.crc32(content), content))


def test_a_damaged_trace_is_left_alone(inputs: Workshop) -> None:
    built(inputs)
    (path,) = (inputs.state / "traces").iterdir()
    path.write_bytes(path.read_bytes().replace(b"next", b"text"))
    assert fell_back(inputs)


def test_nothing_waits_for_a_fifo(inputs: Workshop) -> None:
    built(inputs)
    (path,) = (inputs.state / "traces").iterdir()
    for fifo in (path, inputs.layout.index_path):
        content = fifo.read_bytes()
        fifo.unlink()
        os.mkfifo(fifo)
        assert recalled(inputs) is None
        fifo.unlink()
        fifo.write_bytes(content)


TRACES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'{"asked": []}',
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"asked": null, "images": 7}',
]


@pytest.mark.parametrize("content", TRACES)
def test_a_trace_that_is_none_is_left_alone(inputs: Workshop, content: bytes) -> None:
    built(inputs)
    (path,) = (inputs.state / "traces").iterdir()
    path.write_bytes(content)
    assert fell_back(inputs)
    assert built(inputs).ok
    assert recalled(inputs) is not None


@pytest.mark.parametrize(
    "field", ["paths", "entries", "index_file", "blobs", "images", "asked", "patterns"]
)
@pytest.mark.parametrize("value", [None, 7, "x", [[]], {"a": 7}, {"\0": [1]}])
def test_nonsense_in_a_trace_changes_nothing(inputs: Workshop, field: str, value: Any) -> None:
    built(inputs)
    (path,) = (inputs.state / "traces").iterdir()
    write(path, {**read(path), field: value})
    assert fell_back(inputs)


def test_a_trace_is_another_users_nor_another_requests(inputs: Workshop) -> None:
    built(inputs)
    (path,) = (inputs.state / "traces").iterdir()
    document = read(path)
    write(path, document)
    assert recalled(inputs) is not None, "the control"
    write(path, {**document, "asked": [*document["asked"][:-1], False]})
    assert fell_back(inputs)


def test_an_index_that_can_not_be_written_is_told_by_the_build(inputs: Workshop) -> None:
    built(inputs)
    lock = inputs.layout_path / ".genoci.index.lock"
    lock.unlink()
    lock.mkdir()
    assert fell_back(inputs)
    lock.rmdir()
    assert recalled(inputs) is not None


def test_a_layout_or_a_state_that_is_gone_is_made_anew(inputs: Workshop) -> None:
    built(inputs)
    shutil.rmtree(inputs.layout_path)
    assert recalled(inputs) is None
    assert built(inputs).ok
    shutil.rmtree(inputs.state)
    assert fell_back(inputs)


def test_of_many_at_once_each_gets_tags_of_its_own(inputs: Workshop) -> None:
    """Whoever comes second finds another index, and leaves it to the planner."""
    built(inputs)
    children = []
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                outcome = recalled(inputs) or built(inputs)
                status = 0 if outcome.ok else 1
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8
    numbers = sorted(int(t.rpartition("_")[2]) for t in inputs.layout.tags() if "next-" in t)
    assert numbers == list(range(1, 10))


BUILD = """
import sys
from genoci.build import trace
trace._SETTLED = -(10**10)
from genoci.cli.main import main
status = main(["build", "--layout", "oci", "--state", "state", "--progress", "plain"])
for name in sorted(sys.modules):
    print("module", name)
sys.exit(status)
"""
UNUSED = [
    *("msgspec", "yaml", "hashlib", "ctypes", "datetime", "dataclasses", "inspect", "subprocess"),
    *("threading", "tempfile", "random", "rich", "urllib3", "isal", "importlib.metadata"),
    *("genoci.build.schedule", "genoci.build.plan", "genoci.spec.read", "genoci.oci.layout"),
]


def test_only_what_it_uses_is_loaded(inputs: Workshop) -> None:
    command = [sys.executable, "-c", BUILD]
    runs = [
        subprocess.run(command, cwd=inputs.folder, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    loaded = [
        {line.removeprefix("module ") for line in run.stdout.splitlines() if "module " in line}
        for run in runs
    ]
    lines = [[line for line in run.stdout.splitlines() if "module " not in line] for run in runs]
    assert lines[0] == lines[1]
    assert "cached: base" in runs[1].stderr
    assert set(UNUSED[:2]) <= loaded[0], "the control: a build does load them"
    assert not loaded[1].intersection(UNUSED)


def test_expect_cached_still_fails_when_something_would_be_built(inputs: Workshop) -> None:
    built(inputs)
    inputs.write("hello", "other")
    assert fell_back(inputs, expect_cached=True)
    with pytest.raises(BuildError):
        built(inputs, expect_cached=True)


def test_events_are_only_told_when_the_tags_are_there(inputs: Workshop) -> None:
    built(inputs)
    seen: list[bool] = []

    def look(event: AnyEvent) -> None:
        if isinstance(event, Finished):
            seen.append(set(event.tags) <= set(inputs.layout.tags()))

    assert recall(as_asked(asked(inputs)), look, dated_tags=True) is not None
    assert seen == [True, True]
