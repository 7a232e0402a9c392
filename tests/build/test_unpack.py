"""Images unpacked, and read, by who has not made them: a config may say anything of a layer."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from genoci.build.calling import Refused
from genoci.build.images import Images
from genoci.build.operations import unpack_image
from genoci.errors import Damaged
from genoci.layer.entry import Entry, Kind
from genoci.layer.listing import LayerListing, Placed, save
from genoci.oci.digest import Digest
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout
from genoci.oci.platform import Platform
from workshop import Workshop

AN_HOUR_AGO = 1_600_000_000


@pytest.fixture
def lying(workshop: Workshop) -> Layout:
    """A layout with the image `lie`, whose upper layer's diff ID is that of something else."""
    layout = Layout.create_or_open(workshop.layout_path)
    image = Image.empty(Platform.host())
    for name, diff_id in (("true", None), ("false", Digest.of(b"another"))):
        tar = workshop.tarball(f"{name}.tar", (f"{name}/file", name)).read_bytes()
        descriptor = layout.put([gzip.compress(tar)], "application/vnd.oci.image.layer.v1.tar+gzip")
        layer = Layer(descriptor, diff_id or Digest.of(tar))
        image = image.append(layer, created=0, created_by="test")
    layout.tag({"lie": layout.write_image(image)})
    return layout


def refused(layout: Layout, directory: Path) -> None:
    with pytest.raises(Refused, match="unpacks to") as caught:
        unpack_image(layout, "lie", directory, lambda event: None)
    assert caught.value.exit_status == Damaged.exit_status


def test_what_a_layer_unpacks_to_must_be_what_the_config_says(
    lying: Layout, tmp_path: Path
) -> None:
    refused(lying, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_directory_that_was_there_is_as_it_was(lying: Layout, tmp_path: Path) -> None:
    directory = tmp_path / "mine"
    directory.mkdir(mode=0o750)
    os.utime(directory, (AN_HOUR_AGO, AN_HOUR_AGO))
    before = directory.stat()
    refused(lying, directory)
    after = directory.stat()
    assert list(directory.iterdir()) == []
    assert (after.st_mode, after.st_uid, after.st_mtime) == (
        before.st_mode,
        before.st_uid,
        before.st_mtime,
    )


def test_a_listing_is_kept_only_of_what_the_layer_is(lying: Layout, tmp_path: Path) -> None:
    """It would be another image's listing, too: of the one that really has this diff ID."""
    with Images(lying, tmp_path / "state") as images, pytest.raises(Damaged, match="unpacks to"):
        images.tree(lying.resolve("lie"))
    kept = {path.name for path in (tmp_path / "state" / "listings").iterdir()}
    assert kept == {lying.resolve("lie").diff_ids[0].hex}


def test_contents_are_read_only_from_what_the_layer_is(lying: Layout, tmp_path: Path) -> None:
    image = lying.resolve("lie")
    with Images(lying, tmp_path / "state") as images:
        entry = Entry(b"file", Kind.FILE, 0o644, 0, 0, 0, size=5)
        save(tmp_path / "state" / "listings", LayerListing(image.diff_ids[1], (Placed(entry, 0),)))
        tree = images.tree(image)
        with pytest.raises(Damaged, match="unpacks to"):
            list(tree.content(b"file"))
