"""umoci and skopeo as judges of what genoci stores, each shown a corrupted image as well."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genoci.oci.gc import collect
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.oci.platform import Platform
from genoci.oci.publish import publish

CONFIG = {
    "entrypoint": ("/bin/echo", "hello world"),
    "cmd": ("x",),
    "env": {"A": "1", "EMPTY": ""},
    "labels": {"one": "ü <&>"},
    "annotations": {"title": "mine"},
    "workdir": "/w",
    "user": "1:1",
    "stopsignal": "SIGHUP",
    "volumes": ("/v",),
    "expose": ("80/tcp",),
}


@pytest.fixture
def image(make: Any) -> Image:
    configured: Image = make.image("one", "two").configure(created_by="config", **CONFIG)
    return configured


def test_both_accept_an_image_and_unpack_what_is_in_it(
    layout: Layout, image: Image, umoci: Any, skopeo: Any, tmp_path: Path
) -> None:
    publish(layout, {"x": layout.write_image(image)}, date="2026-11-23")
    assert sorted(umoci("ls", "--layout", layout.path).split()) == ["x", "x-2026-11-23_1"]
    umoci("unpack", "--rootless", "--image", f"{layout.path}:x", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "file1").read_text() == "two"
    assert "layer 0" in umoci("stat", "--image", f"{layout.path}:x")
    skopeo("copy", f"oci:{layout.path}:x", f"dir:{tmp_path / 'copy'}")


def test_skopeo_reads_the_config_that_was_meant(layout: Layout, image: Image, skopeo: Any) -> None:
    layout.tag({"x": layout.write_image(image)})
    config = json.loads(skopeo("inspect", "--config", f"oci:{layout.path}:x"))["config"]
    assert config == {
        "Entrypoint": ["/bin/echo", "hello world"],
        "Cmd": ["x"],
        "Env": ["A=1", "EMPTY="],
        "Labels": {"one": "ü <&>"},
        "WorkingDir": "/w",
        "User": "1:1",
        "StopSignal": "SIGHUP",
        "Volumes": {"/v": {}},
        "ExposedPorts": {"80/tcp": {}},
    }
    manifest = json.loads(skopeo("inspect", "--raw", f"oci:{layout.path}:x"))
    assert manifest["annotations"] == {"title": "mine"}


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
def test_neither_accepts_a_corrupted_image(
    layout: Layout, image: Image, make: Any, umoci: Any, skopeo: Any, tmp_path: Path, part: str
) -> None:
    manifest = layout.write_image(image)
    layout.tag({"x": manifest})
    config = json.loads(layout.blobs.read(manifest))["config"]["digest"]
    make.damage(
        {
            "layer": image.layers[0].descriptor.digest,
            "config": type(manifest.digest).parse(config),
            "manifest": manifest.digest,
        }[part]
    )
    with pytest.raises(subprocess.CalledProcessError):
        umoci("unpack", "--rootless", "--image", f"{layout.path}:x", tmp_path / "bundle")
    if part != "manifest":  # skopeo takes a layout's manifests as they are
        with pytest.raises(subprocess.CalledProcessError):
            skopeo("copy", f"oci:{layout.path}:x", f"dir:{tmp_path / 'copy'}")


def test_a_layout_of_nothing_is_one_to_umoci(layout: Layout, umoci: Any) -> None:
    assert umoci("ls", "--layout", layout.path) == ""
    umoci("gc", "--layout", layout.path)
    umoci("new", "--image", f"{layout.path}:new")
    assert list(layout.tags()) == ["new"]


def test_the_empty_image_is_one_to_both(
    layout: Layout, umoci: Any, skopeo: Any, tmp_path: Path
) -> None:
    layout.tag({"x": layout.write_image(Image.empty(Platform.host()))})
    umoci("unpack", "--rootless", "--image", f"{layout.path}:x", tmp_path / "bundle")
    skopeo("copy", f"oci:{layout.path}:x", f"oci:{tmp_path / 'copy'}:x")
    assert Layout.at(tmp_path / "copy").resolve("x").layers == ()


def test_while_a_blob_is_being_written_umoci_finds_nothing_odd(
    layout: Layout, make: Any, umoci: Any
) -> None:
    make.tagged("x", "1")

    def chunks() -> Iterator[bytes]:
        yield b"half"
        umoci("gc", "--layout", layout.path)
        assert umoci("ls", "--layout", layout.path).split() == ["x"]
        yield b"whole"

    with layout.holding(shared=True), layout.editing_index():
        assert layout.has(layout.put(chunks(), "text/plain").digest)


def test_umoci_finds_nothing_odd_about_our_locks_and_our_gc(
    layout: Layout, make: Any, umoci: Any, skopeo: Any, tmp_path: Path
) -> None:
    import datetime

    make.tagged("x", "1", "2")
    make.tagged("gone", "3")
    layout.untag(["gone"])
    dropped = collect(layout, today=datetime.date(2026, 11, 23)).blobs
    assert len(dropped) == 3
    before = set(layout.blobs.digests())
    umoci("gc", "--layout", layout.path)
    assert set(layout.blobs.digests()) == before
    umoci("unpack", "--rootless", "--image", f"{layout.path}:x", tmp_path / "bundle")
    skopeo("copy", f"oci:{layout.path}:x", f"oci:{tmp_path / 'copy'}:x")


def test_an_image_made_by_umoci_is_a_base_and_umoci_goes_on_from_ours(
    layout: Layout, make: Any, umoci: Any
) -> None:
    umoci("new", "--image", f"{layout.path}:base")
    umoci("config", "--image", f"{layout.path}:base", "--config.user", "theirs", "--author", "me")
    image = layout.resolve("base").append(make.layer(a="1"), created=0, created_by="ours")
    layout.tag({"ours": layout.write_image(image.configure(workdir="/ours"))})
    umoci("config", "--image", f"{layout.path}:ours", "--config.env", "B=2", "--tag", "back")
    back = layout.resolve("back")
    assert (back.user, back.workdir, back.env["B"]) == ("theirs", "/ours", "2")
    assert json.loads(back.config_raw)["author"] == "me"
    assert back.diff_ids == image.diff_ids
    assert sorted(layout.tags()) == ["back", "base", "ours"]


@pytest.mark.parametrize(
    "history",
    [
        None,
        [{"created": "2020-01-01T00:00:00Z"}],
        [{"created": "2020-01-01T00:00:00Z", "created_by": str(n)} for n in range(5)],
    ],
)
def test_whatever_the_history_of_the_base_umoci_can_tell_ours(
    layout: Layout, make: Any, umoci: Any, history: Any
) -> None:
    layers = [make.layer(a="1"), make.layer(b="2")]
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
    config = {"os": "linux", "architecture": "amd64", "rootfs": rootfs, "history": history}
    layout.tag({"base": make.manifest(config, *layers)})
    image = layout.resolve("base").append(make.layer(c="3"), created=0, created_by="ours")
    layout.tag({"x": layout.write_image(image)})
    told = umoci("stat", "--json", "--image", f"{layout.path}:x")
    of_layers = [entry for entry in json.loads(told)["history"] if not entry.get("empty_layer")]
    assert len(of_layers) == 3 and of_layers[2]["created_by"] == "ours"
    assert of_layers[2]["diff_id"] == str(image.diff_ids[2])


def test_an_image_in_docker_s_words_is_a_base(
    layout: Layout, image: Image, make: Any, umoci: Any, skopeo: Any, tmp_path: Path
) -> None:
    layout.tag({"x": layout.write_image(image)})
    skopeo("copy", "--format", "v2s2", f"oci:{layout.path}:x", f"dir:{tmp_path / 'docker'}")
    folder = tmp_path / "docker"
    document = json.loads((folder / "manifest.json").read_bytes())
    for part in (document["config"], *document["layers"]):
        layout.put([(folder / part["digest"].partition(":")[2]).read_bytes()], "any")
    layout.tag({"docker": make.json(document, document["mediaType"])})
    base = layout.resolve("docker")
    assert base.diff_ids == image.diff_ids and base.entrypoint == image.entrypoint
    top = base.append(make.layer(top="1"), created=0, created_by="top")
    layout.tag({"top": layout.write_image(top)})
    umoci("unpack", "--rootless", "--image", f"{layout.path}:top", tmp_path / "bundle")
    skopeo("copy", f"oci:{layout.path}:top", f"dir:{tmp_path / 'copy'}")


def test_an_index_for_several_platforms_is_copied_whole(
    layout: Layout, make: Any, skopeo: Any, tmp_path: Path
) -> None:
    import msgspec

    platforms = [Platform("linux", "amd64"), Platform("linux", "arm64", "v8")]
    manifests = [
        msgspec.structs.replace(
            layout.write_image(make.image(str(platform), platform=platform)), platform=platform
        )
        for platform in platforms
    ]
    layout.tag({"multi": make.nested(*manifests)})
    skopeo("copy", "--all", f"oci:{layout.path}:multi", f"oci:{tmp_path / 'copy'}:multi")
    copy = Layout.at(tmp_path / "copy")
    assert list(copy.tags()) == ["multi"]
    for platform in platforms:
        assert copy.resolve("multi", platform).platform == platform
    copy.tag({"second": copy.tags()["multi"]})
    skopeo("copy", "--all", f"oci:{copy.path}:second", f"oci:{tmp_path / 'again'}:x")
