"""Words of a package in messages of ours."""

from __future__ import annotations

from genoci.layer.tar import shown


def readable(text: str) -> str:
    """Hostile text as one line of a bounded length, with nothing that a terminal obeys."""
    return shown(text.encode("utf-8", "surrogatepass"))
