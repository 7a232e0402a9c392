"""Servers on the loopback that say whatever a test wants."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from typing import NamedTuple

from genoci.fetch.limits import Limits

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()
# Attempts are repeated at once; and where a server never ends, it is not waited for long.
HASTY = Limits(pauses=(0.0, 0.0), largest=8 << 20)
IMPATIENT = HASTY._replace(stall=0.4)


class Request(NamedTuple):
    """What a client asked for; header names are in lower case."""

    line: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return self.line.split()[1]

    @property
    def start(self) -> int:
        """Where the range begins that was asked for; 0 without one."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


Reply = Callable[[socket.socket, Request], None]


class Server:
    """Answers each connection's one request by `reply`, in a thread of its own."""

    def __init__(self, reply: Reply, context: ssl.SSLContext | None = None) -> None:
        self.reply = reply
        self.requests: list[Request] = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self.port}/file"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            if self._context:
                connection = self._context.wrap_socket(plain, server_side=True)
            request = received(connection)
            if request is not None:
                self.requests.append(request)
                self.reply(connection, request)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
        except OSError:
            pass  # the client has gone, as it may
        finally:
            self._open.discard(plain)
            connection.close()


def received(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return None
        data += piece
    first, *lines = data.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Request(first, {name.lower(): value.strip() for name, _, value in pairs})


def head(status: str, **headers: object) -> bytes:
    """Status line and headers; `_` in a name stands for `-`."""
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def whole(content: bytes = CONTENT, **headers: object) -> Reply:
    """The content, whatever range is asked for."""

    def reply(connection: socket.socket, _request: Request) -> None:
        connection.sendall(head("200 OK", Content_Length=len(content), **headers) + content)

    return reply


def ranged(content: bytes = CONTENT, *, etag: str = '"v1"', at_most: int | None = None) -> Reply:
    """As a good server does it; but after `at_most` bytes it cuts the connection."""

    def reply(connection: socket.socket, request: Request) -> None:
        start = request.start
        if request.headers.get("if-range", etag) != etag:
            start = 0
        if start >= len(content) > 0:
            connection.sendall(head("416 Range Not Satisfiable", Content_Length=0))
            return
        rest = content[start:]
        headers = {"Content_Length": len(rest), "ETag": etag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        status = "206 Partial Content" if start else "200 OK"
        connection.sendall(head(status, **headers) + rest[:at_most])

    return reply


def said(data: bytes) -> Reply:
    """These bytes, and no more."""
    return lambda connection, _request: connection.sendall(data)


def endless(begin: bytes, again: bytes) -> Reply:
    """The one, and then the other for as long as somebody takes it."""

    def reply(connection: socket.socket, _request: Request) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(again)

    return reply


def in_turn(*replies: Reply) -> Reply:
    """The first to the first request, and so on; the last to all that follow."""
    left = list(replies)

    def reply(connection: socket.socket, request: Request) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(connection, request)

    return reply


class Heard:
    """What a listener is told."""

    def __init__(self) -> None:
        self.progress: list[tuple[int, int]] = []
        self.reasons: list[str] = []
        self.waits = 0

    def arrived(self, done: int, total: int) -> None:
        self.progress.append((done, total))

    def waiting(self) -> None:
        self.waits += 1

    def again(self, why: str) -> None:
        self.reasons.append(why)
