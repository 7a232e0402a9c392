"""A root filesystem in a directory, for whoever calls: all of it, or as it was."""

from __future__ import annotations

import os
from pathlib import Path

from genoci.build.steps import Warn
from genoci.errors import UsageError
from genoci.layer import tar
from genoci.layer.extract import Devices, Owners, extract_layer
from genoci.layer.remove import remove_below
from genoci.layer.stored import open_layer
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.sandbox import landlock


def check_target(directory: Path) -> None:
    """Raise UsageError unless `directory` is new, with a parent, or empty and the caller's."""
    try:
        if os.listdir(directory):
            raise UsageError(
                f"{directory} is not empty", mend="Name a new directory, or empty this one."
            )
        if os.geteuid() not in (0, os.stat(directory).st_uid):
            raise UsageError(
                f"{directory} belongs to another user, so its mode and time can't be the image's",
                mend="Name a new directory, or one of your own.",
            )
    except FileNotFoundError:
        if directory.is_symlink():
            raise UsageError(f"{directory} is a link that leads nowhere") from None
        if not directory.absolute().parent.is_dir():
            raise UsageError(f"the folder {directory.absolute().parent} does not exist") from None
    except NotADirectoryError:
        raise UsageError(f"{directory} is not a directory") from None
    except OSError as error:
        raise UsageError(f"{directory} can't be looked into: {error.strerror}") from error


def make(directory: Path) -> None:
    """Make the new directory; raises UsageError where the caller may not."""
    try:
        directory.mkdir()
    except OSError as error:
        raise UsageError(f"{directory} can't be made: {error.strerror}") from error


def unpack_image(layout: Layout, image: Image, directory: Path, warn: Warn) -> None:
    """Extract every layer of `image` into `directory`, which is empty, confined to it.

    Root gets the owners and device nodes of the image. Another user owns everything himself, and
    gets no device nodes; a warning says so. After a failure the directory is as it was.
    """
    before = os.stat(directory)
    root_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _confine(directory, warn)
        _extract(layout, image, root_fd, warn)
    except BaseException:
        remove_below(root_fd)
        os.fchown(root_fd, before.st_uid, before.st_gid)
        os.fchmod(root_fd, before.st_mode & 0o7777)
        os.utime(root_fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        raise
    finally:
        os.close(root_fd)


def _confine(directory: Path, warn: Warn) -> None:
    if not landlock.restrict_writes((directory,)):
        warn("this kernel has no Landlock: unpacking is confined by genoci's own care alone")


def _extract(layout: Layout, image: Image, root_fd: int, warn: Warn) -> None:
    root = os.getuid() == 0
    for layer in image.layers:
        with open_layer(layout, layer) as stream:
            extract_layer(
                tar.read(stream, name=str(layer.descriptor.digest), verified=True),
                root_fd,
                owners=Owners.KEEP if root else Owners.MINE,
                devices=Devices.MAKE if root else Devices.SKIP,
                warn=warn,
            )
    _tell_what_was_lost(warn)


def _tell_what_was_lost(warn: Warn) -> None:
    if os.getuid() != 0:
        warn("everything in it belongs to you: only root may keep the image's owners")
