"""The proxies that the environment names: http_proxy, https_proxy, all_proxy, no_proxy."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from genoci.errors import BuildError


class Proxy(NamedTuple):
    """`url` without credentials; `login` is `USER:PASSWORD`, or None."""

    url: str
    login: str | None


def proxy_for(url: str) -> Proxy | None:
    """The proxy to fetch `url` through; None: go there directly.

    Raises BuildError for one that can't be meant, or is of a kind that is not spoken.
    """
    parts = urlsplit(url)
    proxies = getproxies_environment()
    name = parts.scheme if parts.scheme in proxies else "all"
    value = proxies.get(name, "")
    if not value or proxy_bypass(parts.netloc.rpartition("@")[2], proxies):
        return None
    return _parsed(value, f"{name}_proxy")


def _parsed(value: str, variable: str) -> Proxy:
    mend = "Set it to http://HOST:PORT, or unset it; no_proxy names hosts to go to without it."
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port
    except ValueError as error:
        raise BuildError("the proxy's address can't be read", where=variable, mend=mend) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"a proxy of the kind {parts.scheme}:// can't be used"
        raise BuildError(what, where=variable, mend=mend)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    login = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(url, login)
