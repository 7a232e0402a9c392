"""What a build makes known, all of it in one write of `index.json`."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping

from genoci.oci.cache import with_entries
from genoci.oci.documents import Descriptor
from genoci.oci.gc import outdated
from genoci.oci.index import IndexFile
from genoci.oci.layout import Layout
from genoci.oci.reference import check_tag, next_dated, parse_dated


def publish(
    layout: Layout,
    images: Mapping[str, Descriptor],
    *,
    date: str | None,
    keep: int | None = None,
    cached: Collection[Descriptor] = (),
) -> dict[str, tuple[str, ...]]:
    """Tag each manifest as NAME and, with a `date` (YYYY-MM-DD), as NAME-DATE_N; the tags by name.

    N is one more than the highest of that day. With `keep` only so many dated tags of each name
    stay, the newest; their blobs stay until `collect`. `cached` are cache entries that were
    stored. Raises UsageError for a bad name; NotFound or Damaged, and tags nothing, if what is to
    be tagged is not there in the right size.
    """
    for name in images:
        check_tag(name)
    with layout.editing_index() as before:
        for descriptor in (*images.values(), *cached):
            layout.require(descriptor)
        names: dict[str, tuple[str, ...]] = {name: (name,) for name in images}
        if date is not None:
            dated = next_dated(images, date, before.names())
            names = {name: (name, dated[name]) for name in images}
        tags = {tag: images[name] for name, both in names.items() for tag in both}
        index = with_entries(before.with_tags(tags), cached)
        if keep is not None:
            index = _thinned(index, images, keep)
        if index.entries != before.entries:
            layout.write_index(index)
    return names


def _thinned(index: IndexFile, names: Collection[str], keep: int) -> IndexFile:
    mine = [tag for tag in index.tags() if (dated := parse_dated(tag)) and dated.name in names]
    return index.without(set(outdated(mine, keep=keep, today=datetime.date.min)))
