"""The two locks of a layout, files in it. Whoever wants both takes `BUSY` first."""

from __future__ import annotations

BUSY = ".genoci.lock"
"""Builds hold it shared, `gc` exclusively, so that no blob goes that is not tagged yet."""

INDEX = ".genoci.index.lock"
"""Whoever changes `index.json` holds it."""
