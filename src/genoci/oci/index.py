"""`index.json`, edited without being rewritten: what others put there stays, to the byte."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from genoci.errors import LayoutError
from genoci.oci.append import REF_NAME as REF_NAME
from genoci.oci.documents import INDEX, Descriptor
from genoci.oci.parse import parse_descriptor

_CONTAINERD_NAME = "io.containerd.image.name"  # a second name of the tag, not of the image

_LIMIT = 64 << 20
"""The largest index.json that is believed, in bytes; 20,000 tags take 6 MB."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_entries = msgspec.json.Decoder(list[msgspec.Raw] | None).decode


class Entry:
    """One of `manifests`: its text, the tag it carries, its `artifact_type`."""

    def __init__(self, raw: msgspec.Raw, name: str | None, artifact_type: str = "") -> None:
        self.raw = raw
        self.name = name
        self.artifact_type = artifact_type

    @cached_property
    def descriptor(self) -> Descriptor | None:
        """What it says, if that is sound. Read when somebody asks: there may be thousands."""
        try:
            return parse_descriptor(self.raw, where="index.json")
        except LayoutError:
            return None


class _Glimpse(msgspec.Struct):
    annotations: dict[str, str] | None = None
    artifactType: str | None = None


class IndexFile(NamedTuple):
    """An `index.json`: all of its fields but `manifests` as they stand, and the entries of that."""

    fields: Mapping[str, msgspec.Raw]
    entries: tuple[Entry, ...]

    def tags(self) -> dict[str, Descriptor]:
        """What each tag stands for; of a name that stands twice, the first."""
        tags: dict[str, Descriptor] = {}
        for entry in self.entries:
            # What can't be printed is no tag that anybody could name, and would reach terminals.
            if entry.name and entry.descriptor and entry.name.isprintable():
                tags.setdefault(entry.name, entry.descriptor)
        return tags

    def names(self) -> Iterator[str]:
        """The names that entries carry, whatever they are, each as often as it stands there."""
        return (entry.name for entry in self.entries if entry.name)

    def named(self, tag: str) -> list[Entry]:
        """All entries of that name: one, unless another tool keeps a platform in each."""
        return [entry for entry in self.entries if entry.name == tag]

    def with_tags(self, tags: Mapping[str, Descriptor]) -> IndexFile:
        """With each of `tags` standing for its descriptor and nothing else.

        An entry that says so already stays where it is.
        """
        added = {name: _entry(name, _named(name, of)) for name, of in tags.items()}
        found: dict[str, list[Entry]] = {name: [] for name in added}
        for entry in self.entries:
            if entry.name in found:
                found[entry.name].append(entry)
        for name, entries in found.items():
            if len(entries) == 1 and entries[0].raw == added[name].raw:
                del added[name]
        return self._replace(entries=self.without(added).entries + tuple(added.values()))

    def without(self, tags: Collection[str]) -> IndexFile:
        return self._replace(entries=tuple(e for e in self.entries if e.name not in tags))

    def with_untagged(self, descriptors: Iterable[Descriptor]) -> IndexFile:
        """With an entry for each of the descriptors, which carry no name."""
        added = tuple(_entry(None, descriptor) for descriptor in descriptors)
        return self._replace(entries=self.entries + added)

    def encoded(self) -> bytes:
        fields = {"schemaVersion": 2, **self.fields, "manifests": [e.raw for e in self.entries]}
        return msgspec.json.encode(fields)


_glimpse = msgspec.json.Decoder(_Glimpse).decode

EMPTY_INDEX = IndexFile({"mediaType": msgspec.Raw(msgspec.json.encode(INDEX))}, ())


def read_index(path: Path) -> IndexFile:
    """The index at `path`, one state of it as a whole; raises LayoutError."""
    try:
        fields = _decode_fields(_content(path))
        version = msgspec.json.decode(fields.get("schemaVersion", b"2"))
        entries = _decode_entries(fields.pop("manifests", b"null")) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(path, f"not an image index: {error}") from error
    if version != 2 or "layers" in fields or "config" in fields:
        raise _unreadable(path, "not an image index of schemaVersion 2")
    return IndexFile(fields, tuple(map(_read_entry, entries)))


def _content(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, f"can't be read: {error.strerror}") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LIMIT:
        os.close(fd)
        raise _unreadable(path, f"not a plain file of at most {_LIMIT} bytes")
    with open(fd, "rb") as stream:
        return stream.read(_LIMIT)


def _unreadable(path: Path, what: str) -> LayoutError:
    return LayoutError(
        what, where=str(path), mend="The blobs are not touched; restore this file, or start anew."
    )


def _read_entry(raw: msgspec.Raw) -> Entry:
    try:
        glimpse = _glimpse(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Entry(raw, _name_of_unsound(raw))
    name = glimpse.annotations.get(REF_NAME) if glimpse.annotations else None
    return Entry(raw, name, glimpse.artifactType or "")


def _name_of_unsound(raw: msgspec.Raw) -> str | None:
    with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError):
        entry: Any = msgspec.json.decode(raw)
        name = entry["annotations"][REF_NAME] if _annotated(entry) else None
        return name if isinstance(name, str) else None
    return None


def _annotated(entry: Any) -> bool:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    return isinstance(annotations, dict) and REF_NAME in annotations


def _entry(name: str | None, descriptor: Descriptor) -> Entry:
    raw = msgspec.Raw(msgspec.json.encode(descriptor.to_mapping()))
    return Entry(raw, name, descriptor.artifact_type)


def _named(name: str, descriptor: Descriptor) -> Descriptor:
    """The descriptor as a tag's; its other annotations come along, other names don't."""
    annotations = dict(_about_the_content(descriptor)) | {REF_NAME: name}
    return msgspec.structs.replace(descriptor, annotations=annotations)


def _about_the_content(descriptor: Descriptor) -> Iterator[tuple[str, str]]:
    for name, value in descriptor.annotations.items():
        if name not in (REF_NAME, _CONTAINERD_NAME):
            yield name, value
