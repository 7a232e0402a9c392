"""The state's one checkout: which image is out, where it is, and how far its check-in has come.

`checkout.json` in the state is written before there is a root, and removed after there is none.
So whoever was killed in between has left a record that tells what to do: see `current`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from genoci import files
from genoci.build import state as states
from genoci.errors import BuildError, MachineError, StorageError
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.sandbox import userns
from genoci.snapshot.driver import Driver
from genoci.snapshot.probe import store_of
from genoci.snapshot.store import Store

NAME = "checkout"  # under which the root is kept
MOUNTED = "mounted"  # under which it is seen
_RECORD, _LOCK = "checkout.json", "checkout.lock"


class Landed(msgspec.Struct, frozen=True):
    """What a check-in has tagged, before it freezes the root: an image and its chain ID."""

    tag: str
    manifest: str
    media_type: str
    size: int
    chain: str


class Checkout(msgspec.Struct, frozen=True):
    """`tag` of the layout at `layout` is out; it stood for `manifest` (a digest; None: `empty`).

    `media_type` and `size` are that manifest's.
    `mounted` is a link to where its root is seen. The root is kept in the snapshots of `driver`
    for the id map of the key `idmap`.
    """

    tag: str
    layout: str
    manifest: str | None
    driver: Driver
    idmap: str
    mounted: str
    media_type: str = ""
    size: int = 0
    landed: Landed | None = None

    @property
    def base(self) -> Digest | None:
        return Digest.parse(self.manifest) if self.manifest else None

    @property
    def descriptor(self) -> Descriptor | None:
        if self.base is None:
            return None
        return Descriptor(media_type=self.media_type, digest=self.base, size=self.size)

    def store(self, state: Path) -> Store:
        """Raises MachineError if it can't be reached from here, now."""
        if self.driver.places and not self.driver.folder(state).is_dir():
            raise MachineError(
                f"the checkout of {self.tag} is on a btrfs that is not mounted",
                where=str(self.driver.btrfs),
                mend="Mount it again: lpack setup; or give the checkout up: lpack abort -f",
            )
        if userns.plan().key != self.idmap:
            raise MachineError(
                f"{self.tag} was checked out by another user, or with other subordinate ids",
                mend="Be that user, or restore the lines in /etc/subuid and /etc/subgid; "
                "lpack abort -f gives the checkout up.",
            )
        return store_of(self.driver, state, self.idmap)


@contextlib.contextmanager
def alone(state: Path) -> Iterator[None]:
    """The state in use, and nobody else starts, changes or ends a checkout in it."""
    with states.using(state), files.lock(state / _LOCK):
        yield


def recorded(state: Path) -> Checkout | None:
    """The record as it stands. Raises StorageError if it is none."""
    path = state / _RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Checkout)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"this does not tell what is checked out: {error}",
            where=str(path),
            mend="lpack abort -f gives the checkout up.",
        ) from error


def record(state: Path, checkout: Checkout) -> None:
    files.write(state / _RECORD, msgspec.json.encode(checkout))


def end(state: Path, checkout: Checkout | None) -> None:
    """Nothing is out any more: its root is gone, and so are the link to it and the record."""
    if checkout is not None:
        unlink(Path(checkout.mounted))
    (state / _RECORD).unlink(missing_ok=True)


def drop_below(state: Path, place: Path) -> None:
    """Forget a checkout that lay below `place`, and went with it."""
    with contextlib.suppress(StorageError):
        checkout = recorded(state)
        if checkout is not None and Path(checkout.mounted).is_relative_to(place):
            end(state, checkout)


def link(checkout: Checkout, state: Path, place: Path) -> None:
    """Have `mounted` lead to where the root is seen, however the state is reached."""
    mounted = Path(checkout.mounted)
    target = os.path.relpath(place, mounted.parent)
    if mounted.is_symlink() and os.readlink(mounted) == target:
        return
    unlink(mounted)
    mounted.symlink_to(target)


def unlink(mounted: Path) -> None:
    if mounted.is_symlink():
        mounted.unlink()


def current(state: Path) -> Checkout | None:
    """What is out; what a killed command has left half-done is finished first.

    For whoever is alone. The root decides: with none, the checkout was never given to anybody, or
    has been checked in; with one that stands on the image that was tagged, it goes on from there.
    """
    checkout = recorded(state)
    if checkout is None:
        return None
    kept = checkout.store(state).kept_tree(NAME)
    if kept is None:
        end(state, checkout)
        return None
    landed = checkout.landed
    if landed is not None and (kept / "parent").read_text() == landed.chain:
        checkout = msgspec.structs.replace(
            checkout,
            tag=landed.tag,
            manifest=landed.manifest,
            media_type=landed.media_type,
            size=landed.size,
            landed=None,
        )
        record(state, checkout)
    return checkout


def required(state: Path) -> Checkout:
    """As `current`; raises BuildError if nothing is out."""
    checkout = current(state) if state.exists() else None
    if checkout is None:
        raise BuildError("nothing is checked out", mend="lpack checkout TAG; the tags: lpack ls")
    return checkout
