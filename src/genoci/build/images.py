"""Images as trees, without unpacking them: listings, and contents read from the layers' blobs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from genoci.build.state import serve
from genoci.files import sweep
from genoci.layer import tar
from genoci.layer.entry import Kind
from genoci.layer.listing import LayerListing, Listed, Listing, load, read_listing, save
from genoci.layer.spool import Extent, Spool
from genoci.layer.stored import open_layer
from genoci.layer.tree import Node
from genoci.layer.write import Written
from genoci.oci.digest import Digest
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout


class Images:
    """The images of a layout as trees. A context manager: its end frees what was spooled.

    Listings are kept in the state by diff ID, and made again by one read of the blob. Contents
    are read by unpacking a layer once, into a file without a name, when the first is asked for.
    """

    def __init__(self, layout: Layout, state: Path) -> None:
        self._layout = layout
        self._state = state
        self._folder = state / "listings"
        self._folder.mkdir(parents=True, exist_ok=True)
        sweep(self._folder)
        serve(state, layout.path)
        self._layers: dict[Digest, Layer] = {}
        self._spooled: dict[Digest, dict[int, Extent]] = {}
        self._stack = ExitStack()
        self._spool: Spool | None = None

    def __enter__(self) -> Images:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tree(self, image: Image) -> ListedTree:
        listing = Listing.empty()
        for layer in image.layers:
            self._layers[layer.diff_id] = layer
            listing = listing.fold(self._listing(layer))
        return ListedTree(listing, self)

    def of_manifest(self, manifest: Digest) -> ListedTree:
        return self.tree(self._layout.image(manifest))

    def remember(self, written: Written) -> None:
        """Keep the listing of a layer that was just written."""
        save(self._folder, written.listing)

    def content(self, listed: Listed) -> Iterator[bytes]:
        """The content of a FILE, from the layer that has it."""
        assert listed.layer is not None
        if listed.layer not in self._spooled:
            self._spooled[listed.layer] = self._unpack(self._layers[listed.layer])
        assert self._spool is not None
        yield from self._spool.read(self._spooled[listed.layer][listed.number])

    def _listing(self, layer: Layer) -> LayerListing:
        found = load(self._folder, layer.diff_id)
        if found is None:
            with open_layer(self._layout, layer) as stream:
                found = read_listing(stream, layer.diff_id, name=str(layer.descriptor.digest))
            save(self._folder, found)
        return found

    def _unpack(self, layer: Layer) -> dict[int, Extent]:
        if self._spool is None:
            self._spool = self._stack.enter_context(Spool(self._state))
        extents: dict[int, Extent] = {}
        name = str(layer.descriptor.digest)
        with open_layer(self._layout, layer) as stream:
            for number, member in enumerate(tar.read(stream, name=name, verified=True)):
                if member.entry.kind is Kind.FILE:
                    extents[number] = self._spool.put(member.runs(), member.entry.size)
        return extents


class ListedTree:
    """A Listing as a Tree."""

    def __init__(self, listing: Listing, images: Images) -> None:
        self._listing = listing
        self._images = images
        self._shared: dict[Hashable, list[bytes]] | None = None

    def node(self, path: bytes) -> Node | None:
        listed = self._listing.get(path)
        if listed is None:
            return None
        inode = (listed.layer, listed.number)
        names = self.groups().get(inode, ())
        return Node(listed.entry, inode if len(names) > 1 else None, max(1, len(names)))

    def place(self, path: bytes) -> tuple[Digest | None, int] | None:
        """Which layer brought it, as which of its entries: equal places have equal content."""
        listed = self._listing.get(path)
        return None if listed is None else (listed.layer, listed.number)

    def names(self, path: bytes) -> list[bytes]:
        return self._listing.names(path)

    def content(self, path: bytes) -> Iterator[bytes]:
        listed = self._listing.get(path)
        assert listed is not None
        return self._images.content(listed)

    def groups(self) -> Mapping[Hashable, list[bytes]]:
        if self._shared is None:
            found: dict[Hashable, list[bytes]] = {}
            for path in self._listing.paths():
                listed = self._listing.get(path)
                if listed is not None and listed.number >= 0:
                    found.setdefault((listed.layer, listed.number), []).append(path)
            self._shared = {key: paths for key, paths in found.items() if len(paths) > 1}
        return self._shared
