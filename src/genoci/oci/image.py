"""Images as values: a base, a layer appended, a config changed, and nothing stored yet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from genoci.errors import LayoutError
from genoci.oci.config import Change, changed, merged, with_history
from genoci.oci.digest import Digest, chain_ids
from genoci.oci.documents import Descriptor, ImageConfig, Platform
from genoci.oci.documents import History as History
from genoci.oci.parse import parse_config, parse_mapping
from genoci.oci.timestamp import nanoseconds, timestamp

Time = int | str | None
"""A moment: nanoseconds since 1970, or RFC 3339 text; None: when the base was created."""

_EPOCH = timestamp(0)


class Layer(msgspec.Struct, frozen=True):
    """A layer whose blob is stored; `diff_id` is the digest of what it unpacks to."""

    descriptor: Descriptor
    diff_id: Digest


class Image(msgspec.Struct, frozen=True, dict=True):
    """An image that may not be stored yet: its config as raw bytes, its layers, lowest first.

    `annotations` are the manifest's. `appended` says that the newest history entry is a layer's
    and that `configure` has not followed: the two are one change, with one entry.
    """

    config_raw: bytes
    layers: tuple[Layer, ...] = ()
    annotations: Mapping[str, str] = {}
    appended: bool = False

    @classmethod
    def empty(cls, platform: Platform) -> Image:
        """The image with nothing in it, created in 1970."""
        mapping: dict[str, Any] = {
            "created": _EPOCH,
            "os": platform.os,
            "architecture": platform.architecture,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [],
        }
        if platform.variant:
            mapping["variant"] = platform.variant
        return cls(_encoded(mapping))

    @property
    def config_digest(self) -> Digest:
        """What its config is called once it is stored."""
        return Digest.of(self.config_raw)

    def append(self, layer: Layer, *, created: Time = None, created_by: str) -> Image:
        """With `layer` on top, and the entry of the history that tells how it was made."""
        moment = self._moment(created)
        mapping = with_history(
            self.config_mapping(),
            {"created": moment, "created_by": created_by},
            layers=len(self.layers),
            created=self.created or moment,
        )
        mapping["created"] = moment
        diff_ids = [str(diff_id) for diff_id in (*self.diff_ids, layer.diff_id)]
        mapping["rootfs"] = {**mapping["rootfs"], "type": "layers", "diff_ids": diff_ids}
        return Image(_encoded(mapping), (*self.layers, layer), self.annotations, appended=True)

    def configure(self, *, created: Time = None, created_by: str = "", **fields: Any) -> Image:
        """With the config (and the manifest's annotations) changed; `fields` are Change's.

        Fields that genoci does not know stay. A change that no appended layer comes with gets an
        entry of its own in the history. What changes nothing returns the same config, to the byte.
        """
        change = Change(**fields)
        before = self.config_mapping()
        after = changed(before, change)
        raw = self.config_raw
        if after != before:
            moment = self._moment(created)
            if not self.appended:
                entry = {"created": moment, "created_by": created_by, "empty_layer": True}
                after = with_history(
                    after, entry, layers=len(self.layers), created=self.created or moment
                )
            raw = _encoded({**after, "created": moment})
        elif "created" not in before:
            raw = _encoded({**before, "created": self._moment(created)})
        return Image(raw, self.layers, merged(self.annotations, change.annotations))

    @cached_property
    def config(self) -> ImageConfig:
        """What the config says, for reading."""
        return parse_config(self.config_raw, where="the image's config")

    def config_mapping(self) -> dict[str, Any]:
        """The whole config, unknown fields too; the caller's own copy."""
        return parse_mapping(self.config_raw, where="the image's config")

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        return tuple(layer.diff_id for layer in self.layers)

    @property
    def chain_id(self) -> Digest | None:
        """What the whole stack of layers is called (config.md); None: there is none."""
        chain = chain_ids(self.diff_ids)
        return chain[-1] if chain else None

    @property
    def env(self) -> dict[str, str]:
        """The environment by name; of a name that stands twice, the last."""
        lines = (line.partition("=") for line in self.config.env)
        return {name: value for name, _, value in lines}

    @property
    def entrypoint(self) -> tuple[str, ...]:
        return self.config.entrypoint

    @property
    def cmd(self) -> tuple[str, ...]:
        return self.config.cmd

    @property
    def workdir(self) -> str:
        return self.config.workdir

    @property
    def user(self) -> str:
        return self.config.user

    @property
    def labels(self) -> Mapping[str, str]:
        return self.config.labels

    @property
    def platform(self) -> Platform:
        return self.config.platform

    @property
    def history(self) -> tuple[History, ...]:
        return self.config.history

    @property
    def created(self) -> str | None:
        """As the config has it; None: it has no such field."""
        return self.config.created

    @property
    def created_ns(self) -> int | None:
        """`created` in nanoseconds since 1970; None: there is none that could be read."""
        return nanoseconds(self.config.created) if self.config.created else None

    def _moment(self, created: Time) -> str:
        if created is None:
            return _EPOCH if self.created_ns is None else str(self.created)
        if isinstance(created, int):
            return timestamp(created)
        if nanoseconds(created) is None:
            raise LayoutError(f"{created!r} is not a time as RFC 3339 writes it")
        return created


def _encoded(mapping: Mapping[str, Any]) -> bytes:
    """One value, one text: sorted names, no spaces."""
    return msgspec.json.encode(mapping, order="sorted")
