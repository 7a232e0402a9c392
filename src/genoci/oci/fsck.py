"""Reading every byte of a layout, to tell what is wrong with it; nothing is changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

import msgspec

from genoci.errors import Damaged, GenociError, LayoutError, StorageError
from genoci.oci.digest import Digest
from genoci.oci.documents import CONFIG, INDEX, MANIFEST, Descriptor, Manifest, is_layer, standard
from genoci.oci.index import Entry, IndexFile, read_index
from genoci.oci.layout import Layout
from genoci.oci.parse import parse_config
from genoci.oci.resolve import read_manifest, read_nested

UnpackedDigest = Callable[[BinaryIO, str], Digest]


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it should be: what, where, and what to do about it."""

    what: str
    where: str
    mend: str = ""


def check(layout: Layout, unpacked_digest: UnpackedDigest) -> list[Problem]:
    """Everything that is wrong; every blob is read once, whether something names it or not.

    `unpacked_digest(blob, media_type)` gives the digest of what a layer unpacks to, so that diff
    IDs are checked too; what it raises as GenociError is a problem. Holds the layout as a build
    does, if it can be written to.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(StorageError):
            stack.enter_context(layout.holding(shared=True))
        try:
            index = read_index(layout.index_path)
        except LayoutError as error:
            index = IndexFile({}, ())
            problems = [Problem(error.what, error.where, error.mend)]
        else:
            problems = list(_entry_problems(layout, index))
        walk = _Walk(layout)
        for entry in index.entries:
            if entry.descriptor:
                walk.document(entry.descriptor)
        walk.read_layers(unpacked_digest)
        walk.read_the_rest()
        return problems + walk.problems(index.entries)


def _entry_problems(layout: Layout, index: IndexFile) -> Iterable[Problem]:
    where = str(layout.index_path)
    seen: dict[tuple[str, object], Digest] = {}
    for entry in index.entries:
        if entry.descriptor is None:
            yield Problem(
                f"an entry is not a descriptor that genoci can follow: {bytes(entry.raw)[:200]!r}",
                where,
                "`genoci rm TAG` takes an entry away that has a tag.",
            )
            continue
        if entry.name is None:
            continue
        if not entry.name.isprintable():
            yield Problem(f"{entry.name[:200]!r} is no tag", where, "Whoever wrote it can undo it.")
        first = seen.setdefault((entry.name, entry.descriptor.platform), entry.descriptor.digest)
        if first != entry.descriptor.digest:
            yield Problem(
                f"the tag {entry.name!r} stands for two images",
                where,
                "Tag the right one again: `genoci tag` and a build replace both.",
            )


class _Walk:
    """What was found so far: the first failure of each blob, and who needs which blobs."""

    def __init__(self, layout: Layout) -> None:
        self._blobs = layout.blobs
        self._parts: dict[Digest, tuple[Descriptor, ...]] = {}
        self._failures: dict[Digest, GenociError] = {}
        self._whole: set[Digest] = set()
        self._layers: dict[Digest, tuple[Descriptor, set[Digest]]] = {}

    def document(self, root: Descriptor) -> None:
        """Check what `root` leads to, except the bytes of layers and of unknown things."""
        waiting = [root]
        while waiting:
            descriptor = waiting.pop()
            try:
                if not descriptor.urls:
                    self._blobs.require(descriptor)
                if descriptor.digest not in self._parts:
                    self._parts[descriptor.digest] = parts = self._read(descriptor)
                    waiting += parts
            except LayoutError as error:
                self._failures.setdefault(descriptor.digest, error)

    def _read(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        kind = standard(descriptor.media_type)
        if kind not in (MANIFEST, INDEX):
            return ()
        self._parts[descriptor.digest] = ()  # if it is unsound, it has no parts
        if kind == INDEX:
            parts = read_nested(self._blobs, descriptor).manifests
        else:
            manifest = read_manifest(self._blobs, descriptor)
            parts = (manifest.config, *manifest.layers)
            if standard(manifest.config.media_type) == CONFIG:
                self._note_layers(manifest, descriptor)
        self._whole.add(descriptor.digest)
        return parts

    def _note_layers(self, manifest: Manifest, descriptor: Descriptor) -> None:
        where = str(self._blobs.path(manifest.config.digest))
        try:
            config = parse_config(self._blobs.read(manifest.config), where=where)
        except LayoutError as error:
            self._failures.setdefault(manifest.config.digest, error)
            return
        if len(config.diff_ids) != len(manifest.layers):
            self._failures[descriptor.digest] = LayoutError(
                f"{len(manifest.layers)} layers, but {len(config.diff_ids)} diff IDs in the config",
                where=str(self._blobs.path(descriptor.digest)),
                mend="Whoever made this image made it wrong; build or copy it again.",
            )
            return
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
            if is_layer(standard(layer.media_type)):
                self._layers.setdefault(layer.digest, (layer, set()))[1].add(diff_id)

    def read_layers(self, unpacked_digest: UnpackedDigest) -> None:
        """Check the bytes of layers, and what they unpack to."""
        for digest, (layer, diff_ids) in self._layers.items():
            if digest in self._failures or not self._blobs.has(digest):
                continue
            try:
                unpacked = self._unpacked(layer, unpacked_digest)
            except GenociError as error:
                self._failures[digest] = error
                continue
            self._whole.add(digest)
            if diff_ids != {unpacked}:
                wrong = ", ".join(str(diff_id) for diff_id in sorted(diff_ids - {unpacked}))
                self._failures[digest] = Damaged(
                    f"the layer unpacks to {unpacked}, not to the diff ID {wrong}",
                    where=str(self._blobs.path(digest)),
                    mend="Whoever made this image made it wrong; build or copy it again.",
                )

    def _unpacked(self, layer: Descriptor, unpacked_digest: UnpackedDigest) -> Digest:
        with self._blobs.open(layer) as blob:
            try:
                return unpacked_digest(blob, standard(layer.media_type))
            except LayoutError:
                raise
            except GenociError:
                blob.verify()  # bytes that are not the blob's explain any other complaint
                raise

    def read_the_rest(self) -> None:
        """Check the bytes of all blobs that were not read yet."""
        for digest in self._blobs.digests():
            if digest in self._whole or digest in self._failures:
                continue
            try:
                size = self._blobs.size(digest) or 0
                with self._blobs.open(Descriptor("", digest, size)) as blob:
                    blob.verify()
            except LayoutError as error:
                self._failures[digest] = error

    def problems(self, entries: Iterable[Entry]) -> list[Problem]:
        """The failures as problems, each with the tags that it spoils."""
        spoilt: dict[Digest, list[str]] = {digest: [] for digest in self._failures}
        for entry in entries:
            if entry.descriptor:
                for digest in self._needs(entry.descriptor.digest) & spoilt.keys():
                    spoilt[digest].append(_shown(entry.name))
        return [
            Problem(f"{error.what} ({_needed_by(spoilt[digest])})", error.where, error.mend)
            for digest, error in sorted(self._failures.items())
        ]

    def _needs(self, root: Digest) -> set[Digest]:
        needs: set[Digest] = set()
        waiting = [root]
        while waiting:
            digest = waiting.pop()
            if digest not in needs:
                needs.add(digest)
                waiting += [part.digest for part in self._parts.get(digest, ())]
        return needs


def _shown(name: str | None) -> str:
    if not name:
        return "what has no tag"
    return name if name.isprintable() else repr(name[:200])


def _needed_by(names: list[str]) -> str:
    if not names:
        return "nothing needs it: `genoci gc` drops it"
    shown = ", ".join(sorted(names)[:5])
    return f"needed by {shown}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
