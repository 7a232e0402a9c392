"""The image specification's documents as values: what is read from them, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from genoci.oci.digest import Digest
from genoci.oci.platform import Platform as Platform

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_NAMES_OF_DOCKER = {
    "application/vnd.docker.distribution.manifest.v2+json": MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json": INDEX,
    "application/vnd.docker.container.image.v1+json": CONFIG,
    _DOCKER_LAYER: LAYER,
    f"{_DOCKER_LAYER}.gzip": f"{LAYER}+gzip",
    f"{_DOCKER_LAYER}.zstd": f"{LAYER}+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
}

DOCUMENT_LIMIT = 4 << 20
"""The largest manifest, config or nested index that is believed, in bytes."""


def standard(media_type: str) -> str:
    """The image specification's name of a media type, for those that Docker named before it."""
    return _NAMES_OF_DOCKER.get(media_type, media_type)


def is_layer(media_type: str) -> bool:
    return media_type.startswith("application/vnd.oci.image.layer.")


class Descriptor(msgspec.Struct, frozen=True):
    """What refers to a blob (descriptor.md). `size` is bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""
    urls: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_mapping(self) -> dict[str, Any]:
        """As it stands in a document."""
        mapping: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.urls:
            mapping["urls"] = list(self.urls)
        if self.annotations:
            mapping["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform:
            fields = msgspec.to_builtins(self.platform)
            mapping["platform"] = {name: value for name, value in fields.items() if value}
        if self.artifact_type:
            mapping["artifactType"] = self.artifact_type
        return mapping


class Manifest(msgspec.Struct, frozen=True):
    """An image's manifest (manifest.md), under either of its names."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None


class Index(msgspec.Struct, frozen=True):
    """An image index (image-index.md)."""

    manifests: tuple[Descriptor, ...]


class History(msgspec.Struct, frozen=True):
    """How one layer came to be, or (`empty_layer`) a change of the config alone."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True):
    """What an image's config says (config.md). `env` are its `NAME=VALUE` lines, in order."""

    platform: Platform
    created: str | None
    env: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    workdir: str
    user: str
    stopsignal: str
    labels: Mapping[str, str]
    volumes: tuple[str, ...]
    expose: tuple[str, ...]
    diff_ids: tuple[Digest, ...]
    history: tuple[History, ...]
