"""`checkin`: what has changed in the checkout becomes a layer, an image and a tag."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import msgspec

from genoci.build import steps
from genoci.build.calling import OnEvent, call
from genoci.build.fork import Send
from genoci.build.freeze import Layered, freeze, layer_of
from genoci.build.images import Images
from genoci.build.job import Built
from genoci.errors import Interrupted
from genoci.layer.compression import Compression
from genoci.lpack import record
from genoci.lpack.checkout import show
from genoci.lpack.opened import base_of, opened
from genoci.lpack.record import NAME, Checkout, Landed
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.oci.reference import check_tag
from genoci.snapshot import shown

HISTORY = "lpack checkin"


class CheckedIn(msgspec.Struct, frozen=True):
    """The tag that was set, what it stands for, and the diff ID of the new layer, if there is one.

    `layout` is the one that the image came from.
    """

    tag: str
    digest: str
    layer: str | None
    layout: str


def checkin(
    state: Path,
    tag: str | None,
    *,
    keep: bool,
    epoch: int | None,
    compression: Compression,
    on_event: OnEvent,
) -> CheckedIn:
    """Make a layer and a tag of what has changed; `tag` None: DATE_vN. The checkout ends.

    With `keep` it goes on, standing on the new image. Where nothing has changed, the image gets
    the tag. The layer is stored and tagged before the checkout is touched: after any failure it
    is there as it was, and may be checked in again.
    """
    state = state.absolute()
    if tag is not None:
        check_tag(tag)
    with record.alone(state):
        out = record.required(state)
        base = base_of(out)
        layout = Layout.create_or_open(Path(out.layout))
        was_mounted = shown.hide(out.store(state), NAME)
        try:
            with layout.holding(shared=True):
                done = _checked_in(
                    out, base, layout, state, tag, keep, epoch, compression, on_event
                )
        except BaseException:
            if was_mounted:
                _show_again(state)
            raise
        if keep:
            show(record.required(state), state)
        else:
            record.end(state, out)
        return done


def _show_again(state: Path) -> None:
    out = record.current(state)
    if out is not None:
        show(out, state)


def _checked_in(
    out: Checkout,
    base: Image,
    layout: Layout,
    state: Path,
    tag: str | None,
    keep: bool,
    epoch: int | None,
    compression: Compression,
    on_event: OnEvent,
) -> CheckedIn:
    waiting, go = os.pipe()
    done: list[CheckedIn] = []

    def work(send: Send) -> None:
        os.close(go)
        _work(out, base, layout, state, keep, epoch, compression, send, waiting)

    def on_built(built: Built) -> None:
        done.append(_tagged(out, base, layout, state, tag, built))
        os.write(go, b"!")

    try:
        call(work, type(None), on_event, on_built=on_built)
    finally:
        os.close(waiting)
        os.close(go)
    return done[0]


def _tagged(
    out: Checkout, base: Image, layout: Layout, state: Path, tag: str | None, built: Built
) -> CheckedIn:
    """Tag the image that the worker has stored, and record that it is, before the root changes."""
    digest = Digest.parse(built.digest)
    manifest = Descriptor(media_type=built.media_type, digest=digest, size=built.size)
    if tag is None:
        tag = layout.tag_version(datetime.date.today().isoformat(), manifest)
    else:
        layout.tag({tag: manifest})
    chain = layout.image(digest).chain_id
    landed = Landed(tag, built.digest, built.media_type, built.size, str(chain or ""))
    record.record(state, msgspec.structs.replace(out, landed=landed))
    return CheckedIn(tag, built.digest, built.layer, out.layout)


def _work(
    out: Checkout,
    base: Image,
    layout: Layout,
    state: Path,
    keep: bool,
    epoch: int | None,
    compression: Compression,
    send: Send,
    waiting: int,
) -> None:
    """Store the layer and the image; when they are tagged, the root is frozen, or goes."""
    warn = steps.warner("", send)
    with opened(out, state, layout.path, warn=warn) as (snapshots, active):
        with Images(layout, state) as images:
            layered = layer_of(
                active, layout, images, epoch=epoch, compression=compression, warn=warn
            )
        image = base if layered is None else _image(base, layered, epoch)
        unchanged = out.descriptor if layered is None else None
        manifest = unchanged or layout.write_image(image)
        send(
            Built(
                media_type=manifest.media_type,
                digest=str(manifest.digest),
                size=manifest.size,
                layer=str(layered.written.layer.diff_id) if layered else None,
            )
        )
        if not os.read(waiting, 1):
            raise Interrupted("the check-in was ended")
        if layered is not None:
            freeze(active, layered, base)
    if layered is not None and keep:
        with snapshots.prepare(image.chain_id) as fresh:
            fresh.keep(NAME)
    if not keep:
        snapshots.forget(NAME)


def _image(base: Image, layered: Layered, epoch: int | None) -> Image:
    written = layered.written
    created = written.newest if epoch is None else epoch * 10**9
    return base.append(written.layer, created=created, created_by=HISTORY)
