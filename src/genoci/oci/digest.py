"""Content digests, and the chain IDs of the image specification (config.md, 'Layer ChainID')."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec

_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")


class Digest(msgspec.Struct, frozen=True, order=True):
    """A digest as the image specification writes it; `str()` gives "sha256:…".

    Raises ValueError for any algorithm but sha256 and for a malformed hexadecimal part: a
    digest becomes a file name, so nothing else may ever be one.
    """

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(f"{self.algorithm}:{self.hex}"):
            raise ValueError(f"not a sha256 digest: {self.algorithm}:{self.hex}")

    @classmethod
    def parse(cls, text: str) -> Digest:
        algorithm, _, hexadecimal = text.partition(":")
        return cls(algorithm, hexadecimal)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        return cls("sha256", hashlib.sha256(content).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    """The chain ID of a layer on top of `parent` (None: it is the lowest)."""
    return diff_id if parent is None else Digest.of(f"{parent} {diff_id}".encode())


def chain_ids(diff_ids: Iterable[Digest]) -> list[Digest]:
    """The chain ID of every layer, lowest first."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(chain_id(chain[-1] if chain else None, diff_id))
    return chain
