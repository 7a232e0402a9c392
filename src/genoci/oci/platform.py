"""Platforms: what an image runs on, and which of several images suits a machine."""

from __future__ import annotations

import os

import msgspec

from genoci.errors import UsageError


class Platform(msgspec.Struct, frozen=True, order=True):
    """What an image runs on, in Go's words; `variant` may be empty."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Of "linux/arm64/v8" or "linux/386"; raises UsageError."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(_is_word(part) for part in parts):
            raise UsageError(
                f"{text!r} is not a platform",
                mend="Write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/arm64/v8.",
            )
        return cls(*parts)

    @classmethod
    def host(cls) -> Platform:
        """What this machine runs; linux, whatever the kernel is called."""
        machine = os.uname().machine
        return cls("linux", *_MACHINES.get(machine, (machine,)))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def distance_to(self, wanted: Platform) -> int | None:
        """How far an image for this platform is from `wanted`, 0 being exact; None: no use."""
        if (self.os, self.architecture) != (wanted.os, wanted.architecture):
            return None
        have, want = _variant(self), _variant(wanted)
        if have == want:
            return 0
        if not have or not want:
            return 1
        if self.architecture == "arm" and have < want:  # a v7 runs what was made for v6
            return 1 + ord(want[-1]) - ord(have[-1])
        return None


_MACHINES = {
    "x86_64": ("amd64",),
    "aarch64": ("arm64",),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386",),
    "i486": ("386",),
    "i586": ("386",),
    "i686": ("386",),
    "loongarch64": ("loong64",),
    "mips64": ("mips64le",),
}


def _is_word(part: str) -> bool:
    return part.isascii() and bool(part) and part.replace("-", "").replace("_", "").isalnum()


def _variant(platform: Platform) -> str:
    """`v8` is what every arm64 is, written or not."""
    if platform.architecture == "arm64" and platform.variant == "v8":
        return ""
    return platform.variant
