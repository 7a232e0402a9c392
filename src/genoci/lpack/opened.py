"""The checkout's root, opened by a worker; what it stands on is made again if need be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from genoci.build.rooted import enter
from genoci.build.steps import Warn
from genoci.errors import GenociError, StorageError
from genoci.lpack.record import NAME, Checkout
from genoci.oci.documents import Platform
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.snapshot.driver import Active, Snapshotter
from genoci.snapshot.root import Snapshots
from genoci.snapshot.unpack import ensure


def base_of(checkout: Checkout) -> Image:
    """The image that is out; raises LayoutError if the layout has it no more."""
    if checkout.base is None:
        return Image.empty(Platform.host())
    return Layout.at(Path(checkout.layout)).image(checkout.base)


@contextlib.contextmanager
def opened(
    checkout: Checkout, state: Path, *more: Path, warn: Warn
) -> Iterator[tuple[Snapshots, Active]]:
    """Become root of a namespace in which the state and `more` can be written; the root in it."""
    enter((state, *checkout.driver.places, *more), warn)
    snapshots = Snapshots(checkout.store(state))
    with active_root(checkout, snapshots, warn=warn) as active:
        yield snapshots, active


@contextlib.contextmanager
def active_root(checkout: Checkout, snapshots: Snapshotter, *, warn: Warn) -> Iterator[Active]:
    """The root, where mounting is allowed already."""
    kept = snapshots.kept(NAME)
    if kept is None:  # after a restart of the machine, what it stands on may be gone
        _make_parent_again(checkout, snapshots, warn)
        kept = snapshots.kept(NAME)
    if kept is None:
        raise StorageError("the checkout has gone", mend="lpack abort -f; lpack checkout TAG")
    with kept as active:
        yield active


def _make_parent_again(checkout: Checkout, snapshots: Snapshotter, warn: Warn) -> None:
    try:
        ensure(base_of(checkout), snapshots, Layout.at(Path(checkout.layout)), warn=warn)
    except GenociError as error:
        error.mend = (
            f"{error.mend}\nWhat was checked out ({checkout.tag}) has to be there to compare with. "
            "What you changed is not lost; lpack abort -f gives it up."
        ).strip()
        raise
