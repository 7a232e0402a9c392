"""Dropping what nothing needs: old dated tags, blobs that nothing reaches, what the killed left."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from genoci import files
from genoci.errors import LayoutError, UsageError
from genoci.oci.blobs import Blobs
from genoci.oci.cache import is_cache_entry, layers_of, target_of
from genoci.oci.digest import Digest
from genoci.oci.documents import DOCUMENT_LIMIT, INDEX, MANIFEST, Descriptor, standard
from genoci.oci.index import Entry, IndexFile
from genoci.oci.layout import Layout
from genoci.oci.parse import parse_mapping
from genoci.oci.reference import Dated, parse_dated


class Report(msgspec.Struct, frozen=True):
    """What was dropped, or with a dry run would be; `bytes` is what the blobs took on disk.

    `leftovers` are the names of files that killed writers left, and their sizes.
    """

    tags: tuple[str, ...]
    blobs: tuple[Digest, ...]
    bytes: int
    leftovers: tuple[tuple[str, int], ...] = ()


def outdated(
    tags: Iterable[str],
    *,
    keep: int | None = None,
    keep_days: int | None = None,
    today: datetime.date,
) -> tuple[str, ...]:
    """The dated tags that may go: those that neither rule wants to keep.

    `keep` is how many to keep of each name, the newest; `keep_days` keeps those of that many days
    before `today` and after. With neither, all stay. Tags that are not dated always stay.
    """
    if min(keep or 0, keep_days or 0) < 0:
        raise UsageError("how much to keep can't be less than nothing")
    if keep is None and keep_days is None:
        return ()
    oldest = ""
    if keep_days is not None:
        days = min(keep_days, (today - datetime.date.min).days)
        oldest = (today - datetime.timedelta(days=days)).isoformat()
    by_name: defaultdict[str, list[Dated]] = defaultdict(list)
    for dated in filter(None, map(parse_dated, tags)):
        by_name[dated.name].append(dated)
    return tuple(
        str(dated)
        for of_one_name in by_name.values()
        for age, dated in enumerate(sorted(of_one_name, reverse=True))
        if (keep is None or age >= keep) and (keep_days is None or dated.date < oldest)
    )


def collect(
    layout: Layout,
    *,
    keep: int | None = None,
    keep_days: int | None = None,
    today: datetime.date,
    dry_run: bool = False,
) -> Report:
    """Drop outdated tags, then every blob that nothing in `index.json` reaches.

    Everything that is in `index.json` is reached, tagged or not; so is what it refers to, its
    subject included, and a manifest whose subject is reached. Cache entries are not: those whose
    layer nothing else reaches are dropped. Waits for nobody: raises LayoutError
    while a build holds the layout. Raises LayoutError, and drops nothing, if a document that may
    lead to blobs can't be read. If it is killed, the tags are gone and any of the blobs.
    """
    with layout.holding(shared=False):
        return collect_held(layout, keep=keep, keep_days=keep_days, today=today, dry_run=dry_run)[0]


def collect_held(
    layout: Layout,
    *,
    keep: int | None,
    keep_days: int | None,
    today: datetime.date,
    dry_run: bool,
    in_hand: Collection[Descriptor] = (),
) -> tuple[Report, IndexFile]:
    """`collect`, for whoever holds the layout alone; and the index that is left, or would be.

    What `in_hand` describes stays, with all below it, as if `index.json` had it.
    """
    with layout.editing_index() as index:
        tags = outdated(index.tags(), keep=keep, keep_days=keep_days, today=today)
        remaining, alive = _living(layout, index.without(set(tags)), in_hand)
        blobs = [digest for digest in sorted(layout.blobs.digests()) if digest not in alive]
        dead = [digest for digest in blobs if layout.blobs.has(digest)]
        freed = sum(_room(layout.blobs.path(digest)) for digest in dead)
        left = files.abandoned(layout.path)
        leftovers = tuple((name, _room(layout.path / name)) for name in left)
        report = Report(tags, tuple(dead), freed, leftovers)
        if not dry_run:
            if len(remaining.entries) < len(index.entries):
                layout.write_index(remaining)
            for digest in dead:
                layout.blobs.remove(digest)
            files.sweep(layout.path)
    return report, remaining


def _room(path: Path) -> int:
    """What a file takes on the disk, in bytes."""
    return path.lstat().st_blocks * 512


def _living(
    layout: Layout, index: IndexFile, in_hand: Collection[Descriptor]
) -> tuple[IndexFile, set[Digest]]:
    """`index` without the cache entries that nothing needs, and the blobs that it leads to.

    Raises LayoutError if that can't be told.
    """
    mark = _Mark(layout.blobs)
    for descriptor in in_hand:
        mark.document(descriptor.digest, descriptor.media_type, needed=False)
    for entry in index.entries:
        if is_cache_entry(entry):
            continue
        if entry.descriptor is None:
            raise LayoutError(
                f"an entry can't be followed: {bytes(entry.raw)[:200]!r}",
                where=str(layout.index_path),
                mend=_MEND,
            )
        mark.document(entry.descriptor.digest, entry.descriptor.media_type, needed=True)
    mark.referrers()
    tags = index.tags()
    remaining: list[Entry] = []
    for entry in index.entries:
        if is_cache_entry(entry):
            found = layers_of(layout, entry)
            if found is None or not mark.reached.issuperset(found):
                continue
            if not found and target_of(entry) not in tags:
                continue
            assert entry.descriptor is not None
            mark.document(entry.descriptor.digest, MANIFEST, needed=False)
        remaining.append(entry)
    return index._replace(entries=tuple(remaining)), mark.reached


_MEND = (
    "Nothing was dropped, since nobody knows which blobs are needed. `genoci fsck` tells more; "
    "build the image again, or take the tag away: `genoci rm TAG`."
)


class _Mark:
    """What was reached so far. Takes whatever looks like a reference for one, to lose nothing."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._read: set[Digest] = set()
        self.reached: set[Digest] = set()

    def document(self, digest: Digest, media_type: str, *, needed: bool) -> None:
        """Reach a document and all below it; if it is `needed`, it has to be there.

        An index may list images that were not copied along, and a subject may be elsewhere.
        """
        waiting = [(digest, media_type, needed)]
        while waiting:
            digest, media_type, needed = waiting.pop()
            self.reached.add(digest)
            if digest in self._read or not (needed or self._blobs.has(digest)):
                continue
            self._read.add(digest)
            for reference in self._references(digest, media_type):
                self.reached.add(reference.digest)
                if reference.is_document:
                    waiting.append((reference.digest, reference.media_type, False))

    def referrers(self) -> None:
        """Reach the manifests whose subject is reached; nothing else need name those."""
        subjects = {
            digest: subject
            for digest in self._blobs.digests()
            if digest not in self.reached and (subject := self._subject(digest))
        }
        while living := [d for d, subject in subjects.items() if subject in self.reached]:
            for digest in living:
                del subjects[digest]
                self.document(digest, MANIFEST, needed=True)

    def _references(self, digest: Digest, media_type: str) -> list[_Reference]:
        is_known = standard(media_type) in (MANIFEST, INDEX)
        size = self._blobs.size(digest) or 0
        if size > DOCUMENT_LIMIT and not is_known:
            return []
        try:
            raw = self._blobs.read(Descriptor(media_type, digest, size))
            if not is_known and not raw.startswith(b"{"):
                return []
            mapping = parse_mapping(raw, where=str(self._blobs.path(digest)))
            return list(_references(mapping, is_document=False))
        except LayoutError as error:
            where = error.where or str(self._blobs.path(digest))
            raise LayoutError(error.what, where=where, mend=_MEND) from error

    def _subject(self, digest: Digest) -> Digest | None:
        size = self._blobs.size(digest)
        if size is None or size > DOCUMENT_LIMIT:
            return None
        try:
            raw = self._blobs.read(Descriptor(MANIFEST, digest, size))
            if not raw.startswith(b"{") or b'"subject"' not in raw:
                return None
            subject = parse_mapping(raw, where="").get("subject")
            found = list(_references(subject, is_document=True))
        except LayoutError:  # not a document, and nothing has named it
            return None
        return found[0].digest if found else None


class _Reference(NamedTuple):
    digest: Digest
    media_type: str
    is_document: bool


def _references(document: Any, *, is_document: bool) -> Iterator[_Reference]:
    """Every mapping with a `digest` in `document`, however deep.

    Those under `manifests` and `subject`, and those that say so, are documents themselves.
    """
    waiting = [(document, is_document)]
    while waiting:
        value, is_document = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, is_document) for item in value]
        elif isinstance(value, dict):
            if isinstance(value.get("digest"), str):
                yield _reference(value, is_document)
            waiting += [(item, name in ("manifests", "subject")) for name, item in value.items()]


def _reference(value: dict[str, Any], is_document: bool) -> _Reference:
    media_type = value.get("mediaType")
    media_type = media_type if isinstance(media_type, str) else ""
    try:
        digest = Digest.parse(value["digest"])
    except ValueError as error:
        raise LayoutError(f"not a sha256 digest: {value['digest'][:80]!r}") from error
    return _Reference(digest, media_type, is_document or standard(media_type) in (MANIFEST, INDEX))
