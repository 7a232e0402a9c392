"""HTTP: one request, its redirects followed, and what the answer says of itself.

Nothing is decoded: a body that comes compressed stays so, and expands nowhere.
"""

from __future__ import annotations

import contextlib
import http
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from genoci.errors import BuildError
from genoci.fetch.address import shown
from genoci.fetch.limits import Limits, Unfinished
from genoci.fetch.proxies import proxy_for

_REDIRECTS = (301, 302, 303, 307, 308)
_LATER = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:([0-9]{1,18})|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_VALIDATOR = re.compile(r'"[\x21\x23-\x7e]{0,200}"|[A-Za-z0-9 ,:+-]{1,64}')  # RFC 9110, 8.8


class NoSuchRange(Unfinished):
    """What is there already is not the beginning of what the server has."""


class Answer(NamedTuple):
    """A body from byte `start` on, of a file of `total` bytes (None: nobody knows).

    `validator` tells one version of the file from another, for If-Range. `encoding` is what the
    server says that it has done to the body. `read(n)` gives at most n bytes, b"" at the end;
    it raises as `answered` does.
    """

    start: int
    total: int | None
    validator: str | None
    encoding: str
    read: Callable[[int], bytes]


@contextlib.contextmanager
def answered(url: str, *, offset: int, validator: str | None, limits: Limits) -> Iterator[Answer]:
    """The answer to a request for `url` from `offset` on.

    With an offset it may begin there or at 0. Raises Unfinished where another attempt may do
    better, NoSuchRange if it must begin at 0, and BuildError where none would.
    """
    headers = {"User-Agent": "genoci", "Accept": "*/*", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator is not None:
            headers["If-Range"] = validator
    with contextlib.ExitStack() as stack:
        here = _with_small_scheme(url)
        for _ in range(limits.redirects + 1):
            response = stack.enter_context(_requested(here, headers, limits))
            if response.status not in _REDIRECTS:
                yield _answer(response, here, offset)
                return
            here = _next(here, response.headers.get("Location", ""))
            stack.close()
        raise BuildError(
            f"it is redirected more than {limits.redirects} times",
            mend="Ask whoever runs the server, or name another address.",
        )


def _with_small_scheme(url: str) -> str:
    scheme, _, rest = url.partition(":")
    return f"{scheme.lower()}:{rest}"


@contextlib.contextmanager
def _requested(
    url: str, headers: dict[str, str], limits: Limits
) -> Iterator[urllib3.BaseHTTPResponse]:
    timeout = urllib3.Timeout(connect=limits.connect, read=limits.stall)
    with _pool(url, timeout) as pool, _translated(url):
        response = pool.request(
            "GET", url, headers=headers, redirect=False, retries=False, preload_content=False
        )
    try:
        yield response
    finally:
        response.close()  # and not drained: the rest of the body is nobody's business


def _pool(url: str, timeout: urllib3.Timeout) -> urllib3.PoolManager:
    proxy = proxy_for(url)
    context = None
    if url.startswith("https:") or (proxy and proxy.url.startswith("https:")):
        context = ssl.create_default_context()  # the system's authorities, or SSL_CERT_FILE's
    if proxy is None:
        return urllib3.PoolManager(timeout=timeout, ssl_context=context)
    login = urllib3.make_headers(proxy_basic_auth=proxy.login) if proxy.login else None
    return urllib3.ProxyManager(
        proxy.url,
        proxy_headers=login,
        proxy_ssl_context=context,
        timeout=timeout,
        ssl_context=context,
    )


def _next(here: str, location: str) -> str:
    """Where a redirect leads; BuildError for where nobody should be led."""
    mend = "Name the address that it leads to, if you trust it."
    try:
        there = urljoin(here, location)
        parts = urlsplit(there)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not location or not host or not there.isascii() or not there.isprintable():
        raise BuildError(f"{shown(here)} redirects to nowhere", mend=mend)
    if parts.scheme not in ("http", "https"):
        raise BuildError(f"{shown(here)} redirects to what is no http: {parts.scheme}:", mend=mend)
    if parts.username is not None:
        raise BuildError(f"{shown(here)} redirects with a login of its own", mend=mend)
    if here.startswith("https:") and parts.scheme == "http":
        raise BuildError(f"{shown(here)} redirects from https to http: {shown(there)}", mend=mend)
    return parts._replace(fragment="").geturl()


def _answer(response: urllib3.BaseHTTPResponse, url: str, offset: int) -> Answer:
    if response.status == 206 and offset:
        start, total = _range(response)
    elif response.status == 200:
        start, total = 0, _length(response)
    else:
        raise _refused(response.status, url)

    def read(count: int) -> bytes:
        with _translated(url):
            # Not read(): of a chunk that claims a length of -1 it takes all that comes.
            return response.read1(count, decode_content=False) or b""

    return Answer(start, total, _validator(response), _encoding(response), read)


def _range(response: urllib3.BaseHTTPResponse) -> tuple[int, int | None]:
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        raise NoSuchRange("the server does not say what part it sends")
    return int(found[1]), int(found[2]) if found[2] else None


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    chunked = "Transfer-Encoding" in response.headers
    return int(text) if _LENGTH.fullmatch(text) and not chunked else None


def _validator(response: urllib3.BaseHTTPResponse) -> str | None:
    """A strong entity tag, or else the date of the last change."""
    text = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return text if _VALIDATOR.fullmatch(text) else None


def _encoding(response: urllib3.BaseHTTPResponse) -> str:
    text = response.headers.get("Content-Encoding", "").strip().lower()
    return text if re.fullmatch(r"[a-z0-9, -]{1,40}", text) and text != "identity" else ""


def _refused(status: int, url: str) -> Exception:
    try:
        phrase = f" ({http.HTTPStatus(status).phrase})"
    except ValueError:  # and the server's own words are not repeated
        phrase = ""
    what = f"{urlsplit(url).hostname} answers {status}{phrase}"
    if status in _LATER:
        return Unfinished(what)
    if status == 416:
        return NoSuchRange(what)
    mends = {
        401: "genoci logs in nowhere; download it first: `curl -u USER -LO ADDRESS`.",
        403: "See if a browser gets it; genoci logs in nowhere.",
        404: "See if the address is right, and if the file is still there.",
        407: "The proxy wants a login: http_proxy=http://USER:PASSWORD@HOST:PORT.",
        410: "The file is gone; name another address.",
    }
    return BuildError(what, mend=mends.get(status, "See what a browser gets there."))


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """What urllib3, http.client and sockets raise, as an Unfinished or a BuildError."""
    try:
        yield
    except (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise _told(error, url) from error


def _told(error: BaseException, url: str) -> Exception:
    causes = list(_causes(error))
    who, through = _whom(
        url, met_the_proxy=any(isinstance(c, exceptions.ProxyError) for c in causes)
    )
    for cause in causes:
        match cause:
            case socket.gaierror(errno=socket.EAI_AGAIN):
                return Unfinished(f"no name server answers about {who}")
            case socket.gaierror() | exceptions.LocationParseError() | UnicodeError():
                return BuildError(f"the name of {who} is not known", mend="See if it is right.")
            case ssl.SSLCertVerificationError():
                return _untrusted(cause, who)
            case http.client.IncompleteRead() | exceptions.IncompleteRead():
                return Unfinished(f"it broke off{through}")
            case ConnectionRefusedError():
                mend = "See if the server runs, if the port is right, and if a proxy is needed."
                return BuildError(f"{who} refuses the connection", mend=mend)
            case ConnectionError() | ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return Unfinished(f"the connection to {who} was lost{through}")
            case ssl.SSLError():
                mend = "Does the server speak https on this port? `curl -v ADDRESS` says more."
                reason = str(cause.reason or "").replace("_", " ").lower()
                return BuildError(f"{who} does not speak TLS: {reason}{through}", mend=mend)
            case TimeoutError() | exceptions.TimeoutError():
                return Unfinished(f"{who} does not answer{through}")
            case OSError(strerror=str() as reason, errno=int()):
                mend = "See if this machine has a network, and if a proxy is needed."
                return BuildError(f"{who} can't be reached: {reason}{through}", mend=mend)
    what = f"{who} answers what is no HTTP{through}"
    return BuildError(what, mend="See what a browser gets there.")


def _whom(url: str, *, met_the_proxy: bool) -> tuple[str, str]:
    """With whom it failed, and what was between."""
    proxy = proxy_for(url)
    between = f"the proxy {urlsplit(proxy.url).netloc}" if proxy else ""
    if met_the_proxy:
        return between, ""
    return urlsplit(url).hostname or "", f" (through {between})" if between else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, the innermost first."""
    if error is None:
        return
    inner = [a for a in error.args if isinstance(a, BaseException)]
    for cause in (error.__cause__ or error.__context__, *inner):
        if cause is not error:
            yield from _causes(cause)
    yield error


def _untrusted(error: ssl.SSLCertVerificationError, who: str) -> BuildError:
    return BuildError(
        f"the certificate of {who} is not to be trusted: {error.verify_message}",
        mend="See if the clock is right and the package ca-certificates is there; "
        "an authority of your own: SSL_CERT_FILE=FILE.",
    )
