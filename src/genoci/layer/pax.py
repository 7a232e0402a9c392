"""PAX extended headers: records, times, and extended attributes in their keywords.

POSIX.1-2017 pax, "pax Extended Header". `SCHILY.*` keywords are star's and GNU tar's,
`LIBARCHIVE.*` are bsdtar's.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from collections.abc import Iterable, Mapping

from genoci.layer import acl
from genoci.layer.tar_header import LARGEST, Malformed

# The largest extended header, and the largest GNU long name. Go's archive/tar, which umoci,
# skopeo and all the engines use, stops at the same size, so a larger one is read by nobody.
MOST = 1 << 20

SCHILY_XATTR = b"SCHILY.xattr."
_LIBARCHIVE_XATTR = b"LIBARCHIVE.xattr."
_ACLS = {
    b"SCHILY.acl.access": b"system.posix_acl_access",
    b"SCHILY.acl.default": b"system.posix_acl_default",
}
_DROPPED = (b"trusted.overlay.", b"user.overlay.", b"user.genoci.")

# What only one entry can have. In a global header it would give all entries one name or size,
# and readers disagree on whether it does.
_OWN = (b"path", b"linkpath", b"size", b"GNU.sparse.")

_TIME = re.compile(rb"(-?)(\d{1,20})(?:\.(\d*))?")
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


def records(body: bytes) -> dict[bytes, bytes]:
    """The records that `layer` knows the meaning of, by keyword; the last one of each counts.

    The pairs of GNU's sparse format 0.0, the only repeated keywords, come joined by commas as
    b"GNU.sparse.map", as format 0.1 has them. Raises Malformed.
    """
    found: dict[bytes, bytes] = {}
    runs: list[bytes] = []
    for keyword, value in _pairs(body):
        if keyword in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            if (keyword == b"GNU.sparse.offset") != (len(runs) % 2 == 0):
                raise Malformed("the sparse map has offsets and sizes that don't alternate")
            runs.append(value)
        elif _known(keyword):
            found[keyword] = value
    if runs:
        found[b"GNU.sparse.map"] = b",".join(runs)
    return found


def _pairs(body: bytes) -> Iterable[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 9)
        digits = body[at:space]
        if space < 0 or not digits.isdigit():
            if not body[at:].strip(b"\0"):
                return  # padded, as some writers do
            raise Malformed(f"the extended header has no length at its byte {at}")
        end = at + int(digits)
        if end > len(body) or end < space + 2 or body[end - 1] != 0x0A:
            raise Malformed(f"the extended header has a wrong length at its byte {at}")
        keyword, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or not keyword:
            raise Malformed(f"the extended header has no keyword at its byte {at}")
        yield keyword, value
        at = end


_PLAIN = frozenset(
    b"path linkpath size uid gid mtime SCHILY.devmajor SCHILY.devminor SCHILY.filetype".split()
).union(_ACLS)


def _known(keyword: bytes) -> bool:
    return keyword in _PLAIN or keyword.startswith(
        (SCHILY_XATTR, _LIBARCHIVE_XATTR, b"GNU.sparse.")
    )


def for_all(body: bytes, before: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What holds for every later entry after a global header; `before`: what held until then."""
    new = records(body)
    for keyword in new:
        if keyword.startswith(_OWN):
            raise Malformed(f"a global header gives one {keyword.decode()} to every entry")
    together = {k: v for k, v in {**before, **new}.items() if v or k.startswith(SCHILY_XATTR)}
    if sum(len(k) + len(v) for k, v in together.items()) > MOST:
        raise Malformed(f"the global headers say more than {MOST} bytes")
    return together


def merged(before: dict[bytes, bytes], new: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """One member's records, when it has several extended headers: the later ones count."""
    if not before:
        return new
    together = before | new
    if sum(len(k) + len(v) for k, v in together.items()) > 2 * MOST:
        raise Malformed(f"the extended headers of one entry say more than {2 * MOST} bytes")
    return together


def pack(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The body of an extended header; `pairs` in the order given."""
    return b"".join(_record(keyword, value) for keyword, value in pairs)


def _record(keyword: bytes, value: bytes) -> bytes:
    bare = len(keyword) + len(value) + 3
    length = bare + len(str(bare))
    length = bare + len(str(length))  # one digit more, when the digits themselves cross a power
    return b"%d %b=%b\n" % (length, keyword, value)


def whole_number(value: bytes, meaning: str) -> int:
    if not value.isdigit() or len(value) > 20 or int(value) > LARGEST:
        raise Malformed(f"the {meaning} is no number: {value[:40]!r}")
    return int(value)


def text(value: bytes, meaning: str) -> bytes:
    if b"\0" in value:
        raise Malformed(f"the {meaning} has a NUL in it")
    return value


def nanoseconds(value: bytes) -> int:
    """A PAX time. What is finer than a nanosecond is cut off, toward the past."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise Malformed(f"the time is no number: {value[:40]!r}")
    sign, seconds, fraction = match[1], match[2], match[3] or b""
    time = int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0"))
    if not sign:
        return within(time)
    return within(-time - bool(fraction[9:].strip(b"0")))


def within(time: int) -> int:
    """The nearest nanosecond to `time` that 64 bits can say: 1677 to 2262.

    No filesystem of Linux goes further back, and the kernel does the same with what a filesystem
    can't store. An image with nonsense for a time (the year 1 is Go's zero) can still be used.
    """
    return min(max(time, _EARLIEST), _LATEST)


def seconds(time: int) -> bytes:
    """The PAX time of `time` nanoseconds, with no digits that say nothing."""
    sign, size = (b"-", -time) if time < 0 else (b"", time)
    whole, fraction = divmod(size, 10**9)
    if not fraction:
        return b"%b%d" % (sign, whole)
    return b"%b%d.%b" % (sign, whole, (b"%09d" % fraction).rstrip(b"0"))


def keeps(name: bytes) -> bool:
    """Whether an xattr belongs to a layer: not what describes this machine's own filesystem."""
    return name != b"security.selinux" and not name.startswith(_DROPPED)


def xattr_keyword(name: bytes) -> bytes:
    """`=` would end the keyword; GNU tar writes it so, and hence `%` as well."""
    return SCHILY_XATTR + name.replace(b"%", b"%25").replace(b"=", b"%3D")


def xattrs(found: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Sorted by name. The raw form of a value counts before bsdtar's and before an ACL's text."""
    values: dict[bytes, bytes] = {}
    for keyword, value in found.items():
        if keyword.startswith(SCHILY_XATTR):
            name = keyword[len(SCHILY_XATTR) :].replace(b"%3D", b"=").replace(b"%25", b"%")
            values[name] = value
    for keyword, value in found.items():
        if keyword.startswith(_LIBARCHIVE_XATTR):
            quoted = keyword[len(_LIBARCHIVE_XATTR) :]
            name = urllib.parse.unquote_to_bytes(quoted)
            values.setdefault(name, _base64(value, quoted))
        elif keyword in _ACLS and value and _ACLS[keyword] not in values:
            values[_ACLS[keyword]] = acl.binary(value)
    for name in values:
        if not name or b"\0" in name:
            raise Malformed(f"an extended attribute is named {name!r}")
    return tuple(sorted((name, value) for name, value in values.items() if keeps(name)))


def _base64(value: bytes, name: bytes) -> bytes:
    bare = value.rstrip(b"=")
    try:
        # bsdtar leaves the padding off
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise Malformed(f"the extended attribute {name!r} is not in base64") from error
