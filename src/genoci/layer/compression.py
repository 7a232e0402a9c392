"""Which compression a layer has: an algorithm and a level, as users write them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from genoci.errors import UsageError

Algorithm = Literal["gzip", "zstd", "none"]

# isal has a level 3, whose output differs between processors with and without AVX2 and AVX-512.
_LEVELS = {"gzip": range(3), "zstd": range(1, 20), "none": range(0)}
_DEFAULT = {"gzip": 1, "zstd": 3}
_MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}


class _Fields(NamedTuple):
    algorithm: Algorithm
    level: int | None


class Compression(_Fields):
    """An algorithm and its level; None is its default level. Raises UsageError for a wrong one."""

    __slots__ = ()

    def __new__(cls, algorithm: Algorithm, level: int | None = None) -> Compression:
        levels = _LEVELS.get(algorithm)
        if levels is None:
            raise UsageError(
                f"'{algorithm}' is no compression of layers",
                mend="Write gzip or zstd, or none, with a level if you like: zstd:19.",
            )
        if level is not None and level not in levels:
            raise UsageError(
                f"{algorithm} has no level {level}", mend=f"Write {_choice(algorithm)}."
            )
        return super().__new__(cls, algorithm, level)

    @classmethod
    def parse(cls, text: str) -> Compression:
        """From "gzip", "zstd:19", "none". Raises UsageError."""
        algorithm, colon, level = text.partition(":")
        if not colon:
            return cls(algorithm)  # type: ignore[arg-type]
        cls(algorithm)  # type: ignore[arg-type]
        if not (level.isascii() and level.isdigit() and len(level) < 4):
            what = f"'{level}' is no level of {algorithm}"
            raise UsageError(what, mend=f"Write {_choice(algorithm)}.")
        return cls(algorithm, int(level))  # type: ignore[arg-type]

    @property
    def media_type(self) -> str:
        """Of a layer that is compressed so (image specification, 'Image Layer Filesystem')."""
        return _MEDIA_TYPES[self.algorithm]

    @property
    def effective_level(self) -> int:
        """The level, or the algorithm's default; 0 for none."""
        return _DEFAULT.get(self.algorithm, 0) if self.level is None else self.level


def _choice(algorithm: str) -> str:
    levels = _LEVELS[algorithm]
    if not levels:
        return f"{algorithm} without a level"
    return f"{algorithm}:{levels[0]} to {algorithm}:{levels[-1]}, or just {algorithm}"
