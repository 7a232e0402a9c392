"""An OCI layout on disk (image-layout.md): a store of blobs, and tags that name them.

It is valid for every other tool at every moment: a blob is there before anything names it, and
`index.json` changes as a whole. `docs/layout.md` tells what stands in it besides.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path

import msgspec

from genoci import files
from genoci.errors import LayoutError, NotFound
from genoci.oci import locks
from genoci.oci.blobs import Blob, Blobs, storing
from genoci.oci.create import check, create
from genoci.oci.digest import Digest
from genoci.oci.documents import CONFIG, DOCUMENT_LIMIT, MANIFEST, Descriptor, Platform, standard
from genoci.oci.image import Image
from genoci.oci.index import IndexFile, read_index
from genoci.oci.reference import check_tag, next_version
from genoci.oci.resolve import choose, read_image, read_manifest, require_parts


class Layout:
    """A layout that exists. Reading takes no lock and writes nothing: a read-only one will do."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.blobs = Blobs(self.path)
        self.index_path = self.path / "index.json"

    @classmethod
    def at(cls, path: Path) -> Layout:
        """The layout at `path`; raises NotFound if there is none, LayoutError if it is unsound."""
        check(path)
        return cls(path)

    @classmethod
    def create_or_open(cls, path: Path) -> Layout:
        """The layout at `path`, made if nothing is there, completed if its maker was killed.

        What killed writers left in it is removed.
        Safe for any number of processes at once. Raises LayoutError for a folder that is something
        else, StorageError if it can't be made.
        """
        layout = cls(path)
        try:
            check(path)
        except LayoutError:
            create(layout.path, lock=layout.path / locks.INDEX)
        files.sweep(layout.path)
        return layout

    # Blobs.

    def has(self, digest: Digest) -> bool:
        """Whether a blob of that name is there; whether its bytes are right, reading tells."""
        return self.blobs.has(digest)

    def open(self, blob: Descriptor) -> AbstractContextManager[Blob]:
        """A blob, verified by the time that it was read to its end; see Blobs.open."""
        return self.blobs.open(blob)

    def put(self, chunks: Iterable[bytes], media_type: str) -> Descriptor:
        """Store a blob; see Blobs.put."""
        return self.blobs.put(chunks, media_type)

    # Images.

    def resolve(self, tag: str, platform: Platform | None = None) -> Image:
        """The image that `tag` names; of several, the one for `platform` (None: this host).

        Its documents are verified, its layers are there in the right size; their bytes are
        verified when they are read. Raises NotFound with near misses, LayoutError, Damaged.
        """
        return read_image(self.blobs, self.resolve_descriptor(tag, platform))

    def resolve_descriptor(self, tag: str, platform: Platform | None = None) -> Descriptor:
        """The descriptor of the manifest that `resolve` would read."""
        index = read_index(self.index_path)
        entries = index.named(tag)
        if not entries:
            raise self._no_such_tag(tag, index)
        sound = [entry.descriptor for entry in entries if entry.descriptor]
        if len(sound) < len(entries):
            raise LayoutError(
                f"the entry of the tag {tag!r} is not a descriptor that genoci can follow",
                where=str(self.index_path),
                mend=f"Build or copy it again; `genoci rm {tag}` takes the entry away.",
            )
        return choose(self.blobs, sound, platform, tag)

    def image(self, manifest: Digest) -> Image:
        """The image whose manifest has that digest, tagged or not."""
        size = self.blobs.size(manifest)
        return read_image(self.blobs, Descriptor(MANIFEST, manifest, size or 0))

    def write_image(self, image: Image) -> Descriptor:
        """Store the config and the manifest of an image whose layers are stored; tags nothing.

        The same image gives the same bytes. Raises NotFound or Damaged if a layer is not there.
        """
        config = self.put_document(image.config_raw, CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.to_mapping(),
            "layers": [layer.descriptor.to_mapping() for layer in image.layers],
        }
        if image.annotations:
            manifest["annotations"] = dict(sorted(image.annotations.items()))
        descriptor = self.put_document(msgspec.json.encode(manifest), MANIFEST)
        self.require(descriptor)
        return descriptor

    def put_document(self, raw: bytes, media_type: str) -> Descriptor:
        """As `put`, for what every reader has to hold in memory; one that is there costs a read.

        Raises LayoutError for more than DOCUMENT_LIMIT.
        """
        if len(raw) > DOCUMENT_LIMIT:
            raise LayoutError(
                f"a document of {len(raw)} bytes is larger than any reader accepts",
                where=str(self.path),
                mend="Give the image fewer or shorter labels, annotations and variables.",
            )
        descriptor = Descriptor(media_type, Digest("sha256", sha256(raw).hexdigest()), len(raw))
        with contextlib.suppress(LayoutError):
            if self.blobs.read(descriptor) == raw:
                return descriptor
        return self.put([raw], media_type)

    # Tags.

    def tags(self) -> dict[str, Descriptor]:
        """What each tag stands for: a manifest or a nested index, whoever wrote it."""
        return read_index(self.index_path).tags()

    def tag(self, tags: Mapping[str, Descriptor]) -> None:
        """Let each name stand for its descriptor, moved if it exists: all in one write.

        Raises UsageError for a bad name; NotFound or Damaged, and tags nothing, if what is to be
        tagged is not there in the right size.
        """
        for name in tags:
            check_tag(name)
        with self.editing_index() as index:
            for descriptor in tags.values():
                self.require(descriptor)
            self.write_index(index.with_tags(tags))

    def tag_version(self, date: str, manifest: Descriptor) -> str:
        """Tag as DATE_vN, N being one more than the highest of that day; the name."""
        with self.editing_index() as index:
            self.require(manifest)
            name = next_version(date, index.names())
            self.write_index(index.with_tags({name: manifest}))
        return name

    def untag(self, names: Collection[str]) -> None:
        """Forget tags, all in one write or none: raises NotFound for one that is not there.

        The blobs stay until `gc`.
        """
        with self.editing_index() as index:
            for name in names:
                if not index.named(name):
                    raise self._no_such_tag(name, index)
            self.write_index(index.without(names))

    # Locks.

    @contextlib.contextmanager
    def holding(self, *, shared: bool) -> Iterator[int]:
        """Hold the layout: builds shared, so that `gc` (exclusive) takes no blob not yet tagged.

        A shared holder waits for `gc`; an exclusive one does not wait but raises LayoutError. The
        descriptor of the lock is yielded: a child process that outlives its parent closes it.
        """
        lock = files.lock(self.path / locks.BUSY, shared=shared, wait=shared)
        with contextlib.ExitStack() as stack:
            with storing(self.path), self._refused_if_busy():
                fd = stack.enter_context(lock)
            yield fd

    @contextlib.contextmanager
    def editing_index(self) -> Iterator[IndexFile]:
        """`index.json` as it is, and nobody else may change it until the block ends."""
        with contextlib.ExitStack() as stack:
            with storing(self.path):
                stack.enter_context(files.lock(self.path / locks.INDEX))
            yield read_index(self.index_path)

    def write_index(self, index: IndexFile) -> None:
        """Replace `index.json`, atomically and durably; only within `editing_index`."""
        with storing(self.index_path):
            files.write(self.index_path, index.encoded())

    @contextlib.contextmanager
    def _refused_if_busy(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError as error:
            raise LayoutError(
                "the layout is in use by a build",
                where=str(self.path),
                mend="Try again when that has ended.",
            ) from error

    def require(self, descriptor: Descriptor) -> None:
        """Raise NotFound or Damaged unless it, and what it names, are there in the right size.

        Blobs may have been taken away since they were stored, by another tool's collector.
        """
        self.blobs.require(descriptor)
        if standard(descriptor.media_type) == MANIFEST:
            require_parts(self.blobs, read_manifest(self.blobs, descriptor))

    def _no_such_tag(self, tag: str, index: IndexFile) -> NotFound:
        import difflib  # only where there is something to suggest

        near = difflib.get_close_matches(tag, index.tags(), n=3)
        return NotFound(
            f"there is no tag {tag!r}",
            where=str(self.path),
            mend=f"Did you mean {' or '.join(near)}?" if near else "`genoci ls` lists the tags.",
        )
