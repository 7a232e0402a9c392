"""Cache entries that are damaged, or lie: a miss, said aloud, and right again afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from genoci.build.events import Finished, Warned
from genoci.build.operations import fsck
from genoci.oci.digest import Digest
from workshop import Workshop

TWO = """
base: {base: empty, copy: app /app}
next: {base: base, copy: hello /}
"""


@pytest.fixture
def inputs(workshop: Workshop) -> Workshop:
    workshop.use_cache = True
    workshop.write("app/main.py", "1")
    workshop.write("hello", "hello")
    return workshop


def built(workshop: Workshop) -> list[str]:
    return [e.target for e in workshop.events if isinstance(e, Finished) and not e.cached]


def entries_changed(workshop: Workshop, change: Callable[[list[Any]], None]) -> None:
    """Edit the cache entries of `index.json` by hand."""
    index = json.loads(workshop.layout.index_path.read_bytes())
    change([entry for entry in index["manifests"] if "artifactType" in entry])
    workshop.layout.index_path.write_text(json.dumps(index))


def _swap_keys(entries: list[Any]) -> None:
    one, two = (entry["annotations"] for entry in entries)
    key = "vnd.genoci.cache.key"
    one[key], two[key] = two[key], one[key]


def _lie_about_the_time(entries: list[Any]) -> None:
    for entry in entries:
        entry["annotations"]["vnd.genoci.cache.made"] = "yesterday"


def _lie_about_the_size(entries: list[Any]) -> None:
    for entry in entries:
        entry["size"] = 1


@pytest.mark.parametrize("lie", [_swap_keys, _lie_about_the_time, _lie_about_the_size])
def test_an_entry_that_lies_is_a_miss_said_aloud(
    inputs: Workshop, lie: Callable[[list[Any]], None]
) -> None:
    digests = {it.target: it.digest for it in inputs.build(TWO).built}
    entries_changed(inputs, lie)
    again = inputs.build(TWO)
    assert {it.target: it.digest for it in again.built} == digests
    assert built(inputs) == ["base", "next"]
    said = [event.what for event in inputs.events if isinstance(event, Warned)]
    assert [what.partition(" is damaged: ")[0] for what in said] == [
        "what the cache has of base",
        "what the cache has of next",
    ]
    inputs.build(TWO)
    assert built(inputs) == []


@pytest.mark.parametrize("which", ["config", "digest"])
@pytest.mark.parametrize("how", ["missing", "truncated", "another byte"])
def test_a_damaged_entry_is_a_miss_and_replaced(inputs: Workshop, which: str, how: str) -> None:
    inputs.build(TWO)

    def damage(entries: list[Any]) -> None:
        for entry in entries:
            manifest = inputs.layout.blobs.path(Digest.parse(entry["digest"]))
            blob = manifest
            if which == "config":
                digest = json.loads(manifest.read_bytes())["config"]["digest"]
                blob = inputs.layout.blobs.path(Digest.parse(digest))
            content = blob.read_bytes()
            blob.unlink()
            if how != "missing":
                blob.write_bytes(content[:9] if how == "truncated" else b"[" + content[1:])

    entries_changed(inputs, damage)
    inputs.build(TWO)
    # That a preimage holds another byte hurts nothing that a build reads; `fsck` tells of it.
    if (which, how) != ("config", "another byte"):
        assert built(inputs) == ["base", "next"]
        assert fsck(inputs.layout, print) == []
    inputs.build(TWO)
    assert built(inputs) == []
