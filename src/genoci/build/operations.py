"""What else is done with images: each in a worker of its own, confined before it reads.

What only one of them needs it imports itself: the whole of it takes longer than a small image.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from genoci.build import steps
from genoci.build.calling import OnEvent, call
from genoci.build.fork import Send
from genoci.build.state import deleting, using
from genoci.errors import MachineError
from genoci.layer.compress import open_reader
from genoci.layer.remove import remove_below
from genoci.oci.digest import Digest
from genoci.oci.documents import Platform
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.sandbox import landlock
from genoci.snapshot.driver import AUTO, Driver

if TYPE_CHECKING:
    from genoci.build.difference import TreeDiff as TreeDiff
    from genoci.build.images import Images
    from genoci.oci.fsck import Problem


def unpack_image(layout: Layout, tag: str, directory: Path, on_event: OnEvent) -> None:
    """The root filesystem of `tag` in `directory`, new or empty; on failure that is as it was."""
    from genoci.build import unpack

    image = _image(layout, tag)
    unpack.check_target(directory)
    made = not directory.exists()
    if made:
        unpack.make(directory)
    try:
        call(
            lambda send: unpack.unpack_image(layout, image, directory, steps.warner("", send)),
            type(None),
            on_event,
        )
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def export_image(layout: Layout, state: Path, tag: str, path: Path, on_event: OnEvent) -> None:
    """The root filesystem of `tag` as a tarball; `path` appears when it is whole."""
    from genoci.build import export

    image = _image(layout, tag)
    compression = export.compression_for(path)
    export.check_target(path)

    def work(_send: Send) -> None:
        with _reading(layout, state, path.absolute().parent) as images:
            export.export_tree(images.tree(image), path, compression)

    call(work, type(None), on_event)


def diff(layout: Layout, state: Path, before: str, after: str, on_event: OnEvent) -> TreeDiff:
    """What differs between two tags; `empty` is one of them, if you like."""
    from genoci.build.difference import TreeDiff, difference

    old, new = _image(layout, before), _image(layout, after)

    def work(_send: Send) -> TreeDiff:
        with _reading(layout, state) as images:
            return difference(old, new, images.tree(old), images.tree(new))

    return call(work, TreeDiff, on_event)


def fsck(layout: Layout, on_event: OnEvent) -> list[Problem]:
    """Everything that is wrong with the layout, every byte of it read."""
    from genoci.oci.fsck import Problem, check

    def work(_send: Send) -> list[Problem]:
        landlock.restrict_writes(())
        return check(layout, _unpacked_digest)

    return call(work, list[Problem], on_event)


def shell(
    layout: Layout, state: Path, tag: str, argv: tuple[str, ...], driver: Driver, on_event: OnEvent
) -> int:
    """A shell, or a command, in a copy of the image that is thrown away; its exit status."""
    from genoci.build.shell import look_around

    image = _image(layout, tag)

    def work(send: Send) -> int:
        with using(state):
            return look_around(layout, state, image, argv, driver, steps.warner("", send))

    return call(work, int, on_event, terminal=True)


def shell_failed(
    state: Path, argv: tuple[str, ...], on_event: OnEvent, driver: Driver = AUTO
) -> int:
    """The same in what the last failed build left; it stays as it is left."""
    from genoci.build.shell import look_at_failed

    def work(send: Send) -> int:
        with using(state):
            return look_at_failed(state, argv, driver, steps.warner("", send))

    return call(work, int, on_event, terminal=True)


def clean(state: Path, on_event: OnEvent, driver: Driver = AUTO) -> None:
    """Delete the state: snapshots, listings, the failed root. The layout is not touched.

    With it go the snapshots of `driver`, wherever they are.
    """
    from genoci.build.rooted import enter
    from genoci.snapshot.btrfs import remove_snapshots

    if not state.exists():
        return

    def work(send: Send) -> None:
        with contextlib.suppress(MachineError):  # then there are no files of other ids either
            enter((state, *driver.places), steps.warner("", send))
        for snapshots in {driver.folder(state), Driver("btrfs").folder(state)}:
            remove_snapshots(snapshots)
        _empty(state)

    with deleting(state):
        call(work, type(None), on_event)
        with contextlib.suppress(OSError):  # a mount point, or a directory in one of another's
            state.rmdir()


def _empty(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_below(fd)
    finally:
        os.close(fd)


def _image(layout: Layout, tag: str) -> Image:
    return Image.empty(Platform.host()) if tag == "empty" else layout.resolve(tag)


@contextlib.contextmanager
def _reading(layout: Layout, state: Path, *writable: Path) -> Iterator[Images]:
    from genoci.build.images import Images

    with using(state):
        landlock.restrict_writes((state, *writable))
        with Images(layout, state) as images:
            yield images


def _unpacked_digest(blob: BinaryIO, media_type: str) -> Digest:
    found = hashlib.sha256()
    with open_reader(blob, name=media_type) as stream:
        while data := stream.read(1 << 20):
            found.update(data)
    return Digest("sha256", found.hexdigest())
