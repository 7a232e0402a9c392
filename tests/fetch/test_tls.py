"""Certificates: whom a download trusts, and that nothing goes from https to http."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import BuildError
from genoci.fetch.download import fetch
from servers import CONTENT, DIGEST, HASTY, Heard, Server, head, in_turn, ranged, said, whole

Serve = Callable[..., Server]


def test_an_authority_of_one_s_own_is_trusted(
    tmp_path: Path, serve: Serve, heard: Heard, authority: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority("IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.certificate))
    server = serve(in_turn(ranged(at_most=1000), ranged()), mine.context)
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert [request.start for request in server.requests] == [0, 1000]


def test_an_unknown_authority_is_not(
    tmp_path: Path, serve: Serve, heard: Heard, authority: Callable
) -> None:
    server = serve(whole(), authority("IP:127.0.0.1").context)
    with pytest.raises(BuildError, match="is not to be trusted: self-signed certificate") as caught:
        fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY)
    assert "SSL_CERT_FILE" in caught.value.mend
    assert (server.requests, heard.reasons) == ([], [])


def test_a_certificate_of_somebody_else_is_not(
    tmp_path: Path, serve: Serve, heard: Heard, authority: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = authority("DNS:other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
    with pytest.raises(BuildError, match=r"certificate of 127\.0\.0\.1 .* IP address mismatch"):
        fetch(serve(whole(), other.context).url, DIGEST, tmp_path, heard, limits=HASTY)


def test_https_does_not_lead_to_http(
    tmp_path: Path, serve: Serve, heard: Heard, authority: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority("IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.certificate))
    plain = serve(whole())
    away = said(head("302 x", Location=plain.url))
    url = serve(away, mine.context).url.replace("https", "HTTPS")
    with pytest.raises(BuildError, match="redirects from https to http"):
        fetch(url, DIGEST, tmp_path, heard, limits=HASTY)
    assert plain.requests == []


def test_http_may_lead_to_https(
    tmp_path: Path, serve: Serve, heard: Heard, authority: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = authority("IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.certificate))
    there = serve(whole(), mine.context)
    here = serve(said(head("301 x", Location=there.url)))
    assert fetch(here.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT


def test_a_port_that_speaks_no_tls(tmp_path: Path, heard: Heard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        speaker = threading.Thread(target=_speak, args=(listener,))
        speaker.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(BuildError, match=r"127\.0\.0\.1 does not speak TLS") as caught:
            fetch(url, DIGEST, tmp_path, heard, limits=HASTY)
        speaker.join()
    assert caught.value.mend


def _speak(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
