"""From a descriptor to the image that it leads to, each document checked on the way."""

from __future__ import annotations

import msgspec

from genoci.errors import LayoutError, NotFound
from genoci.oci.blobs import Blobs
from genoci.oci.documents import (
    CONFIG,
    INDEX,
    MANIFEST,
    Descriptor,
    Index,
    Manifest,
    Platform,
    is_layer,
    standard,
)
from genoci.oci.image import Image, Layer
from genoci.oci.parse import parse_config, parse_index, parse_manifest

_DEEPEST = 8
"""How many indexes may lie in one another; real ones have one or two."""


def read_manifest(blobs: Blobs, descriptor: Descriptor) -> Manifest:
    return parse_manifest(blobs.read(descriptor), where=str(blobs.path(descriptor.digest)))


def read_nested(blobs: Blobs, descriptor: Descriptor) -> Index:
    return parse_index(blobs.read(descriptor), where=str(blobs.path(descriptor.digest)))


def read_image(blobs: Blobs, descriptor: Descriptor) -> Image:
    """The image whose manifest `descriptor` is; its layers are there, but not read.

    Layers get the names of the image specification if Docker named them. Raises LayoutError.
    """
    manifest = read_manifest(blobs, descriptor)
    where = str(blobs.path(descriptor.digest))
    if standard(manifest.config.media_type) != CONFIG:
        raise LayoutError(
            f"not an image: its config is of type {manifest.config.media_type[:100]!r}",
            where=where,
            mend="Choose a tag that is an image; `genoci ls` lists them all.",
        )
    raw = blobs.read(manifest.config)
    config = parse_config(raw, where=str(blobs.path(manifest.config.digest)))
    if len(config.diff_ids) != len(manifest.layers):
        raise LayoutError(
            f"{len(manifest.layers)} layers, but {len(config.diff_ids)} diff IDs in the config",
            where=where,
            mend="Whoever made this image made it wrong; build or copy it again.",
        )
    require_parts(blobs, manifest)
    layers = zip(manifest.layers, config.diff_ids, strict=True)
    return Image(
        raw,
        tuple(Layer(_layer(descriptor, where), diff_id) for descriptor, diff_id in layers),
        manifest.annotations,
    )


def _layer(descriptor: Descriptor, where: str) -> Descriptor:
    media_type = standard(descriptor.media_type)
    if not is_layer(media_type):
        raise LayoutError(
            f"a layer of type {media_type[:100]!r} is not a layer of an image", where=where
        )
    return msgspec.structs.replace(descriptor, media_type=media_type)


def require_parts(blobs: Blobs, manifest: Manifest) -> None:
    """Raise NotFound or Damaged unless what the manifest names is there, in its size."""
    for part in (manifest.config, *manifest.layers):
        if not part.urls:  # what is only to be had elsewhere need not be here
            blobs.require(part)


def choose(
    blobs: Blobs, candidates: list[Descriptor], platform: Platform | None, tag: str
) -> Descriptor:
    """The manifest among and below `candidates` that suits `platform` (None: this host) best.

    A single image is what it is, whatever its platform. Raises NotFound if nothing suits.
    """
    if len(candidates) == 1 and standard(candidates[0].media_type) == MANIFEST:
        return candidates[0]
    leaves = [leaf for leaf in _manifests(blobs, candidates) if not _is_attestation(leaf)]
    if len(leaves) == 1 and platform is None:
        return leaves[0]
    wanted = platform or Platform.host()
    known = [(leaf, leaf.platform or _platform_of(blobs, leaf)) for leaf in leaves]
    suiting = [
        (distance, number)
        for number, (_, has) in enumerate(known)
        if has and (distance := has.distance_to(wanted)) is not None
    ]
    if not suiting:
        there = sorted({str(has) for _, has in known if has})
        raise NotFound(
            f"{tag} has no image for {wanted}",
            mend=f"It has: {', '.join(there)}." if there else "It has no image at all.",
        )
    return known[min(suiting)[1]][0]


def _manifests(blobs: Blobs, descriptors: list[Descriptor]) -> list[Descriptor]:
    """The manifests that are there below `descriptors`, none twice, in order.

    A nested index may name images that nobody copied along; those are passed over.
    """
    leaves: dict[Descriptor, None] = {}
    seen: set[Descriptor] = set()

    def walk(level: list[Descriptor], depth: int) -> None:
        for descriptor in level:
            kind = standard(descriptor.media_type)
            if kind == MANIFEST and (depth == 0 or blobs.has(descriptor.digest)):
                leaves.setdefault(descriptor)
            elif kind == INDEX and descriptor not in seen:
                if depth == _DEEPEST:
                    raise LayoutError(
                        f"more than {_DEEPEST} indexes lie in one another",
                        where=str(blobs.path(descriptor.digest)),
                    )
                seen.add(descriptor)
                if depth == 0 or blobs.has(descriptor.digest):
                    walk(list(read_nested(blobs, descriptor).manifests), depth + 1)

    walk(descriptors, 0)
    return list(leaves)


def _is_attestation(descriptor: Descriptor) -> bool:
    """Build tools keep notes about an image beside it, as images for no platform."""
    return "vnd.docker.reference.type" in descriptor.annotations or (
        descriptor.platform is not None and descriptor.platform.os == "unknown"
    )


def _platform_of(blobs: Blobs, descriptor: Descriptor) -> Platform | None:
    """What the image itself says; None: it is not an image."""
    manifest = read_manifest(blobs, descriptor)
    if standard(manifest.config.media_type) != CONFIG:
        return None
    where = str(blobs.path(manifest.config.digest))
    return parse_config(blobs.read(manifest.config), where=where).platform
