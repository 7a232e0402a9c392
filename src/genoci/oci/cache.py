"""Cache entries: what a key was built to, kept in the layout as artifacts without a tag.

An entry is a manifest (manifest.md, "Guidelines for Artifact Usage") in `index.json`. Its config
blob is what the key is the digest of, so that a miss can be explained; its layers are the layer
that was built, or none. Its descriptor carries the key, so that a look-up reads only the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from genoci.errors import LayoutError
from genoci.oci.digest import Digest
from genoci.oci.documents import MANIFEST, Descriptor
from genoci.oci.image import Layer
from genoci.oci.index import Entry, IndexFile
from genoci.oci.layout import Layout
from genoci.oci.parse import parse_mapping
from genoci.oci.resolve import read_manifest, require_parts

ARTIFACT = "application/vnd.genoci.cache.v1"
PREIMAGE = "application/vnd.genoci.cache.key.v1+json"
_KEY, _TARGET, _MADE = (f"vnd.genoci.cache.{name}" for name in ("key", "target", "made"))
_DIFF_ID, _NEWEST = (f"vnd.genoci.cache.{name}" for name in ("diff-id", "newest"))
_MOST_EXPLAINED = 20  # older entries of a target that are read to explain a miss


class Result(msgspec.Struct, frozen=True):
    """What was built: a layer and the newest time in it, in nanoseconds; or no change at all.

    `made` is when, in seconds since 1970.
    """

    layer: Layer | None
    newest: int | None
    made: int


class Cache:
    """The entries of an index as it was read, by key."""

    def __init__(self, layout: Layout, index: IndexFile) -> None:
        self._layout = layout
        self._entries = [entry for entry in index.entries if is_cache_entry(entry)]
        self._by_key = {_annotations(entry).get(_KEY): entry for entry in self._entries}

    def find(self, key: Digest) -> Result | None:
        """What the key was built to, its blobs there in the right size; None: it never was.

        Raises LayoutError for an entry that can't be used any more.
        """
        entry = self._by_key.get(str(key))
        if entry is None or entry.descriptor is None:
            return None
        manifest = read_manifest(self._layout.blobs, entry.descriptor)
        require_parts(self._layout.blobs, manifest)
        where = str(self._layout.blobs.path(entry.descriptor.digest))
        if manifest.config.digest != key:
            raise LayoutError("a cache entry is under the key of another", where=where)
        try:
            made = int(_annotations(entry).get(_MADE, "0"))
            if not manifest.layers:
                return Result(None, None, made)
            diff_id = Digest.parse(manifest.annotations[_DIFF_ID])
            newest = int(manifest.annotations[_NEWEST])
        except (KeyError, ValueError) as error:
            raise LayoutError("a cache entry is not what it should be", where=where) from error
        return Result(Layer(manifest.layers[0], diff_id), newest, made)

    def parts(self, key: Digest) -> tuple[Digest, ...]:
        """The blobs of the entry that `find` has found: its manifest, and what that names."""
        entry = self._by_key[str(key)]
        assert entry.descriptor is not None
        manifest = read_manifest(self._layout.blobs, entry.descriptor)
        named = (manifest.config, *manifest.layers)
        return (entry.descriptor.digest, *(it.digest for it in named))

    def preimages(self, target: str) -> Iterator[bytes]:
        """What the latest keys of a target of that name are the digests of, the newest first."""
        mine = [e for e in reversed(self._entries) if _annotations(e).get(_TARGET) == target]
        for entry in mine[:_MOST_EXPLAINED]:
            try:
                assert entry.descriptor is not None
                manifest = read_manifest(self._layout.blobs, entry.descriptor)
                yield self._layout.blobs.read(manifest.config)
            except LayoutError:  # it explains nothing; whoever needs it more will complain
                continue


def store(layout: Layout, preimage: bytes, target: str, result: Result) -> Descriptor:
    """Store an entry's blobs; it counts once its descriptor is in `index.json`."""
    config = layout.put_document(preimage, PREIMAGE)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": config.to_mapping(),
        "layers": [],
    }
    if result.layer is not None:
        manifest["layers"] = [result.layer.descriptor.to_mapping()]
        manifest["annotations"] = {
            _DIFF_ID: str(result.layer.diff_id),
            _NEWEST: str(result.newest or 0),
        }
    stored = layout.put_document(msgspec.json.encode(manifest), MANIFEST)
    annotations = {_KEY: str(config.digest), _MADE: str(result.made), _TARGET: target}
    return msgspec.structs.replace(stored, artifact_type=ARTIFACT, annotations=annotations)


def is_cache_entry(entry: Entry) -> bool:
    """Whether it is one, and one that can be followed."""
    return entry.artifact_type == ARTIFACT and entry.name is None and entry.descriptor is not None


def with_entries(index: IndexFile, added: Iterable[Descriptor]) -> IndexFile:
    """The index with these entries, each in the place of an older one with its key."""
    new = {descriptor.annotations[_KEY]: descriptor for descriptor in added}
    if not new:
        return index
    kept = [
        e for e in index.entries if not is_cache_entry(e) or _annotations(e).get(_KEY) not in new
    ]
    return index._replace(entries=tuple(kept)).with_untagged(new.values())


def layers_of(layout: Layout, entry: Entry) -> set[Digest] | None:
    """The layers that a cache entry leads to, one or none; None: it leads nowhere any more."""
    assert entry.descriptor is not None
    try:
        return {it.digest for it in read_manifest(layout.blobs, entry.descriptor).layers}
    except LayoutError:
        return None


def stack_of(layout: Layout, entry: Entry) -> tuple[Digest | None, Digest | None]:
    """What the target of an entry stood on, a chain ID, and the diff ID of its layer; None: empty.

    Raises LayoutError if the entry leads nowhere any more.
    """
    assert entry.descriptor is not None
    manifest = read_manifest(layout.blobs, entry.descriptor)
    where = str(layout.blobs.path(manifest.config.digest))
    base = parse_mapping(layout.blobs.read(manifest.config), where=where).get("base")
    try:
        diff_id = manifest.annotations.get(_DIFF_ID)
        return Digest.parse(base) if base else None, Digest.parse(diff_id) if diff_id else None
    except (AttributeError, TypeError, ValueError) as error:
        raise LayoutError("a cache entry is not what it should be", where=where) from error


def target_of(entry: Entry) -> str:
    """The target that an entry was made for."""
    return _annotations(entry).get(_TARGET, "")


def _annotations(entry: Entry) -> Mapping[str, str]:
    return entry.descriptor.annotations if entry.descriptor else {}
