"""Layouts with real images in them, and the judges: umoci and skopeo."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genoci.oci.digest import Digest
from genoci.oci.documents import INDEX, MANIFEST, Descriptor, Platform
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout

AMD64 = Platform("linux", "amd64")


class Maker:
    """Puts layers, images and odd things into a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def layer(self, **contents: str) -> Layer:
        """A gzip layer of files with those names and contents."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, text in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
        packed = gzip.compress(plain.getvalue(), mtime=0)
        descriptor = self.layout.put([packed], "application/vnd.oci.image.layer.v1.tar+gzip")
        return Layer(descriptor, Digest.of(plain.getvalue()))

    def image(self, *texts: str, platform: Platform = AMD64) -> Image:
        """An image with a layer for each text."""
        image = Image.empty(platform)
        for number, text in enumerate(texts):
            layer = self.layer(**{f"file{number}": text})
            image = image.append(layer, created=10**9 * number, created_by=f"layer {number}")
        return image

    def tagged(self, tag: str, *texts: str, platform: Platform = AMD64) -> Descriptor:
        manifest = self.layout.write_image(self.image(*texts, platform=platform))
        self.layout.tag({tag: manifest})
        return manifest

    def json(self, document: Any, media_type: str) -> Descriptor:
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.layout.put([raw], media_type)

    def nested(self, *descriptors: Descriptor, media_type: str = INDEX) -> Descriptor:
        """An index of those, stored."""
        entries = [descriptor.to_mapping() for descriptor in descriptors]
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
        return self.json(document, media_type)

    def manifest(self, config: Any, /, *layers: Layer, **fields: Any) -> Descriptor:
        """A hand-made manifest of a hand-made config."""
        described = self.json(config, "application/vnd.oci.image.config.v1+json")
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described.to_mapping(),
            "layers": [layer.descriptor.to_mapping() for layer in layers],
        } | fields
        return self.json(document, document["mediaType"])

    def damage(self, digest: Digest) -> None:
        """Flip one bit in the middle of a blob."""
        path = self.layout.blobs.path(digest)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create_or_open(tmp_path / "oci")


@pytest.fixture
def make(layout: Layout) -> Maker:
    return Maker(layout)


@pytest.fixture
def unpacked_digest() -> Callable[[Any, str], Digest]:
    """What `layer` has of its own: the digest of what a gzip layer unpacks to."""
    return lambda blob, _: Digest(
        "sha256", hashlib.sha256(gzip.decompress(blob.read())).hexdigest()
    )


Judge = Callable[..., str]


def _judge(*command: str | Path) -> str:
    """What a judge says; raises CalledProcessError if it does not accept."""
    done = subprocess.run(command, check=True, text=True, capture_output=True)
    return done.stdout


@pytest.fixture
def umoci() -> Judge:
    return lambda *arguments: _judge("umoci", *arguments)


@pytest.fixture
def skopeo() -> Judge:
    return lambda *arguments: _judge("skopeo", "--insecure-policy", *arguments)
