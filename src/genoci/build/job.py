"""What a worker is handed and hands back: documents, so that it may be a fork or far away."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from genoci.layer.compression import Compression
from genoci.snapshot.driver import Driver
from genoci.spec.pinned import Pinned
from genoci.spec.target import Target


class Job(msgspec.Struct, frozen=True):
    """One target to build.

    `base` and `images` (the images that `copy` takes files from, by the name that the file uses)
    are manifest digests in the layout; a base of None is the empty image. `on_paper` says that
    nothing has to run, so that listings do instead of a root filesystem. `epoch` is
    SOURCE_DATE_EPOCH in seconds. `folder` is the YAML file's. `failed_before` says that a root
    is being kept that this build, and no older one, left. `pins`: the packages that a lock file
    allows to be installed by name, in order; None: whatever is newest.
    """

    target: Target
    base: str | None
    images: Mapping[str, str]
    folder: str
    layout: str
    state: str
    driver: Driver
    compression: Compression
    epoch: int | None
    on_paper: bool
    failed_before: bool
    pins: tuple[Pinned, ...] | None = None


class Answer(msgspec.Struct, frozen=True):
    """What a worker was asked for, as JSON."""

    document: msgspec.Raw


class NotOnPaper(msgspec.Struct, frozen=True):
    """The target was to be built on paper, and its base has programs that must do it."""


class Built(msgspec.Struct, frozen=True):
    """A target's image, stored in the layout and not yet tagged: its manifest's descriptor.

    `layer` is the diff ID of the layer that the target added; None: it changed no file.
    `newest` is the latest time in it, in nanoseconds.
    `installed` are the packages that were installed by name, and what they needed, in order.
    """

    media_type: str
    digest: str
    size: int
    layer: str | None
    newest: int | None = None
    installed: tuple[Pinned, ...] = ()
