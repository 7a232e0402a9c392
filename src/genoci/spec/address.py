"""Addresses (URLs) in a YAML file: which can be fetched, and how messages show them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from genoci.spec.problems import Mistake
from genoci.spec.target import Place
from genoci.spec.wording import quoted

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PRINTABLE = re.compile(r"[!-~]+")  # RFC 3986 knows nothing but visible ASCII
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+")
_LONGEST = 4096


def is_one(word: str) -> bool:
    return _SCHEME.match(word) is not None


def checked(word: str, place: Place) -> str:
    """An address as messages may show it; a Mistake at `place` if it can't be fetched."""
    parts = _parts(word)
    shown = _shown(word, parts)
    what = f"{quoted(shown)} can't be fetched"
    if len(word) > _LONGEST:
        raise Mistake(place, f"{what}: it is longer than {_LONGEST} characters")
    scheme = word.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise Mistake(place, what, "an address begins with `https://` or `http://`")
    if not _PRINTABLE.fullmatch(word):
        mend = "write blanks and letters beyond ASCII as `%20` and the like"
        raise Mistake(place, f"{what}: it holds what no address does", mend)
    if parts is None or not _HOST.fullmatch(parts.hostname or ""):
        raise Mistake(place, f"{what}: its host is wrong", "`https://HOST/PATH`, or HOST:PORT")
    if parts.username is not None or parts.password is not None:
        mend = "a password in a file is no secret; download it first: `curl -u USER -LO ADDRESS`"
        raise Mistake(place, f"{what}: it holds a user or a password", mend)
    if parts.fragment or word.endswith("#"):
        mend = "delete it; what the file must be is said by `sha256`"
        raise Mistake(place, f"{what}: what follows `#` is never sent", mend)
    return shown


def _parts(word: str) -> SplitResult | None:
    try:
        parts = urlsplit(word)
        return parts if parts.port != 0 else None
    except ValueError:  # brackets that don't match, a port that is no number
        return None


def _shown(word: str, parts: SplitResult | None) -> str:
    """The address without what may be a secret: a password, a token after `?`."""
    scheme, _, rest = word.partition("://")
    rest, question, _ = rest.partition("?")
    # Where it ends, of an address that can't be parsed, nobody knows: the last `@` is safest.
    secret, at, _ = (rest if parts is None else parts.netloc).rpartition("@")
    hidden = f"…@{rest[len(secret) + 1 :]}" if at else rest
    return f"{scheme}://{hidden}{'?…' if question else ''}"
