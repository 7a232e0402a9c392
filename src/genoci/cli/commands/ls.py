"""`genoci ls`: the tags of the layout."""

from __future__ import annotations

import argparse
import re
from typing import Any, NamedTuple

from genoci.cli import text
from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.errors import GenociError
from genoci.oci.documents import MANIFEST, Descriptor, standard
from genoci.oci.image import Image
from genoci.oci.layout import Layout

EXAMPLES = """
genoci ls
genoci ls --json | jq -r '.[].tag'
genoci --layout /srv/images ls
"""
_SHORT = len("sha256:") + 12


class _Row(NamedTuple):
    """A tag, and what its image says; None where there is no image to be read."""

    tag: str
    descriptor: Descriptor
    image: Image | None

    @property
    def size(self) -> int | None:
        if self.image is None:
            return None
        return sum(layer.descriptor.size for layer in self.image.layers)


def arguments(parser: Parser) -> None:
    parser.add_json("an array of tags")


def run(options: argparse.Namespace, session: Session) -> int:
    layout = Layout.at(session.settings.layout)
    tags = sorted(layout.tags().items(), key=lambda item: _by_number(item[0]))
    if options.json:
        session.results.document([_document(row) for row in _rows(layout, tags)])
    elif session.results.on_a_terminal:
        cells = [_cells(row) for row in _rows(layout, tags)]
        header = ("TAG", "DIGEST", "SIZE", "CREATED", "PLATFORM")
        session.results.lines(text.columns([header, *cells]))
    else:
        session.results.lines([f"{_shown(tag)} {descriptor.digest}" for tag, descriptor in tags])
    return 0


def _by_number(tag: str) -> list[tuple[int, str]]:
    """So that NAME-DATE_10 comes behind NAME-DATE_9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _PARTS.split(tag)]


_PARTS = re.compile(r"([0-9]+)")


def _rows(layout: Layout, tags: list[tuple[str, Descriptor]]) -> list[_Row]:
    """Each image is read once, however many tags it has; one that can't be read has none."""
    images: dict[Descriptor, Image | None] = {}
    for tag, descriptor in tags:
        if descriptor not in images:
            images[descriptor] = _image(layout, tag, descriptor)
    return [_Row(tag, descriptor, images[descriptor]) for tag, descriptor in tags]


def _image(layout: Layout, tag: str, descriptor: Descriptor) -> Image | None:
    try:
        if standard(descriptor.media_type) == MANIFEST:
            return layout.image(descriptor.digest)
        return layout.resolve(tag)
    except GenociError:
        return None


def _cells(row: _Row) -> tuple[str, ...]:
    digest = str(row.descriptor.digest)[:_SHORT]
    if row.image is None or row.size is None:
        return (_shown(row.tag), digest, "?", "?", "?")
    created = (row.image.created or "?")[:16].replace("T", " ")
    platform = str(row.image.platform)
    return (_shown(row.tag), digest, text.size(row.size), _shown(created), _shown(platform))


def _document(row: _Row) -> dict[str, Any]:
    return {
        "tag": row.tag,
        "digest": str(row.descriptor.digest),
        "mediaType": row.descriptor.media_type,
        "size": row.size,
        "created": row.image.created if row.image else None,
        "platform": str(row.image.platform) if row.image else None,
    }


def _shown(words: str) -> str:
    """Tags and times may come from other tools, and hold anything."""
    return text.one_line(words)
