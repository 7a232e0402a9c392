"""From a tag to an image, through documents that others wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genoci.errors import Damaged, LayoutError, NotFound
from genoci.oci.documents import CONFIG, DOCUMENT_LIMIT, INDEX, MANIFEST, Platform
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout

HOST = Platform.host()
OTHER = Platform("linux", "s390x" if HOST.architecture != "s390x" else "amd64")


def config(*layers: Layer, **fields: Any) -> dict[str, Any]:
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
    return {"os": "linux", "architecture": "amd64", "rootfs": rootfs} | fields


def described(descriptor: Any, platform: Platform | None) -> Any:
    import msgspec

    return msgspec.structs.replace(descriptor, platform=platform)


def test_a_base_in_docker_s_words_comes_out_in_the_specification_s(
    layout: Layout, make: Any
) -> None:
    layer = make.layer(a="1")
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": make.json(
            config(layer), "application/vnd.docker.container.image.v1+json"
        ).to_mapping(),
        "layers": [
            layer.descriptor.to_mapping()
            | {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
        ],
    }
    layout.tag({"x": make.json(document, document["mediaType"])})
    image = layout.resolve("x")
    assert image.layers == (layer,)
    manifest = json.loads(layout.blobs.read(layout.write_image(image)))
    assert manifest["config"]["mediaType"] == CONFIG


def test_annotations_of_the_manifest_and_of_layers_are_inherited(layout: Layout, make: Any) -> None:
    layer = make.layer(a="1")
    entry = layer.descriptor.to_mapping() | {"annotations": {"toc": "x"}}
    layout.tag({"x": make.manifest(config(layer), layer, layers=[entry], annotations={"a": "1"})})
    image = layout.resolve("x").configure(annotations={"b": "2"})
    manifest = json.loads(layout.blobs.read(layout.write_image(image)))
    assert manifest["annotations"] == {"a": "1", "b": "2"}
    assert manifest["layers"][0]["annotations"] == {"toc": "x"}


def test_what_a_manifest_says_about_itself_alone_is_not_inherited(
    layout: Layout, make: Any
) -> None:
    subject = make.tagged("s", "1").to_mapping()
    layout.tag({"x": make.manifest(config(), subject=subject, artifactType="a/b", vendor=1)})
    manifest = json.loads(layout.blobs.read(layout.write_image(layout.resolve("x"))))
    assert list(manifest) == ["schemaVersion", "mediaType", "config", "layers"]


def test_a_config_without_change_is_stored_as_it_was(layout: Layout, make: Any) -> None:
    odd = json.dumps(config(vendor=1.50, created="2020-01-01T00:00:00Z"), indent=3).encode()
    layout.tag({"x": make.manifest(odd)})
    assert layout.resolve("x").config_raw == odd
    layout.tag({"y": layout.write_image(layout.resolve("x").configure(annotations={"a": "1"}))})
    assert layout.resolve("y").config_raw == odd


@pytest.mark.parametrize("part", ["manifest", "config"])
def test_a_damaged_document_is_not_believed(layout: Layout, make: Any, part: str) -> None:
    manifest = make.tagged("x", "one")
    document = json.loads(layout.blobs.read(manifest))
    digest = (
        manifest.digest
        if part == "manifest"
        else type(manifest.digest).parse(document["config"]["digest"])
    )
    make.damage(digest)
    with pytest.raises(Damaged) as error:
        layout.resolve("x")
    assert error.value.where.endswith(digest.hex)


def test_a_missing_or_shortened_layer_is_told_before_anything_is_built(
    layout: Layout, make: Any
) -> None:
    make.tagged("x", "one")
    path = layout.blobs.path(layout.resolve("x").layers[0].descriptor.digest)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(Damaged):
        layout.resolve("x")
    path.unlink()
    with pytest.raises(NotFound):
        layout.resolve("x")


def test_a_layer_that_is_only_to_be_had_elsewhere_need_not_be_here(
    layout: Layout, make: Any
) -> None:
    layer = make.layer(a="1")
    entry = layer.descriptor.to_mapping() | {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "urls": ["https://example.com/layer"],
    }
    manifest = make.manifest(config(layer), layers=[entry])
    layout.blobs.remove(layer.descriptor.digest)
    layout.tag({"x": manifest})
    assert layout.resolve("x").layers[0].descriptor.urls == ("https://example.com/layer",)


def test_layers_and_diff_ids_have_to_be_as_many(layout: Layout, make: Any) -> None:
    layer = make.layer(a="1")
    layout.tag(
        {"more": make.manifest(config(layer, layer), layer), "less": make.manifest(config(), layer)}
    )
    for tag in ("more", "less"):
        with pytest.raises(LayoutError, match="diff IDs"):
            layout.resolve(tag)


def test_an_artifact_is_not_an_image(layout: Layout, make: Any) -> None:
    empty = make.json({}, "application/vnd.oci.empty.v1+json").to_mapping()
    layout.tag({"x": make.manifest({}, config=empty, artifactType="application/x")})
    with pytest.raises(LayoutError, match="not an image"):
        layout.resolve("x")


def test_a_layer_of_a_type_that_is_none_is_refused(layout: Layout, make: Any) -> None:
    layer = make.layer(a="1")
    entry = layer.descriptor.to_mapping() | {"mediaType": "application/vnd.in-toto+json"}
    layout.tag({"x": make.manifest(config(layer), layers=[entry])})
    with pytest.raises(LayoutError, match="in-toto"):
        layout.resolve("x")


def test_a_document_too_large_to_be_one_is_refused(layout: Layout, make: Any) -> None:
    padded = json.dumps(config()).encode() + b" " * DOCUMENT_LIMIT
    layout.tag({"x": make.manifest(padded)})
    with pytest.raises(LayoutError, match="too large"):
        layout.resolve("x")


def test_of_a_nested_index_the_wanted_platform_is_chosen(layout: Layout, make: Any) -> None:
    mine, theirs = (
        layout.write_image(make.image(str(platform), platform=platform))
        for platform in (HOST, OTHER)
    )
    both = make.nested(described(theirs, OTHER), described(mine, HOST))
    layout.tag({"x": make.nested(both), "flat": both})
    for tag in ("x", "flat"):
        assert layout.resolve(tag).platform == HOST
        assert layout.resolve(tag, OTHER).platform == OTHER
    with pytest.raises(NotFound) as error:
        layout.resolve("x", Platform("plan9", "mips"))
    assert str(HOST) in error.value.mend and str(OTHER) in error.value.mend


def test_without_platforms_in_the_index_the_configs_tell(layout: Layout, make: Any) -> None:
    manifests = [layout.write_image(make.image(str(p), platform=p)) for p in (OTHER, HOST)]
    layout.tag({"x": make.nested(*manifests)})
    assert layout.resolve("x").platform == HOST
    assert layout.resolve("x", OTHER).platform == OTHER


def test_the_nearest_variant_is_chosen(layout: Layout, make: Any) -> None:
    platforms = [Platform("linux", "arm", variant) for variant in ("v5", "v6", "v8")]
    manifests = [
        described(layout.write_image(make.image(str(p), platform=p)), p) for p in platforms
    ]
    layout.tag({"x": make.nested(*manifests)})
    assert layout.resolve("x", Platform("linux", "arm", "v7")).platform.variant == "v6"


def test_an_index_of_one_image_is_that_image_on_every_host(layout: Layout, make: Any) -> None:
    only = layout.write_image(make.image("1", platform=OTHER))
    note = layout.write_image(make.image("note", platform=Platform("unknown", "unknown")))
    nested = make.nested(described(only, OTHER), described(note, Platform("unknown", "unknown")))
    layout.tag({"x": nested})
    assert layout.resolve("x").platform == OTHER


def test_a_single_manifest_is_what_it_is_whatever_was_wanted(layout: Layout, make: Any) -> None:
    make.tagged("x", "1", platform=OTHER)
    assert layout.resolve("x", HOST).platform == OTHER


def test_images_that_nobody_copied_along_are_passed_over(layout: Layout, make: Any) -> None:
    mine = layout.write_image(make.image("1", platform=HOST))
    gone = layout.write_image(make.image("2", platform=OTHER))
    layout.tag({"x": make.nested(described(gone, OTHER), described(mine, HOST))})
    layout.blobs.remove(gone.digest)
    assert layout.resolve("x").platform == HOST
    with pytest.raises(NotFound):
        layout.resolve("x", OTHER)


def test_a_tag_with_an_entry_for_each_platform_is_one_tag(layout: Layout, make: Any) -> None:
    entries = []
    for platform in (OTHER, HOST):
        manifest = layout.write_image(make.image(str(platform), platform=platform))
        mapping = described(manifest, platform).to_mapping()
        entries.append(mapping | {"annotations": {"org.opencontainers.image.ref.name": "x"}})
    layout.index_path.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    assert layout.resolve("x").platform == HOST
    assert layout.resolve("x", OTHER).platform == OTHER
    layout.tag({"x": layout.write_image(make.image("new"))})
    assert len(json.loads(layout.index_path.read_bytes())["manifests"]) == 1


def test_indexes_within_indexes_have_an_end(layout: Layout, make: Any) -> None:
    nested = make.tagged("x", "1")
    for _ in range(30):
        nested = make.nested(nested)
    layout.tag({"deep": nested})
    with pytest.raises(LayoutError, match="lie in one another"):
        layout.resolve("deep")


def test_an_index_that_is_called_a_manifest_is_refused(layout: Layout, make: Any) -> None:
    nested = make.nested(make.tagged("x", "1")).to_mapping()
    entry = nested | {
        "mediaType": MANIFEST,
        "annotations": {"org.opencontainers.image.ref.name": "y"},
    }
    layout.index_path.write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    with pytest.raises(LayoutError):
        layout.resolve("y")


def test_an_index_of_nothing_has_no_image(layout: Layout, make: Any) -> None:
    layout.tag(
        {"x": make.nested(), "y": make.json({"schemaVersion": 2, "mediaType": INDEX}, INDEX)}
    )
    for tag in ("x", "y"):
        with pytest.raises(NotFound, match="no image"):
            layout.resolve(tag)


def test_building_on_a_base_leaves_the_base_as_it_was(layout: Layout, make: Any) -> None:
    base = make.tagged("base", "1")
    before = layout.blobs.read(base)
    image: Image = layout.resolve("base").append(make.layer(b="2"), created=0, created_by="x")
    layout.tag({"top": layout.write_image(image.configure(user="x"))})
    assert layout.blobs.read(base) == before
    assert layout.resolve("top").diff_ids[0] == layout.resolve("base").diff_ids[0]
