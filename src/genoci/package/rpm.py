"""An rpm package: what it says of itself, and whether it is whole.

rpm's docs/manual/format_v4.md and format_v6.md: a lead, a header that vouches, the header, the
payload.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from genoci.errors import ArchiveError
from genoci.package import rpm_header
from genoci.package.ar import FETCH_AGAIN
from genoci.package.control import Identity
from genoci.package.rpm_header import Header
from genoci.package.rpm_tags import DIGESTS, Sense, Signature, Tag
from genoci.package.script import Script
from genoci.package.window import Window
from genoci.package.wording import readable

_LEAD = 96  # bytes
_SOURCE = b"\0\x01"
_MOST_SIGNATURE = 64 << 20  # bytes; signatures of single files are in it
_CHUNK = 1 << 20
_LATEST = (1 << 32) - 1  # seconds; what rpm has room for

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_VERSION = re.compile(r"[A-Za-z0-9_.+~^-]{1,200}")
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]{1,64}")


class Rpm(NamedTuple):
    """`payload` is where that begins, in bytes from the beginning of the file."""

    identity: Identity
    signature: Header
    header: Header
    payload: int

    @property
    def time(self) -> int:
        """When it was built, in seconds."""
        return min(self.header.number(Tag.BUILD_TIME) or 0, _LATEST)

    def scripts(self) -> Iterator[Script]:
        """Those that an installation runs; the others are for a removal."""
        for name, text, program in _SCRIPTS:
            if text in self.header or program in self.header:
                argv = b" ".join(self.header.strings(program)).decode("utf-8", "replace")
                yield Script(self.identity.name, name, argv or "/bin/sh", self.header.string(text))
        for name, tags in _TRIGGERS:
            yield from self._triggers(name, *tags)

    def _triggers(self, name: str, texts: Tag, programs: Tag, flags: Tag, index: Tag) -> Any:
        """Those for what other packages bring, not for what they take away."""
        found = self.header.strings(texts)
        runs = self.header.strings(programs)
        of_script: dict[int, int] = {}
        for flag, number in zip(
            self.header.numbers(flags), self.header.numbers(index), strict=False
        ):
            of_script[number] = of_script.get(number, 0) | flag
        for number, text in enumerate(found):
            if of_script.get(number, 0) & (Sense.TRIGGER_IN | Sense.TRIGGER_PRE_IN):
                program = runs[number].decode("utf-8", "replace") if number < len(runs) else ""
                shown = text.decode("utf-8", "replace")
                yield Script(self.identity.name, name, program or "/bin/sh", shown)


_SCRIPTS = (
    ("%pretrans", Tag.PRE_TRANSACTION, Tag.PRE_TRANSACTION_PROGRAM),
    ("%pre", Tag.PRE, Tag.PRE_PROGRAM),
    ("%post", Tag.POST, Tag.POST_PROGRAM),
    ("%posttrans", Tag.POST_TRANSACTION, Tag.POST_TRANSACTION_PROGRAM),
)
_TRIGGERS = (
    (
        "%triggerin",
        (Tag.TRIGGER_SCRIPTS, Tag.TRIGGER_PROGRAMS, Tag.TRIGGER_FLAGS, Tag.TRIGGER_INDEX),
    ),
    (
        "%filetriggerin",
        (
            Tag.FILE_TRIGGER_SCRIPTS,
            Tag.FILE_TRIGGER_PROGRAMS,
            Tag.FILE_TRIGGER_FLAGS,
            Tag.FILE_TRIGGER_INDEX,
        ),
    ),
    (
        "%transfiletriggerin",
        (
            Tag.TRANSACTION_TRIGGER_SCRIPTS,
            Tag.TRANSACTION_TRIGGER_PROGRAMS,
            Tag.TRANSACTION_TRIGGER_FLAGS,
            Tag.TRANSACTION_TRIGGER_INDEX,
        ),
    ),
)


def read(fd: int, named: str) -> Rpm:
    """What the headers say. Raises ArchiveError for what is no package, or cut off in them."""
    lead = os.pread(fd, _LEAD, 0)
    if len(lead) < _LEAD:
        raise ArchiveError("the package is cut off", where=named, mend=FETCH_AGAIN)
    signature = rpm_header.read(fd, _LEAD, named, most=_MOST_SIGNATURE)
    at = _LEAD + len(signature.raw)
    at += -at % 8
    header = rpm_header.read(fd, at, named)
    if lead[6:8] == _SOURCE or Tag.SOURCE_PACKAGE in header:
        mend = "Build it, and install what comes out."
        raise ArchiveError("is a source package", where=named, mend=mend)
    return Rpm(_identity(header, named), signature, header, at + len(header.raw))


def _identity(header: Header, named: str) -> Identity:
    name, architecture = header.string(Tag.NAME), header.string(Tag.ARCHITECTURE)
    version, release = header.string(Tag.VERSION), header.string(Tag.RELEASE)
    epoch = header.number(Tag.EPOCH)
    for meaning, text, pattern in (
        ("name", name, _NAME),
        ("version", version, _VERSION),
        ("release", release, _VERSION),
        ("architecture", architecture, _ARCHITECTURE),
    ):
        if pattern.fullmatch(text) is None:
            raise ArchiveError(f"its {meaning} can't be {text[:80]!r}", where=named)
    prefix = "" if epoch is None else f"{epoch}:"
    return Identity(name, f"{prefix}{version}-{release}", architecture)


def verify(fd: int, package: Rpm, named: str) -> None:
    """Compare every digest that the package carries with what it holds.

    Raises ArchiveError for one that differs, and for a payload that none vouches for.
    """
    header, signature = package.header, package.signature
    size = signature.number(Signature.LONG_SIZE) or signature.number(Signature.SIZE)
    found = os.fstat(fd).st_size - package.payload + len(header.raw)
    if size is not None and found < size:
        what = f"the package is cut off: {size - found} bytes are missing"
        raise ArchiveError(what, where=named, mend=FETCH_AGAIN)
    for tag, algorithm in ((Signature.SHA1, "sha1"), (Signature.SHA256, "sha256")):
        if expected := signature.string(tag):
            digest = hashlib.new(algorithm, header.raw, usedforsecurity=False).hexdigest()
            _compare(expected, digest, f"{algorithm} of its header", named)
    _verify_payload(fd, package, named)


def _verify_payload(fd: int, package: Rpm, named: str) -> None:
    header = package.header
    expected: list[tuple[str, Any, str]] = []
    if md5 := package.signature.blob(Signature.MD5):
        both = hashlib.md5(header.raw, usedforsecurity=False)
        expected.append((md5.hex(), both, "md5"))
    if alone := header.string(Tag.PAYLOAD_DIGEST):
        algorithm = DIGESTS.get(header.number(Tag.PAYLOAD_DIGEST_ALGORITHM) or 8)
        if algorithm is None:
            raise ArchiveError("its payload has a digest of an unknown kind", where=named)
        expected.append((alone, hashlib.new(algorithm, usedforsecurity=False), algorithm))
    if not expected:
        raise ArchiveError(
            "carries no digest of its payload, so nobody can tell whether it is whole",
            where=named,
            mend="Build it again with a current rpmbuild.",
        )
    payload = Window(fd, package.payload, os.fstat(fd).st_size - package.payload)
    while chunk := payload.read(_CHUNK):
        for _, digest, _ in expected:
            digest.update(chunk)
    for value, digest, algorithm in expected:
        _compare(value, digest.hexdigest(), f"{algorithm} of its payload", named)


def _compare(expected: str, found: str, meaning: str, named: str) -> None:
    if expected.lower() != found:
        what = (
            f"the package is damaged: the {meaning} is {found}, and should be {readable(expected)}"
        )
        raise ArchiveError(what, where=named, mend=FETCH_AGAIN)
