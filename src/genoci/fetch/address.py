"""Addresses (URLs), as people may be shown them."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown(url: str) -> str:
    """Without what may be a secret: a user, a password, a token after `?`. Never raises."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition(':')[0]}://…"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"
