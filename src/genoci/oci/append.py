"""More tags for images that an `index.json` has already, without reading it as a document.

With thousands of tags, and for a build that has nothing else to do, reading it is what costs most.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

REF_NAME = "org.opencontainers.image.ref.name"
_END = b"]}"


def with_tags(content: bytes, tags: Iterable[tuple[str, str, str, int]]) -> bytes:
    """The index with an entry for each tag: its name, and media type, digest and size of an image.

    `content` is an index as `IndexFile.encoded` gives it, and not without entries: `manifests`
    come last, and what is put behind them goes into no other list. The names are new ones.
    """
    entries = b"".join(b"," + _entry(*tag) for tag in tags)
    return content.removesuffix(_END) + entries + _END


def _entry(name: str, media_type: str, digest: str, size: int) -> bytes:
    entry: Mapping[str, Any] = {
        "mediaType": media_type,
        "digest": digest,
        "size": size,
        "annotations": {REF_NAME: name},
    }
    return json.dumps(entry, separators=(",", ":")).encode()
