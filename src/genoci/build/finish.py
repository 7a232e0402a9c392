"""From a layer to the target's image: a function of content, wherever the layer came from."""

from __future__ import annotations

from genoci.build import words
from genoci.oci.image import Image, Layer
from genoci.spec.target import Target


def finished(
    target: Target,
    base: Image,
    layer: Layer | None,
    *,
    newest: int | None,
    folder: str,
    epoch: int | None,
) -> Image:
    """The base with the target's layer, if it has one, and its config keys.

    `newest` is the latest time in the layer, in nanoseconds; `epoch` SOURCE_DATE_EPOCH in seconds,
    which counts instead. The clock never does.
    """
    created = epoch * 10**9 if epoch is not None else None
    if created is None:
        created = newest if layer is not None else base.created_ns
    image = base
    if layer is not None:
        image = image.append(layer, created=created, created_by=_history(target, folder))
    return image.configure(created=created, created_by="genoci: config", **target.config.given())


def _history(target: Target, folder: str) -> str:
    """What made the layer, in the words of the file: no path of this machine, no clock."""
    before = [words.hook_description("pre", hook, folder) for hook in target.pre]
    after = [words.hook_description("post", hook, folder) for hook in target.post]
    return "; ".join([*before, *(words.description(step, folder) for step in target.steps), *after])
