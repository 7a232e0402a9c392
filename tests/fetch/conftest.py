"""Servers that end with their test, certificates, and no proxies but the test's own."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from servers import Heard, Reply, Server


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers, which end with the test."""
    servers: list[Server] = []

    def serve(reply: Reply, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(reply, context))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no", "ftp"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


class Authority(NamedTuple):
    """A certificate that signs itself, for 127.0.0.1, and a server's context with it."""

    certificate: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Authority]:
    """Makes one for a name such as `IP:127.0.0.1` or `DNS:other.example`."""
    folder = tmp_path_factory.mktemp("authority")

    def authority(name: str) -> Authority:
        stem = folder / re.sub(r"\W", "-", name)
        certificate, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
        options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", str(key), "-out", str(certificate)]
        names = ["-subj", "/CN=test", "-addext", f"subjectAltName={name}", "-days", "2"]
        command = ["openssl", "req", *options, *files, *names]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return Authority(certificate, context)

    return authority
