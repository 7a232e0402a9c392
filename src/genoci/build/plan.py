"""What a build would do with each target, and why: cached, or built because something changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from genoci.build.finish import finished
from genoci.build.inputs import Inputs
from genoci.build.itself import copied_along
from genoci.build.key import Key, key_of
from genoci.errors import Damaged, LayoutError
from genoci.layer.compression import Compression
from genoci.oci.cache import Cache, Result
from genoci.oci.digest import Digest
from genoci.oci.documents import Platform
from genoci.oci.image import Image, Layer
from genoci.oci.index import read_index
from genoci.oci.layout import Layout
from genoci.spec.pinned import Pinned
from genoci.spec.target import Copy, Spec, Target


class Decision(NamedTuple):
    """What is known of a target before it is built.

    `result` is what its key was built to; None: it has to be built, because of `reasons`. `key` is
    None as long as what it stands on has to be built first.
    """

    key: Key | None
    result: Result | None
    reasons: tuple[str, ...] = ()


class Planner:
    """Decides for targets in order; is told each image that was built meanwhile.

    `uncached` are targets that are built whatever the cache has, `use_cache` false means all.
    Without `explain` a decision may have no reasons. `pins` are a lock file's, by target.
    """

    def __init__(
        self,
        spec: Spec,
        layout: Layout | None,
        state: Path,
        inputs: Inputs,
        *,
        folder: str,
        compression: Compression,
        epoch: int | None,
        uncached: tuple[str, ...] = (),
        use_cache: bool = True,
        explain: bool = False,
        pins: Mapping[str, tuple[Pinned, ...]] | None = None,
        warn: Callable[[str, str], None],
    ) -> None:
        self._targets = {target.name for target in spec.targets}
        self._layout = layout
        self._folder = folder
        self._compression = compression
        self._epoch = epoch
        self._uncached = uncached
        self._use_cache = use_cache
        self._explain = explain
        self._pins = pins or {}
        self._warn = warn
        self._images: dict[str, tuple[Image, Digest | None]] = {}
        self._keys: dict[str, Key] = {}
        self._state = state
        self.inputs = inputs
        self._cache = self._read_cache()

    def decide(self, target: Target) -> Decision:
        """Raises BuildError for an input that can't be read, LayoutError for a base that can't."""
        waiting = [name for name in self._stands_on(target) if not self.knows(name)]
        if waiting:
            first = (("base" if name == target.base else "copy", name) for name in waiting)
            return Decision(None, None, tuple(f"{key}: {it} is built first" for key, it in first))
        self._warn_of_itself(target)
        return self._unless_uncached(target, self.key(target))

    def foresee(self, target: Target) -> Decision:
        """What `decide` says, for one target after the other without building any."""
        decision = self.decide(target)
        if decision.result is not None:
            self.have(target.name, self.finished(target, decision.result), None)
        return decision

    def again(self, target: Target, key: Key) -> Decision:
        """The same once more, after another process may have built it."""
        self._cache = self._read_cache()
        return self._unless_uncached(target, key)

    def known_key(self, target: Target) -> Key:
        """The key that the target had when it was decided."""
        return self._keys[target.name]

    def key(self, target: Target) -> Key:
        base, _ = self.image(target.base)
        images = {name: self.image(name)[0] for name in self._stands_on(target)}
        return key_of(
            target,
            base,
            images,
            self.inputs,
            compression=self._compression,
            epoch=self._epoch,
            pins=self.pins(target),
        )

    def pins(self, target: Target) -> tuple[Pinned, ...] | None:
        """What a lock file lets the target install; None: whatever is newest."""
        return self._pins.get(target.name)

    def knows(self, name: str) -> bool:
        """Whether the image is there: that of a target is not, before it was built."""
        return name not in self._targets or name in self._images

    def image(self, name: str) -> tuple[Image, Digest | None]:
        """What a `base` or `from` stands for, and its manifest if it has one."""
        if name not in self._images:
            self._images[name] = self._of_the_layout(name)
        return self._images[name]

    def stored_images(self) -> Iterator[tuple[str, Image, Digest]]:
        """The name, the image and the manifest of all that was asked for, or built."""
        for name, (image, manifest) in self._images.items():
            if manifest is not None:
                yield name, image, manifest

    def have(self, name: str, image: Image, manifest: Digest | None) -> None:
        """From now on `name` stands for this image."""
        self._images[name] = (image, manifest)

    def wrote(self, layer: Layer) -> None:
        """A worker has stored this layer just now."""
        assert self._layout is not None
        self.inputs.wrote(self._layout.blobs.folder, layer.descriptor.digest.hex)

    def finished(self, target: Target, result: Result) -> Image:
        """The image of a target whose layer is known."""
        base, _ = self.image(target.base)
        return finished(
            target,
            base,
            result.layer,
            newest=result.newest,
            folder=self._folder,
            epoch=self._epoch,
        )

    def _unless_uncached(self, target: Target, key: Key) -> Decision:
        self._keys[target.name] = key
        if not self._use_cache or target.name in self._uncached:
            return Decision(key, None, ("the cache is not to be used",))
        return self._look_up(target, key)

    def _look_up(self, target: Target, key: Key) -> Decision:
        if self._cache is None:
            return Decision(key, None, ("it was never built",))
        try:
            result = self._cache.find(key.digest)
            if result is not None and result.layer is not None:
                self._verify(result.layer)
        except LayoutError as error:
            self._warn(f"what the cache has of {target.name} is damaged: {error.what}", "")
            return Decision(key, None, ("what the cache has of it is damaged",))
        if result is not None and not _is_too_old(target, result):
            return Decision(key, result)
        if result is not None:
            return Decision(key, None, (_age(target),))
        if not self._explain:
            return Decision(key, None)
        from genoci.build.explain import reasons  # only those who ask need to compare

        older = self._cache.preimages(target.name)
        return Decision(key, None, reasons(target, self._folder, key, older))

    def _warn_of_itself(self, target: Target) -> None:
        layout = self._layout.path if self._layout is not None else None
        for what, mend in copied_along(target, self._folder, layout, self._state):
            self._warn(what, mend)

    def _verify(self, layer: Layer) -> None:
        """Raise Damaged unless the blob is what it is called, as far as its times can tell."""
        assert self._layout is not None
        digest = layer.descriptor.digest
        if not self.inputs.is_sound(self._layout.blobs.folder, digest.hex):
            raise Damaged("the bytes of its layer are not what their digest says")

    def _of_the_layout(self, name: str) -> tuple[Image, Digest | None]:
        if name == "empty":
            return Image.empty(Platform.host()), None
        assert self._layout is not None, "a tag was found in it when the file was read"
        manifest = self._layout.resolve_descriptor(name).digest
        return self._layout.image(manifest), manifest

    def _stands_on(self, target: Target) -> list[str]:
        images = [step.image for step in target.steps if isinstance(step, Copy) and step.image]
        return [target.base, *images]

    def _read_cache(self) -> Cache | None:
        if self._layout is None:
            return None
        return Cache(self._layout, read_index(self._layout.index_path))


def _is_too_old(target: Target, result: Result) -> bool:
    if target.max_age is None:
        return False
    return target.max_age == 0 or time.time() - result.made > target.max_age


def _age(target: Target) -> str:
    return "cache: never" if target.max_age == 0 else "it is older than its `cache` allows"
