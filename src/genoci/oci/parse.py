"""Raw bytes to documents: tolerant of what is unknown, of nothing else.

What somebody else wrote is never written out again from here: its raw bytes are the truth. All
that can be wrong with a document is a LayoutError, which `where` locates.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec

from genoci.errors import LayoutError
from genoci.oci.digest import Digest
from genoci.oci.documents import (
    INDEX,
    MANIFEST,
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    standard,
)

# What JSON may hold where we look. Go writes null for what it left empty, so null is "empty".


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str | None = None


class _Descriptor(msgspec.Struct, rename="camel"):
    media_type: str
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    annotations: dict[str, str] | None = None
    platform: _Platform | None = None
    artifact_type: str | None = None
    urls: list[str] | None = None


class _Manifest(msgspec.Struct, rename="camel"):
    schema_version: int
    config: _Descriptor
    layers: list[_Descriptor] | None = None
    annotations: dict[str, str] | None = None
    subject: _Descriptor | None = None


class _Index(msgspec.Struct, rename="camel"):
    schema_version: int
    manifests: list[_Descriptor] | None = None


class _Execution(msgspec.Struct, rename="pascal"):
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    working_dir: str | None = None
    user: str | None = None
    stop_signal: str | None = None
    labels: dict[str, str] | None = None
    volumes: dict[str, Any] | None = None
    exposed_ports: dict[str, Any] | None = None


class _RootFS(msgspec.Struct):
    diff_ids: list[str] | None = None


class _History(msgspec.Struct):
    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class _ImageConfig(msgspec.Struct):
    architecture: str
    os: str
    rootfs: _RootFS
    variant: str | None = None
    created: str | None = None
    config: _Execution | None = None
    history: list[_History] | None = None


_Shape = TypeVar("_Shape")
_decode_descriptor = msgspec.json.Decoder(_Descriptor).decode


def parse_mapping(raw: bytes, *, where: str) -> dict[str, Any]:
    """A JSON object, whole and in its own order; nothing in it can fail to be written again.

    A name that stands twice is refused: two readers would see two documents.
    """
    try:
        document = json.loads(
            raw.decode(),
            object_pairs_hook=_without_twins,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        _refuse_depth(document)
        if b"\\u" in raw:
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair?
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"not a JSON document: {error}", where=where, mend=_MEND) from error
    if not isinstance(document, dict):
        raise LayoutError("a JSON object is needed here", where=where, mend=_MEND)
    return document


_DEEPEST = 100
_MEND = "`genoci fsck` tells what else is damaged; build or copy this image again."


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def parse_manifest(raw: bytes, *, where: str) -> Manifest:
    mapping = parse_mapping(raw, where=where)
    _expect(mapping, MANIFEST, foreign=("manifests",), where=where)
    manifest = _shaped(mapping, _Manifest, where)
    return Manifest(
        config=_descriptor(manifest.config, where),
        layers=tuple(_descriptor(layer, where) for layer in manifest.layers or ()),
        annotations=manifest.annotations or {},
        subject=_descriptor(manifest.subject, where) if manifest.subject else None,
    )


def parse_index(raw: bytes, *, where: str) -> Index:
    mapping = parse_mapping(raw, where=where)
    _expect(mapping, INDEX, foreign=("config", "layers"), where=where)
    index = _shaped(mapping, _Index, where)
    return Index(tuple(_descriptor(entry, where) for entry in index.manifests or ()))


def parse_config(raw: bytes, *, where: str) -> ImageConfig:
    config = _shaped(parse_mapping(raw, where=where), _ImageConfig, where)
    execution = config.config or _Execution()
    return ImageConfig(
        platform=Platform(config.os, config.architecture, config.variant or ""),
        created=config.created,
        env=tuple(execution.env or ()),
        entrypoint=tuple(execution.entrypoint or ()),
        cmd=tuple(execution.cmd or ()),
        workdir=execution.working_dir or "",
        user=execution.user or "",
        stopsignal=execution.stop_signal or "",
        labels=execution.labels or {},
        volumes=tuple(execution.volumes or ()),
        expose=tuple(execution.exposed_ports or ()),
        diff_ids=tuple(_digest(diff_id, where) for diff_id in config.rootfs.diff_ids or ()),
        history=tuple(_history(entry) for entry in config.history or ()),
    )


def parse_descriptor(raw: bytes | msgspec.Raw, *, where: str) -> Descriptor:
    """One descriptor alone, as `index.json` holds thousands."""
    try:
        return _descriptor(_decode_descriptor(raw), where)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise LayoutError(f"not a descriptor: {error}", where=where) from error


def _expect(
    mapping: Mapping[str, Any], media_type: str, *, foreign: tuple[str, ...], where: str
) -> None:
    """Refuse a document that another reader could take for something else (CVE-2021-41190)."""
    claimed = mapping.get("mediaType") or media_type
    ambiguous = [name for name in foreign if name in mapping]
    if not isinstance(claimed, str) or standard(claimed) != media_type or ambiguous:
        raise LayoutError(
            f"this is not what its descriptor promises: {media_type}", where=where, mend=_MEND
        )
    if mapping.get("schemaVersion") != 2:
        raise LayoutError("schemaVersion 2 is needed here", where=where, mend=_MEND)


def _refuse_depth(document: Any) -> None:
    """Whoever walks a document later, by whatever means, shall not run out of stack."""
    level, depth = [document], 0
    while level := [
        child
        for value in level
        if isinstance(value, (dict, list))
        for child in (value.values() if isinstance(value, dict) else value)
    ]:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(f"nested more than {_DEEPEST} times")


def _shaped(mapping: Mapping[str, Any], shape: type[_Shape], where: str) -> _Shape:
    try:
        return msgspec.convert(mapping, shape)
    except msgspec.ValidationError as error:
        raise LayoutError(f"not what it should be: {error}", where=where, mend=_MEND) from error


def _descriptor(raw: _Descriptor, where: str) -> Descriptor:
    return Descriptor(
        media_type=raw.media_type,
        digest=_digest(raw.digest, where),
        size=raw.size,
        annotations=raw.annotations or {},
        platform=_platform(raw.platform) if raw.platform else None,
        artifact_type=raw.artifact_type or "",
        urls=tuple(raw.urls or ()),
    )


def _platform(raw: _Platform) -> Platform:
    return Platform(raw.os, raw.architecture, raw.variant or "")


def _digest(text: str, where: str) -> Digest:
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise LayoutError(f"not a sha256 digest: {text[:80]!r}", where=where, mend=_MEND) from error


def _history(raw: _History) -> History:
    return History(
        raw.created, raw.created_by or "", raw.comment or "", empty_layer=bool(raw.empty_layer)
    )
