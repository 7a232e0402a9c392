"""`ls` and `unpack`: the layout's tags, and their layers as snapshots."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from genoci.build import steps
from genoci.build.calling import OnEvent, call
from genoci.build.fork import Send
from genoci.build.rooted import enter
from genoci.build.state import serve, using
from genoci.errors import GenociError
from genoci.lpack import record
from genoci.oci.digest import Digest, chain_ids
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.sandbox import userns
from genoci.snapshot.driver import Driver
from genoci.snapshot.probe import pick, store_of
from genoci.snapshot.store import Store
from genoci.snapshot.unpack import ensure


class Listed(msgspec.Struct, frozen=True):
    """A tag, how many layers its image has, and how many are unpacked; None: it can't be read."""

    tag: str
    digest: str
    layers: int | None
    unpacked: int | None
    checked_out: bool


class Unpacked(msgspec.Struct, frozen=True):
    """What `unpack` has done for a tag: `expanded` of its `layers` were not there before."""

    tag: str
    layers: int
    expanded: int


def listed(layout: Path, state: Path, driver: Driver) -> list[Listed]:
    """Every tag, in order; nothing is unpacked, entered or mounted for it."""
    here = Layout.at(layout)
    stores = _stores(state.absolute(), driver)
    out = record.recorded(state) if state.exists() else None
    mine = out is not None and out.layout == str(here.path)
    found = []
    for tag, descriptor in sorted(here.tags().items()):
        chain = _chain(here, tag)
        unpacked = None
        if chain is not None:
            unpacked = max((_count(store, chain) for store in stores), default=0)
        found.append(
            Listed(
                tag=tag,
                digest=str(descriptor.digest),
                layers=None if chain is None else len(chain),
                unpacked=unpacked,
                checked_out=mine and out is not None and out.tag == tag,
            )
        )
    return found


def unpack(layout: Path, state: Path, driver: Driver, on_event: OnEvent) -> list[Unpacked]:
    """Expand what is not expanded yet of the images that the tags stand for, here, and no more.

    A tag without an image for this machine is told as a warning.
    """
    here, state = Layout.at(layout), state.absolute()

    def work(send: Send) -> list[Unpacked]:
        warn = steps.warner("", send)
        images = list(_images(here, warn))
        idmap = enter((state, *driver.places), warn)
        snapshots = pick(driver, state, idmap.key, warn=warn)
        snapshots.sweep()
        serve(state, here.path, driver)
        done = []
        for tag, image in images:
            chain = chain_ids(image.diff_ids)
            missing = sum(not snapshots.exists(one) for one in chain)
            ensure(image, snapshots, here, warn=warn)
            done.append(Unpacked(tag, len(chain), missing))
        return done

    with using(state), here.holding(shared=True):
        return call(work, list[Unpacked], on_event)


def _images(layout: Layout, warn: steps.Warn) -> list[tuple[str, Image]]:
    found = []
    for tag in sorted(layout.tags()):
        try:
            found.append((tag, layout.resolve(tag)))
        except GenociError as error:
            warn(f"{tag} is left out: {error.what}")
    return found


def _stores(state: Path, driver: Driver) -> list[Store]:
    """Where snapshots may be, of those drivers that `auto` may pick; only what exists."""
    drivers = [Driver("overlay"), Driver("copy")] if driver.name == "auto" else [driver]
    idmap = userns.plan().key
    folders = [one.folder(state) / idmap for one in drivers]
    return [
        store_of(one, state, idmap)
        for one, folder in zip(drivers, folders, strict=True)
        if os.path.isdir(folder)
    ]


def _chain(layout: Layout, tag: str) -> tuple[Digest, ...] | None:
    try:
        return tuple(chain_ids(layout.resolve(tag).diff_ids))
    except GenociError:
        return None


def _count(store: Store, chain: tuple[Digest, ...]) -> int:
    return sum(store.exists(one) for one in chain)
