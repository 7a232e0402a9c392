"""Proxies of the environment: which is taken, and what it gets to know."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import BuildError
from genoci.fetch.download import fetch
from servers import CONTENT, DIGEST, HASTY, Heard, Request, Server, head, said, whole

Serve = Callable[..., Server]
FAR = "http://far.example/file?x=y"  # nobody looks the name up: the proxy would


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "http://127.0.0.1:{}/", "127.0.0.1:{}"])
def test_a_proxy_is_asked_for_the_whole_address(
    tmp_path: Path,
    serve: Serve,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    form: str,
) -> None:
    proxy = serve(whole())
    monkeypatch.setenv(variable, form.format(proxy.port))
    assert fetch(FAR, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    (request,) = proxy.requests
    assert request.line == f"GET {FAR} HTTP/1.1"
    assert request.headers["host"] == "far.example"


@pytest.mark.parametrize("value", ["127.0.0.1", "*", "x.example,127.0.0.1:{port}"])
def test_no_proxy_names_hosts_that_need_none(
    tmp_path: Path, serve: Serve, heard: Heard, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    server, proxy = serve(whole()), serve(whole(b""))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", value.format(port=server.port))
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert proxy.requests == []


def test_a_login_goes_to_the_proxy_and_into_no_message(
    tmp_path: Path, serve: Serve, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(said(head("407 No", Content_Length=0)))
    monkeypatch.setenv("http_proxy", f"http://me:se%40cret@127.0.0.1:{proxy.port}")
    with pytest.raises(BuildError) as caught:
        fetch(FAR, DIGEST, tmp_path, heard, limits=HASTY)
    assert "The proxy wants a login" in caught.value.mend
    assert "cret" not in str(caught.value)
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VAY3JldA=="


def test_a_login_of_the_proxy_does_not_go_to_a_server(
    tmp_path: Path, serve: Serve, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(whole())
    proxy = serve(said(head("302 x", Location=server.url)))
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert fetch(FAR, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert "proxy-authorization" not in server.requests[0].headers


def tunnel(connection: socket.socket, request: Request) -> None:
    """What a proxy does after CONNECT: bytes, both ways."""
    assert request.line.startswith("CONNECT ")
    host, _, port = request.path.rpartition(":")
    with socket.create_connection((host, int(port))) as there:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=_pass_on, args=(there, connection))
        back.start()
        _pass_on(connection, there)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_https_goes_through_a_proxy_unseen(
    tmp_path: Path, serve: Serve, heard: Heard, authority: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority("IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.certificate))
    server, proxy = serve(whole(), mine.context), serve(tunnel)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert proxy.requests[0].path == f"127.0.0.1:{server.port}"
    assert server.requests[0].line == "GET /file HTTP/1.1"


@pytest.mark.parametrize("answer", [head("403 No"), b"", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n"])
def test_a_proxy_that_makes_no_way(
    tmp_path: Path, serve: Serve, heard: Heard, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    proxy = serve(said(answer))
    monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
    with pytest.raises(BuildError, match="proxy") as caught:
        fetch("https://far.example/x", DIGEST, tmp_path, heard, limits=HASTY)
    assert caught.value.mend
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1", "http://:80", "http://h:x", "ftp://h"])
def test_a_proxy_that_can_t_be_used(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("http_proxy", value)
    with pytest.raises(BuildError, match=r"^http_proxy: .*proxy") as caught:
        fetch(FAR, DIGEST, tmp_path, heard, limits=HASTY)
    assert "no_proxy" in caught.value.mend


def test_a_proxy_that_is_not_there(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    with pytest.raises(BuildError, match=rf"^the proxy 127\.0\.0\.1:{port} refuses the connection"):
        fetch(FAR, DIGEST, tmp_path, heard, limits=HASTY)
