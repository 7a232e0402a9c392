"""Changing an image's config: on the raw mapping, so that what genoci does not know stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from genoci.errors import UsageError
from genoci.oci.platform import Platform

_Mapping = dict[str, Any]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes different; UNSET: as it is. `annotations` are the manifest's.

    In `env`, `labels` and `annotations` None deletes. An empty text or tuple clears a field.
    """

    entrypoint: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    cmd: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    env: Mapping[str, str | None] = {}
    labels: Mapping[str, str | None] = {}
    annotations: Mapping[str, str | None] = {}
    workdir: str | msgspec.UnsetType = msgspec.UNSET
    user: str | msgspec.UnsetType = msgspec.UNSET
    stopsignal: str | msgspec.UnsetType = msgspec.UNSET
    volumes: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    expose: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    platform: str | msgspec.UnsetType = msgspec.UNSET


def changed(config: Mapping[str, Any], change: Change) -> _Mapping:
    """A copy of the image config `config` with `change` in it."""
    mapping = dict(config)
    execution = dict(mapping.get("config") or {})
    _command(execution, change)
    _set(execution, "Env", _environment(execution.get("Env") or (), change.env), change.env)
    _set(execution, "Labels", merged(execution.get("Labels") or {}, change.labels), change.labels)
    _set(execution, "WorkingDir", change.workdir)
    _set(execution, "User", change.user)
    _set(execution, "StopSignal", change.stopsignal)
    _set(execution, "Volumes", _as_keys(change.volumes))
    _set(execution, "ExposedPorts", _as_keys(change.expose))
    if execution != (mapping.get("config") or {}):
        mapping["config"] = execution
    if change.platform is not msgspec.UNSET:
        _platform(mapping, Platform.parse(change.platform))
    return mapping


def merged(old: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """`old` with `changes` over it, where None deletes."""
    both = {**old, **changes}
    return {name: value for name, value in both.items() if value is not None}


def _command(execution: _Mapping, change: Change) -> None:
    """A new entrypoint clears an inherited cmd, which was meant for another program."""
    if change.entrypoint is not msgspec.UNSET:
        execution.pop("Cmd", None)
        _set(execution, "Entrypoint", list(change.entrypoint))
    if change.cmd is not msgspec.UNSET:
        _set(execution, "Cmd", list(change.cmd))


def _environment(lines: Iterable[str], changes: Mapping[str, str | None]) -> list[str]:
    """The `NAME=VALUE` lines, changed in place, new ones at the end; a name is set once."""
    environment: list[str] = []
    left = dict(changes)
    for line in lines:
        name = line.partition("=")[0]
        if name not in changes:
            environment.append(line)
        elif name in left:
            environment += _line(name, left.pop(name))
    for name, value in left.items():
        environment += _line(name, value)
    return environment


def _line(name: str, value: str | None) -> list[str]:
    if not name or "=" in name or "\0" in name + (value or ""):
        raise UsageError(f"{name!r} can't be a variable of the environment")
    return [] if value is None else [f"{name}={value}"]


def _set(mapping: _Mapping, name: str, value: Any, given: object = True) -> None:
    """Set a field, or drop it for an empty value; UNSET, or nothing given: leave it."""
    if value is msgspec.UNSET or not given:
        return
    if value:
        mapping[name] = value
    else:
        mapping.pop(name, None)


def _as_keys(names: tuple[str, ...] | msgspec.UnsetType) -> _Mapping | msgspec.UnsetType:
    """Go's way of writing a set: a mapping to empty objects."""
    return names if names is msgspec.UNSET else {name: {} for name in sorted(names)}


def _platform(mapping: _Mapping, platform: Platform) -> None:
    if mapping.get("os") != platform.os:
        mapping.pop("os.version", None)
        mapping.pop("os.features", None)
    mapping["os"], mapping["architecture"] = platform.os, platform.architecture
    _set(mapping, "variant", platform.variant)


def with_history(
    config: Mapping[str, Any], entry: Mapping[str, Any], *, layers: int, created: str
) -> _Mapping:
    """A copy with `entry` after the history of the `layers` that are there so far.

    The specification wants an entry for each layer; `umoci stat` crashes if there are more. Layers
    without one get one, made at `created`; surplus ones become those of an empty layer.
    """
    history = [dict(old) for old in config.get("history") or ()]
    of_layers = [old for old in history if not old.get("empty_layer")]
    for surplus in of_layers[layers:]:
        surplus["empty_layer"] = True
    missing = {"created": created, "comment": "a layer that came without its history"}
    history += [dict(missing) for _ in range(layers - len(of_layers))]
    return {**config, "history": [*history, dict(entry)]}
