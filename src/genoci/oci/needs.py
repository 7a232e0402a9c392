"""Which stacks of layers a layout's images have: what is kept elsewhere for their sake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from genoci.errors import LayoutError
from genoci.oci.blobs import Blobs
from genoci.oci.cache import is_cache_entry, stack_of
from genoci.oci.digest import Digest, chain_id, chain_ids
from genoci.oci.documents import CONFIG, INDEX, MANIFEST, Descriptor, standard
from genoci.oci.index import IndexFile
from genoci.oci.layout import Layout
from genoci.oci.parse import parse_config
from genoci.oci.resolve import read_manifest, read_nested


class Needs(NamedTuple):
    """The chain IDs that images stand on or pass through, and their layers' diff IDs."""

    chains: frozenset[Digest]
    layers: frozenset[Digest]

    def also(self, other: Needs) -> Needs:
        return Needs(self.chains | other.chains, self.layers | other.layers)


def needs_of(layout: Layout, index: IndexFile, in_hand: Iterable[Descriptor] = ()) -> Needs:
    """Of all that is in the index: images, tagged or not, of every platform, and cache entries.

    And of the images that `in_hand` describes.

    What can't be read, or is no image, needs nothing: nobody can build on it.
    """
    chains: set[Digest] = set()
    layers: set[Digest] = set()
    documents = list(in_hand)
    for entry in index.entries:
        if is_cache_entry(entry):
            with contextlib.suppress(LayoutError):
                base, diff_id = stack_of(layout, entry)
                chains.update([base] if base else [])
                chains.update([chain_id(base, diff_id)] if diff_id else [])
                layers.update([diff_id] if diff_id else [])
        elif entry.descriptor is not None:
            documents.append(entry.descriptor)
    for diff_ids in _images(layout.blobs, documents):
        chains.update(chain_ids(diff_ids))
        layers.update(diff_ids)
    return Needs(frozenset(chains), frozenset(layers))


def _images(blobs: Blobs, descriptors: Iterable[Descriptor]) -> Iterator[tuple[Digest, ...]]:
    """The diff IDs of every image at or below the descriptors, each read once."""
    waiting = list(descriptors)
    seen: set[Digest] = set()
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        try:
            kind = standard(descriptor.media_type)
            if kind == INDEX:
                waiting += read_nested(blobs, descriptor).manifests
            elif kind == MANIFEST:
                config = read_manifest(blobs, descriptor).config
                if standard(config.media_type) == CONFIG and config.digest not in seen:
                    seen.add(config.digest)
                    where = str(blobs.path(config.digest))
                    yield parse_config(blobs.read(config), where=where).diff_ids
        except LayoutError:
            continue
