"""`checkout` and `abort`: a root to change, and the end of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from genoci.build import steps
from genoci.build.calling import OnEvent, call
from genoci.build.rooted import enter
from genoci.build.state import serve
from genoci.errors import BuildError, GenociError, StorageError, UsageError
from genoci.lpack import record
from genoci.lpack.record import MOUNTED, NAME, Checkout
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.oci.reference import EMPTY
from genoci.snapshot import shown
from genoci.snapshot.driver import Driver
from genoci.snapshot.probe import pick
from genoci.snapshot.unpack import ensure


class Shown(NamedTuple):
    """Where the checkout is, and whether programs outside of `chroot` and `unshare` see it."""

    path: Path
    for_everybody: bool


def checkout(layout: Path, state: Path, tag: str, driver: Driver, on_event: OnEvent) -> Shown:
    """Give out the root filesystem of `tag`. Raises BuildError if one is out already."""
    state = state.absolute()
    with record.alone(state):
        out = record.current(state)
        if out is not None:
            raise BuildError(
                f"{out.tag} is checked out already",
                where=out.mounted,
                mend="lpack checkin makes a layer of it, lpack abort throws it away.",
            )
        manifest = None if tag == EMPTY else Layout.at(layout).resolve_descriptor(tag)
        base = Layout.at(layout).image(manifest.digest) if manifest else None
        wanted = Checkout(
            tag=tag,
            layout=str(layout.absolute()),
            manifest=str(manifest.digest) if manifest else None,
            media_type=manifest.media_type if manifest else "",
            size=manifest.size if manifest else 0,
            driver=driver,
            idmap="",
            mounted=str(_mounted(state, driver)),
        )
        call(
            lambda send: _prepare(wanted, base, state, steps.warner("", send)), type(None), on_event
        )
        return show(record.required(state), state)


def show(out: Checkout, state: Path) -> Shown:
    """Have the checkout seen: mounted, if it is to be and is not any more, and linked to."""
    store = out.store(state)
    for_everybody = False
    with contextlib.suppress(GenociError):  # a process is in it, or what it stands on is to be made
        for_everybody = shown.show(store, NAME)
    place = shown.place_of(store, NAME)
    if place is not None:
        record.link(out, state, place)
    return Shown(Path(out.mounted), for_everybody)


def abort(state: Path, driver: Callable[[], Driver], *, force: bool, on_event: OnEvent) -> str:
    """Throw the checkout away; its tag, "" if nothing was out.

    Raises StorageError if a program is in it, unless `force`. With that, a checkout that can't be
    reached is given up: its files stay where they are. Without a record, `driver`'s is meant.
    """
    state = state.absolute()
    if not state.exists():
        return ""
    with record.alone(state):
        try:
            out = record.recorded(state)
            store = out.store(state) if out else None
        except GenociError:
            if not force:
                raise
            record.end(state, None)
            return ""
        if store is not None:
            shown.hide(store, NAME, force=force)
        elif not force:
            return ""
        kind = out.driver if out else driver()
        call(lambda send: _forget(kind, state, steps.warner("", send)), type(None), on_event)
        record.end(state, out)
        return out.tag if out else ""


def _mounted(state: Path, driver: Driver) -> Path:
    """Where the checkout is to be seen; raises UsageError if there is something else."""
    place = Path(driver.places[0]) if driver.places else state
    mounted = place / MOUNTED
    if mounted.exists() or (os.path.lexists(mounted) and not mounted.is_symlink()):
        raise UsageError(
            f"{mounted} is there already, and no checkout of this state",
            mend="If it is another state's (--state), end that checkout first; or move it away.",
        )
    return mounted


def _prepare(wanted: Checkout, base: Image | None, state: Path, warn: steps.Warn) -> None:
    """Keep a root that stands on `base`; recorded first, so that it never is without a record."""
    idmap = enter((state, *wanted.driver.places), warn)
    snapshots = pick(wanted.driver, state, idmap.key, warn=warn)
    if snapshots.kept(NAME) is not None:
        raise StorageError(
            "there is a checkout that this state does not know",
            where=str(snapshots.folder),
            mend="It is another state's (--state); lpack abort -f destroys it.",
        )
    snapshots.sweep()
    serve(state, Path(wanted.layout), wanted.driver)
    chain = None
    if base is not None:
        chain = ensure(base, snapshots, Layout.at(Path(wanted.layout)), warn=warn)
    with snapshots.prepare(chain) as active:
        driver = wanted.driver
        if driver.name != "btrfs":
            driver = Driver(snapshots.folder.parent.name)
        record.record(state, msgspec.structs.replace(wanted, driver=driver, idmap=idmap.key))
        active.keep(NAME)


def _forget(driver: Driver, state: Path, warn: steps.Warn) -> None:
    idmap = enter((state, *driver.places), warn)
    pick(driver, state, idmap.key, warn=warn).forget(NAME)
