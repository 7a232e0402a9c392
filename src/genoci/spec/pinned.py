"""What a lock file pins: one package exactly, and where it came from."""

from __future__ import annotations

import msgspec


class Pinned(msgspec.Struct, frozen=True):
    """A package that was, or is to be, installed by name or as a dependency.

    `manager` is the family ("deb", "rpm", "apk"), `version` as the family writes it (epoch and
    release included), `sha256` (hexadecimal) of the package's file, `source` the address that it
    was fetched from.
    """

    manager: str
    name: str
    version: str
    architecture: str
    sha256: str
    source: str
