"""Downloads from servers that mean harm, or don't know what they do."""

from __future__ import annotations

import gzip
import hashlib
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import BuildError
from genoci.fetch.download import fetch
from genoci.fetch.limits import Limits
from servers import (
    CONTENT,
    DIGEST,
    HASTY,
    IMPATIENT,
    Heard,
    Reply,
    Request,
    Server,
    endless,
    head,
    in_turn,
    ranged,
    said,
    whole,
)

Serve = Callable[..., Server]
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = head("200 OK", Transfer_Encoding="chunked")


@pytest.fixture
def refused(tmp_path: Path, serve: Serve, heard: Heard) -> Callable[..., BuildError]:
    """The error of a download from a server that answers so; it leaves no file."""

    def refused(reply: Reply, limits: Limits = HASTY) -> BuildError:
        with pytest.raises(BuildError) as caught:
            fetch(serve(reply).url, DIGEST, tmp_path, heard, limits=limits)
        assert type(caught.value) is BuildError
        assert not (tmp_path / DIGEST).exists()
        return caught.value

    return refused


Refused = Callable[..., BuildError]


def test_what_has_another_digest_is_an_error_with_both(
    tmp_path: Path, refused: Refused, heard: Heard
) -> None:
    other = b"?" * 1000
    error = refused(whole(other))
    assert hashlib.sha256(other).hexdigest() in error.what
    assert DIGEST in error.what
    assert "put its sha256 into the YAML" in error.mend
    assert (tmp_path / f"{DIGEST}.part").stat().st_size == 0
    assert heard.reasons == []


def test_a_server_without_end_is_left_at_the_largest_size(tmp_path: Path, refused: Refused) -> None:
    error = refused(endless(OK + b"\r\n", b"x" * (1 << 16)))
    assert error.what == "it is larger than 8 MiB, the most that is fetched"
    assert (tmp_path / f"{DIGEST}.part").stat().st_size == 0


def test_a_size_that_is_too_large_is_refused_before_a_byte(
    tmp_path: Path, refused: Refused, heard: Heard
) -> None:
    error = refused(said(OK + b"Content-Length: 999999999999999\r\n\r\nx"))
    assert "larger than 8 MiB" in error.what
    assert heard.progress == []


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        pytest.param(OK, b"X: y\r\n", id="headers"),
        pytest.param(OK + b"X: ", b"y" * 4096, id="a-header"),
        pytest.param(b"", b"x" * 4096, id="a-status-line"),
        pytest.param(CHUNKED, b"1" * 4096, id="a-chunk-size"),
        pytest.param(CHUNKED + b"1;", b"name=value;" * 400, id="a-chunk-extension"),
        pytest.param(CHUNKED + b"-1\r\n", b"x" * 4096, id="a-chunk-of-minus-one"),
        pytest.param(CHUNKED + b"-7fffffff\r\n", b"x" * 4096, id="a-chunk-of-less"),
        pytest.param(CHUNKED + b"f" * 17 + b"\r\n", b"x" * 4096, id="a-huge-chunk"),
        pytest.param(CHUNKED, b"1\r\nx\r\n" * 1000, id="chunks"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, id="one-more-moment"),
        pytest.param(CHUNKED + b"0\r\n", b"X: y\r\n" * 100, id="trailers"),
    ],
)
def test_endless(refused: Refused, begin: bytes, again: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(endless(begin, again), IMPATIENT._replace(largest=1 << 15)).mend
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10  # KiB


def test_a_byte_now_and_then_is_too_little(refused: Refused) -> None:
    def drip(connection: socket.socket, _request: Request) -> None:
        connection.sendall(head("200 OK", Content_Length=len(CONTENT)))
        connection.settimeout(0.05)
        while True:
            connection.sendall(b"x")
            try:
                connection.recv(1)
                return
            except TimeoutError:
                pass

    assert refused(drip, IMPATIENT).what == "nearly nothing came for 0.4 seconds"


def test_a_server_that_is_silent_is_not_waited_for_for_ever(refused: Refused) -> None:
    error = refused(lambda connection, _request: connection.recv(1) and None, IMPATIENT)
    assert "nearly nothing came" in error.what or "does not answer" in error.what


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 -1 OK\r\n\r\n",
        b"HTTP/1.1 99999999999999999999 OK\r\n\r\n",
        b"HTTP/1.1 200 \x1b[31mred\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/10\r\n\r\n0123456789",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        OK + b"Content-Length: 5, 6\r\n\r\nhello!",
        OK + b"Content-Length: 1e3\r\n\r\nhello",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
        OK + b"no colon here\r\n\r\nhello",
        OK + b"Content-Encoding: " + b"gzip, " * 1000 + b"gzip\r\n\r\nhello",
        OK + b'ETag: "\xff\xfe\x00\x1b[31m"\r\n\r\nhello',
        b"\x16\x03\x01\x00\x05hello",
        b"\xff" * 5000,
    ],
)
def test_an_answer_that_is_none(refused: Refused, answer: bytes) -> None:
    error = refused(said(answer))
    assert error.mend
    assert (error.what + error.mend).isprintable()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 418, 451, 505, 999])
def test_a_refusal_is_told_and_not_asked_for_twice(
    tmp_path: Path, serve: Serve, heard: Heard, status: int
) -> None:
    server = serve(said(head(f"{status} Come to https://evil.example", Content_Length=0)))
    with pytest.raises(BuildError, match=rf"^127\.0\.0\.1 answers {status}") as caught:
        fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY)
    assert "evil" not in str(caught.value)
    assert caught.value.mend
    assert len(server.requests) == 1


def test_a_server_that_stays_busy_is_given_up(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(said(head("503 x", Content_Length=0)))
    with pytest.raises(BuildError, match=r"answers 503 \(Service Unavailable\)"):
        fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY)
    assert len(server.requests) == 3
    assert len(heard.reasons) == 2


def test_a_connection_that_is_refused_is_told(tmp_path: Path, heard: Heard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(BuildError, match=r"^127\.0\.0\.1 refuses the connection"):
        fetch(f"http://127.0.0.1:{port}/x", DIGEST, tmp_path, heard, limits=HASTY)
    assert heard.reasons == []


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_can_be_nobody_s(tmp_path: Path, heard: Heard, host: str) -> None:
    with pytest.raises(BuildError) as caught:
        fetch(f"http://{host}/x", DIGEST, tmp_path, heard, limits=HASTY)
    assert "is not known" in caught.value.what


def redirect(location: str, status: int = 302) -> Reply:
    return said(head(f"{status} Elsewhere", Location=location, Content_Length=0))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/there", "there", "?x", "//127.0.0.1:{port}/x", "{url}/y#z"])
def test_a_redirect_is_followed(
    tmp_path: Path, serve: Serve, heard: Heard, status: int, location: str
) -> None:
    server = serve(whole())
    there = location.format(port=server.port, url=server.url)
    server.reply = in_turn(redirect(there, status), whole())
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert "#" not in server.requests[1].path


def test_another_server_gets_nothing_that_was_for_the_first(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    second = serve(whole())
    cookie = head("302 x", Location=second.url, Set_Cookie="a=b", WWW_Authenticate="Basic")
    fetch(serve(said(cookie)).url, DIGEST, tmp_path, heard)
    assert set(second.requests[0].headers) == {"host", "user-agent", "accept", "accept-encoding"}


def test_redirects_in_a_circle_end(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(redirect("/file"))
    with pytest.raises(BuildError, match="redirected more than 10 times"):
        fetch(server.url, DIGEST, tmp_path, heard)
    assert len(server.requests) == 11


@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:alert(1)", "data:,x", ""),
        *("http://me:secret@127.0.0.1/", "http://[::1/", "http://127.0.0.1:99999/"),
        *("http://127.0.0.1:x/", "/\xe4", "https:"),
    ],
)
def test_a_redirect_that_leads_astray(refused: Refused, location: str) -> None:
    error = refused(redirect(location))
    assert "redirects" in error.what
    assert "secret" not in str(error)
    assert (error.what + error.mend).isprintable()


@pytest.mark.parametrize("path", ["/a%0d%0aInjected:%20x", "/a b", "/a\r\nInjected: x", "/\t\x00"])
@pytest.mark.parametrize("redirected", [True, False])
def test_no_address_brings_a_header_of_its_own(
    tmp_path: Path, serve: Serve, heard: Heard, path: str, redirected: bool
) -> None:
    server = serve(whole())
    url = server.url.removesuffix("/file") + path
    if redirected:
        server.reply = in_turn(
            said(f"{OK[:9].decode()}302 x\r\nLocation: {path}\r\n\r\n".encode()), whole()
        )
        url = server.url
    try:
        fetch(url, DIGEST, tmp_path, heard, limits=HASTY)
    except BuildError as error:
        assert error.mend
    assert all("injected" not in request.headers for request in server.requests)


def test_what_is_sent_compressed_stays_so(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    packed = gzip.compress(CONTENT)
    digest = hashlib.sha256(packed).hexdigest()
    server = serve(whole(packed, Content_Encoding="gzip"))
    assert fetch(server.url, digest, tmp_path, heard).read_bytes() == packed


def test_a_wrong_digest_may_come_from_compression(refused: Refused) -> None:
    error = refused(whole(gzip.compress(CONTENT), Content_Encoding="gzip"))
    assert "the server says that it has compressed it: gzip" in error.what


def test_a_validator_is_sent_back_only_if_it_is_one(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    strange = 'W/"weak"'
    server = serve(in_turn(ranged(etag=strange, at_most=1000), ranged(etag=strange)))
    fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY)
    assert "if-range" not in server.requests[1].headers


def test_the_folder_holds_nothing_but_the_part(tmp_path: Path, refused: Refused) -> None:
    refused(whole(b"?"))
    assert os.listdir(tmp_path) == [f"{DIGEST}.part"]
