"""Tags, images and locks of a layout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genoci.errors import Damaged, LayoutError, NotFound, StorageError, UsageError
from genoci.oci.digest import Digest
from genoci.oci.documents import MANIFEST, Descriptor, Platform
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.oci.publish import publish


def test_an_image_comes_back_as_it_was_written(layout: Layout, make: Any) -> None:
    image = make.image("one", "two").configure(user="me", annotations={"a": "1"})
    layout.tag({"x": layout.write_image(image)})
    assert layout.resolve("x") == image
    assert layout.image(layout.tags()["x"].digest) == image


def test_the_same_image_is_the_same_manifest(layout: Layout, make: Any) -> None:
    image = make.image("one").configure(annotations={"b": "2", "a": "1"})
    other = make.image("one").configure(annotations={"a": "1", "b": "2"})
    assert layout.write_image(image) == layout.write_image(other)


def test_a_manifest_says_what_it_is_and_nothing_more(layout: Layout, make: Any) -> None:
    descriptor = layout.write_image(make.image("one"))
    manifest = json.loads(layout.blobs.read(descriptor))
    assert list(manifest) == ["schemaVersion", "mediaType", "config", "layers"]
    assert manifest["mediaType"] == descriptor.media_type == MANIFEST


def test_an_image_without_its_layers_is_not_written(layout: Layout, make: Any) -> None:
    image = make.image("one")
    layout.blobs.remove(image.layers[0].descriptor.digest)
    with pytest.raises(NotFound):
        layout.write_image(image)


def test_an_image_with_a_config_that_no_reader_takes_is_not_written(layout: Layout) -> None:
    image = Image.empty(Platform("linux", "386")).configure(labels={"x": "y" * (5 << 20)})
    with pytest.raises(LayoutError, match="larger"):
        layout.write_image(image)


def test_a_tag_is_made_moved_and_forgotten(layout: Layout, make: Any) -> None:
    one, two = make.tagged("x", "1"), make.tagged("y", "2")
    assert {tag: d.digest for tag, d in layout.tags().items()} == {"x": one.digest, "y": two.digest}
    layout.tag({"x": two, "z": one})
    assert layout.tags()["x"].digest == two.digest
    layout.untag(["x", "z"])
    assert list(layout.tags()) == ["y"]


def test_forgetting_a_tag_that_is_not_there_forgets_nothing(layout: Layout, make: Any) -> None:
    make.tagged("there", "1")
    with pytest.raises(NotFound, match="their") as error:
        layout.untag(["there", "their"])
    assert "there" in error.value.mend
    assert list(layout.tags()) == ["there"]


@pytest.mark.parametrize("name", ["", "a/b", "empty", "x" * 129, ".."])
def test_a_bad_name_tags_nothing(layout: Layout, make: Any, name: str) -> None:
    manifest = layout.write_image(make.image())
    with pytest.raises(UsageError):
        layout.tag({"good": manifest, name: manifest})
    with pytest.raises(UsageError):
        publish(layout, {name: manifest}, date="2026-11-23")
    assert layout.tags() == {}


def test_what_is_gone_or_damaged_is_not_tagged(layout: Layout, make: Any) -> None:
    image = make.image("one")
    manifest = layout.write_image(image)
    layer = layout.blobs.path(image.layers[0].descriptor.digest)
    layer.rename(layout.path / "aside")
    with pytest.raises(NotFound):
        layout.tag({"x": manifest})
    layer.write_bytes(b"short")
    with pytest.raises(Damaged):
        publish(layout, {"x": manifest}, date="2026-11-23")
    (layout.path / "aside").rename(layer)
    layout.blobs.remove(manifest.digest)
    with pytest.raises(NotFound):
        layout.tag({"x": manifest})
    assert layout.tags() == {}


def test_a_dated_tag_counts_up_within_its_day(layout: Layout, make: Any) -> None:
    first, second = layout.write_image(make.image("1")), layout.write_image(make.image("2"))
    assert publish(layout, {"x": first}, date="2026-11-23") == {"x": ("x", "x-2026-11-23_1")}
    assert publish(layout, {"x": second}, date="2026-11-23") == {"x": ("x", "x-2026-11-23_2")}
    assert publish(layout, {"x": second}, date="2026-11-24") == {"x": ("x", "x-2026-11-24_1")}
    tags = {tag: descriptor.digest for tag, descriptor in layout.tags().items()}
    assert tags["x-2026-11-23_1"] == first.digest
    assert tags["x"] == tags["x-2026-11-23_2"] == second.digest


def test_a_number_is_not_used_again_while_a_higher_one_is_there(layout: Layout, make: Any) -> None:
    manifest = layout.write_image(make.image())
    for _ in range(3):
        publish(layout, {"x": manifest}, date="2026-11-23")
    layout.untag(["x-2026-11-23_1", "x-2026-11-23_2"])
    assert publish(layout, {"x": manifest}, date="2026-11-23")["x"][1] == "x-2026-11-23_4"


def test_a_layout_of_twenty_thousand_tags_works(layout: Layout, make: Any) -> None:
    manifest = layout.write_image(make.image("one"))
    layout.tag({f"t{n}-2026-11-23_1": manifest for n in range(20_000)})
    assert len(layout.tags()) == 20_000
    assert publish(layout, {"t7": manifest}, date="2026-11-23")["t7"][1] == "t7-2026-11-23_2"
    assert len(layout.tags()) == 20_002
    with pytest.raises(NotFound, match="t77777-2026"):
        layout.resolve("t77777-2026-11-23_1")


def test_a_missing_tag_is_told_with_near_misses(layout: Layout, make: Any) -> None:
    make.tagged("debian", "1")
    with pytest.raises(NotFound) as error:
        layout.resolve("debain")
    assert "debian" in error.value.mend
    with pytest.raises(NotFound) as error:
        layout.resolve("zzz")
    assert "genoci ls" in error.value.mend


def test_builds_share_a_layout_and_gc_has_it_alone(layout: Layout) -> None:
    with layout.holding(shared=True), layout.holding(shared=True):
        with pytest.raises(LayoutError, match="in use") as error, layout.holding(shared=False):
            pytest.fail("not alone")
        assert error.value.mend
    with layout.holding(shared=False):
        pass


def test_a_holder_that_dies_lets_go(layout: Layout) -> None:
    holder = (
        "import sys, os; from pathlib import Path; from genoci.oci.layout import Layout\n"
        "with Layout.at(Path(sys.argv[1])).holding(shared=True):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, layout.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"
        with pytest.raises(LayoutError), layout.holding(shared=False):
            pytest.fail("not alone")
        process.kill()
        process.wait()
    with layout.holding(shared=False):
        pass


READ_ONLY = """
import sys
from pathlib import Path
from genoci.errors import StorageError
from genoci.oci.fsck import check
from genoci.oci.layout import Layout
layout = Layout.at(Path(sys.argv[1]))
Layout.create_or_open(layout.path)
assert list(layout.tags()) == ["x"]
image = layout.resolve("x")
with layout.open(image.layers[0].descriptor) as blob:
    assert blob.read()
assert check(layout, lambda blob, _: image.diff_ids[0]) == []
for refused in (
    lambda: layout.untag(["x"]),
    lambda: layout.put([b"new"], "text/plain"),
    lambda: layout.holding(shared=True).__enter__(),
):
    try:
        refused()
    except StorageError as error:
        assert error.mend
    else:
        sys.exit("wrote to a read-only layout")
"""


def test_a_read_only_layout_can_be_read_and_gets_no_lock_files(layout: Layout, make: Any) -> None:
    make.tagged("x", "one")
    for lock in layout.path.glob(".genoci*"):
        lock.unlink()
    before = sorted(layout.path.rglob("*"))
    shell = 'mount --bind -o ro "$1" "$1" && exec "$2" -c "$3" "$1"'
    subprocess.run(
        ["unshare", "-rm", "sh", "-c", shell, "sh", layout.path, sys.executable, READ_ONLY],
        check=True,
    )
    assert sorted(layout.path.rglob("*")) == before


@pytest.mark.root_only
def test_a_lock_that_another_user_made_first_locks_all_the_same(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "oci")
    with layout.holding(shared=True):
        pass
    inner = "import sys,os; from pathlib import Path; from genoci.oci.layout import Layout; " + (
        "layout = Layout.at(Path(sys.argv[1])); os.setgid(65534); os.setuid(65534)\n"
        "with layout.holding(shared=True): layout.tag({'y': layout.tags()['x']})"
    )
    blob = layout.put([b"{}"], "text/plain")
    layout.tag({"x": blob})
    for path in (layout.path, layout.blobs.folder):
        os.chown(path, 65534, 65534)
    shell = 'mount --bind "$1" /mnt && exec "$2" -c "$3" /mnt'
    subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", layout.path, sys.executable, inner], check=True
    )
    assert list(layout.tags()) == ["x", "y"]


def test_tags_that_another_tool_wrote_are_there(layout: Layout, make: Any, umoci: Any) -> None:
    umoci("new", "--image", f"{layout.path}:theirs")
    make.tagged("ours", "1")
    assert sorted(layout.tags()) == ["ours", "theirs"]
    assert layout.resolve("theirs").layers == ()
    layout.tag({"theirs-too": layout.tags()["theirs"]})
    theirs = umoci("ls", "--layout", layout.path).split()
    assert sorted(theirs) == ["ours", "theirs", "theirs-too"]


def test_an_image_is_found_by_its_digest_and_a_missing_one_is_not(layout: Layout) -> None:
    with pytest.raises(NotFound):
        layout.image(Digest.of(b"nothing"))
    with pytest.raises(NotFound):
        layout.tag({"x": Descriptor(MANIFEST, Digest.of(b"nothing"), 7)})


def test_a_tag_of_garbage_is_an_error_when_it_is_used(layout: Layout) -> None:
    document = {
        "schemaVersion": 2,
        "manifests": [{"annotations": {"org.opencontainers.image.ref.name": "odd"}}],
    }
    layout.index_path.write_text(json.dumps(document))
    assert layout.tags() == {}
    with pytest.raises(LayoutError, match="odd") as error:
        layout.resolve("odd")
    assert "genoci rm odd" in error.value.mend
    layout.untag(["odd"])
    with pytest.raises(NotFound):
        layout.resolve("odd")


@pytest.mark.parametrize("text", ["", "garbage", "{}garbage"])
def test_with_a_broken_index_nothing_is_written(layout: Layout, make: Any, text: str) -> None:
    manifest = layout.write_image(make.image())
    layout.index_path.write_text(text)
    with pytest.raises(LayoutError):
        layout.tag({"x": manifest})
    with pytest.raises(LayoutError):
        layout.tags()
    assert layout.index_path.read_text() == text


def test_storing_errors_have_a_mend(layout: Layout) -> None:
    for path in (layout.blobs.folder, layout.blobs.folder.parent):
        path.rmdir()
    with pytest.raises(StorageError) as error:
        layout.put([b"x"], "text/plain")
    assert error.value.mend
