"""`gc`: what nothing needs goes, in a layout and in the state that serves it."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from genoci.build.calling import OnEvent, Refused, call
from genoci.build.fork import Send
from genoci.build.rooted import enter
from genoci.build.state import deleting, folders, served
from genoci.build.unneeded import Rules, Search, Thing, Thinned
from genoci.errors import GenociError, Interrupted, MachineError, StorageError
from genoci.oci.documents import Descriptor
from genoci.oci.gc import Report, collect_held
from genoci.oci.index import read_index
from genoci.oci.layout import Layout
from genoci.oci.needs import Needs, needs_of
from genoci.sandbox import landlock
from genoci.snapshot.driver import AUTO, Driver

UNUSED_DAYS = 14
_DAY = 24 * 3600


class Limits(msgspec.Struct, frozen=True):
    """What may go: dated tags as `genoci.oci.gc.outdated` has it, and of the state what nobody
    has used for so many days, where nobody can be asked whether he needs it.
    """

    keep: int | None = None
    keep_days: int | None = None
    unused_days: int = UNUSED_DAYS


class Collected(msgspec.Struct, frozen=True):
    """What was dropped, or would be, of the layout and of the state.

    `left` tells what was left in the state, and why. `spared` snapshots stay for some days more,
    since nobody knows whether the layouts `absent`, which are not there, need them.
    """

    layout: Report
    dropped: tuple[Thing, ...] = ()
    left: tuple[str, ...] = ()
    spared: int = 0
    absent: tuple[str, ...] = ()


def collect(
    layout: Layout,
    state: Path,
    limits: Limits,
    on_event: OnEvent,
    *,
    driver: Driver = AUTO,
    in_hand: Collection[Descriptor] = (),
    dry_run: bool = False,
) -> Collected:
    """Drop what nothing needs, first of the layout, then of the state.

    Of the layout as `genoci.oci.gc.collect` does it, with its errors. The state is left alone
    where a build or a shell uses it, or it may not be written to: that is told and no error.
    Snapshots and listings stay that an image needs of this layout or of any other that the state
    has served. What `in_hand` describes of the layout stays, tagged or not. If it is killed, layout
    and state are whole, and the next one goes on.
    """
    with layout.holding(shared=False):
        report, index = collect_held(
            layout,
            keep=limits.keep,
            keep_days=limits.keep_days,
            today=datetime.date.today(),
            dry_run=dry_run,
            in_hand=in_hand,
        )
        try:
            if not state.exists():
                return Collected(report)
            state, driver = state.resolve(), _resolved(driver)
            with _alone(state, dry_run=dry_run):
                needs = needs_of(layout, index, in_hand)
                asked = _ask(layout, needs, folders(state, driver), _days_ago(limits.unused_days))
                found = _thin(state, asked.rules, driver, on_event, dry_run=dry_run)
        except Interrupted:
            raise
        except (GenociError, OSError) as error:
            return Collected(report, left=(_told(error, state),))
    absent = tuple(map(str, asked.absent)) if found.spared else ()
    return Collected(report, found.dropped, found.left, found.spared, absent)


@contextlib.contextmanager
def _alone(state: Path, *, dry_run: bool) -> Iterator[None]:
    """Nobody else uses the state, and it may be changed if it is to be."""
    if not state.is_dir():
        raise StorageError("it is no directory")
    if not dry_run and not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise StorageError("it may not be written to")
    with deleting(state):
        yield


class _Asked(NamedTuple):
    """What all layouts need that could be asked; and those that could not, and still count."""

    rules: Rules
    absent: tuple[Path, ...]


def _ask(layout: Layout, needs: Needs, folders: Iterable[Path], before: float) -> _Asked:
    """Ask every layout that the folders have served what it needs; `needs` are `layout`'s.

    One that can't be asked, and was served at the time `before` or later, is absent; an older one
    is gone.
    """
    absent: dict[Path, None] = {}
    gone: set[Path] = set()
    asked = {layout.path.resolve()}
    for folder in folders:
        for one in served(folder):
            if one.layout in asked:
                continue
            try:
                other = Layout.at(one.layout)
                needs = needs.also(needs_of(other, read_index(other.index_path)))
                asked.add(one.layout)
            except (GenociError, OSError, ValueError):
                if one.used >= before:
                    absent[one.layout] = None
                else:
                    gone.add(one.record)
    rules = Rules(
        chains=frozenset(chain.hex for chain in needs.chains),
        layers=frozenset(layer.hex for layer in needs.layers),
        doubtful=before if absent else math.inf,
        unused=before,
        gone=frozenset(gone),
    )
    return _Asked(rules, tuple(absent))


def _thin(
    state: Path, rules: Rules, driver: Driver, on_event: OnEvent, *, dry_run: bool
) -> Thinned:
    def everything(_send: Send) -> Thinned:
        idmap = enter(() if dry_run else (state, *driver.places), lambda what, mend="": None)
        with Search(state, rules) as search:
            search.files()
            search.trees(driver, idmap)
            return search.end(dry_run=dry_run)

    def files_alone(_send: Send) -> Thinned:
        landlock.restrict_writes(() if dry_run else (state,))
        with Search(state, rules) as search:
            search.files()
            return search.end(dry_run=dry_run)

    try:
        return call(everything, Thinned, on_event)
    except Refused as refused:
        if refused.failure.kind != MachineError.__name__:
            raise
        found = call(files_alone, Thinned, on_event)
        left = f"the snapshots and the caches of package managers: {_told(refused, state)}"
        return msgspec.structs.replace(found, left=(*found.left, left))


def _resolved(driver: Driver) -> Driver:
    """With its place as it is called without links: nothing is looked at through one."""
    places = [str(place.resolve()) for place in driver.places]
    return Driver(driver.name, *places)


def _days_ago(days: int) -> float:
    return time.time() - days * _DAY


def _told(error: GenociError | OSError, state: Path) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or state}: {error.strerror}"
    return " ".join(filter(None, (f"{error.where or state}: {error.what}.", error.mend)))
