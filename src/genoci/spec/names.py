"""What may be the name of a target, a user or a platform."""

from __future__ import annotations

import re

from genoci.spec.nodes import Scalar
from genoci.spec.problems import Mistake
from genoci.spec.wording import did_you_mean, quoted

EMPTY = "empty"
_LONGEST = 100
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DATED = re.compile(r".*-[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]+", re.DOTALL)
_USER = re.compile(r"[^\s:/,]+(:[^\s:/,]+)?")
_HIGHEST_ID = 2**32 - 2  # the last number is the kernel's 'no change'

_SYSTEMS = ("linux", "freebsd", "netbsd", "openbsd", "solaris", "windows", "darwin")
_ARCHITECTURES = (
    *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"),
    *("ppc64", "ppc64le", "riscv64", "s390x", "wasm"),
)
_ALSO_CALLED = {
    **{"x86_64": "amd64", "x86-64": "amd64", "x64": "amd64"},
    **{"i386": "386", "i486": "386", "i586": "386", "i686": "386", "x86": "386"},
    **{"aarch64": "arm64", "armhf": "arm/v7", "armv7": "arm/v7", "armv7l": "arm/v7"},
    **{"armel": "arm/v5", "armv6": "arm/v6", "armv6l": "arm/v6", "armv8": "arm64"},
    **{"ppc64el": "ppc64le", "mips64el": "mips64le", "mipsel": "mipsle", "loongarch64": "loong64"},
}
_VARIANT = re.compile(r"[a-z0-9][a-z0-9.]*")


def check_target(key: Scalar) -> None:
    """Raise a Mistake unless `key` can be a target's name, and so a tag."""
    name = key.text
    if name == EMPTY:
        raise Mistake(
            key.place,
            "`empty` can't be the name of a target",
            "it is the base that holds nothing: `base: empty`",
        )
    if len(name) > _LONGEST:
        what = f"the name {quoted(name)} is longer than {_LONGEST} characters"
        raise Mistake(key.place, what)
    if not _NAME.fullmatch(name):
        raise Mistake(
            key.place,
            f"{quoted(name)} can't be the name of a target",
            "names are letters, digits, `.`, `_` and `-`, and don't begin with `.` or `-`",
        )
    if _DATED.fullmatch(name):
        raise Mistake(
            key.place,
            f"{quoted(name)} looks like a dated tag",
            "genoci itself makes tags of this form for each build; leave out the date",
        )


def user(scalar: Scalar, key: str) -> str:
    """USER or USER:GROUP, each a name or a number."""
    mend = f"for example: `{key}: nobody`, `{key}: 1000:1000`"
    if not _USER.fullmatch(scalar.text):
        what = f"{quoted(scalar.text)} is neither USER nor USER:GROUP"
        raise Mistake(scalar.place, what, mend)
    for part in scalar.text.split(":"):
        if part.isascii() and part.isdigit() and (len(part) > 10 or int(part) > _HIGHEST_ID):
            raise Mistake(scalar.place, f"the id {quoted(part)} is larger than {_HIGHEST_ID}")
    return scalar.text


def platform(scalar: Scalar) -> str:
    """OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, in the words of the Go language."""
    parts = scalar.text.split("/")
    if len(parts) == 1:
        raise Mistake(
            scalar.place,
            f"{quoted(scalar.text)} is no platform",
            f"write OS/ARCHITECTURE: `platform: linux/{_architecture(parts[0]) or 'amd64'}`",
        )
    system, architecture, *variant = parts
    if system not in _SYSTEMS:
        raise Mistake(
            scalar.place,
            f"there is no operating system {quoted(system)}",
            did_you_mean(system, _SYSTEMS, otherwise="for example: `platform: linux/amd64`"),
        )
    if architecture not in _ARCHITECTURES:
        known = _architecture(architecture)
        raise Mistake(
            scalar.place,
            f"there is no architecture {quoted(architecture)}",
            f"write `{system}/{known}`"
            if known
            else did_you_mean(
                architecture, _ARCHITECTURES, otherwise="for example: `platform: linux/amd64`"
            ),
        )
    if variant and (len(variant) > 1 or not _VARIANT.fullmatch(variant[0])):
        raise Mistake(
            scalar.place,
            f"{quoted(scalar.text)} is no platform",
            "write OS/ARCHITECTURE/VARIANT: `platform: linux/arm/v7`",
        )
    return scalar.text


def _architecture(word: str) -> str | None:
    lower = word.lower()
    return lower if lower in _ARCHITECTURES else _ALSO_CALLED.get(lower)
