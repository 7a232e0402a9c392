"""Downloads from servers that mean well: fetched once, kept, gone on with."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import BuildError
from genoci.fetch.download import fetch
from genoci.fetch.limits import Limits
from genoci.fetch.partial import sweep
from servers import CONTENT, DIGEST, HASTY, Heard, Request, Server, head, in_turn, ranged, whole

Serve = Callable[..., Server]
HALF = len(CONTENT) // 2


def cut_off(url: str, folder: Path, heard: Heard) -> None:
    """An attempt whose connection is cut, with no second one."""
    with pytest.raises(BuildError, match="it broke off"):
        fetch(url, DIGEST, folder, heard, limits=Limits(attempts=1))


def test_a_file_lies_under_its_digest_and_is_fetched_once(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    server = serve(whole())
    for _ in range(2):
        path = fetch(server.url, DIGEST, tmp_path, heard)
        assert path == tmp_path / DIGEST
        assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == [DIGEST]
    assert heard.progress[-1] == (len(CONTENT), len(CONTENT))
    assert heard.reasons == []


def test_a_file_that_was_damaged_is_fetched_anew(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    server = serve(whole())
    (tmp_path / DIGEST).write_bytes(CONTENT[:-1] + b"?")
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_request_says_nothing_of_who_asks(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(whole())
    fetch(server.url, DIGEST, tmp_path, heard)
    (request,) = server.requests
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "genoci",
        "accept": "*/*",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize("at_most", [HALF, 1, len(CONTENT) - 1, 0])
def test_what_was_cut_off_is_gone_on_with(
    tmp_path: Path, serve: Serve, heard: Heard, at_most: int
) -> None:
    server = serve(in_turn(ranged(at_most=at_most), ranged()))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    first, second = server.requests
    assert (first.start, second.start) == (0, at_most)
    assert second.headers.get("if-range") == ('"v1"' if at_most else None)
    assert heard.reasons == ["it broke off"]
    assert os.listdir(tmp_path) == [DIGEST]


def test_attempts_that_bring_something_are_not_counted(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    server = serve(ranged(at_most=len(CONTENT) // 16))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert len(server.requests) == 16


def test_there_are_never_endless_attempts(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(ranged(at_most=1))
    with pytest.raises(BuildError, match="it broke off"):
        fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY._replace(attempts=7))
    assert len(server.requests) == 7


def test_another_call_goes_on_where_one_gave_up(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(in_turn(ranged(at_most=HALF), ranged()))
    cut_off(server.url, tmp_path, heard)
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert [request.start for request in server.requests] == [0, HALF]


def test_giving_up_says_that_what_came_is_kept(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(ranged(at_most=HALF))
    with pytest.raises(BuildError) as caught:
        fetch(server.url, DIGEST, tmp_path, heard, limits=Limits(attempts=1))
    assert f"{HALF} bytes are kept" in caught.value.mend


def test_a_server_that_ignores_ranges_begins_anew(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    server = serve(in_turn(ranged(at_most=HALF), whole()))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert server.requests[1].start == HALF


def test_a_file_that_changed_meanwhile_is_begun_anew(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    server = serve(in_turn(ranged(b"?" * len(CONTENT), at_most=HALF), ranged(etag='"v2"')))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT


def test_a_part_of_another_version_is_not_put_behind_the_first(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    def careless(connection: socket.socket, request: Request) -> None:
        request.headers.pop("if-range", None)
        ranged(etag='"v2"')(connection, request)

    server = serve(in_turn(ranged(b"?" * len(CONTENT), at_most=HALF), careless))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert heard.reasons == ["it broke off", "the file on the server has changed"]
    assert [request.start for request in server.requests] == [0, HALF, 0]


def test_a_wrong_beginning_without_a_version_is_found_by_the_digest(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    server = serve(in_turn(ranged(b"?" * len(CONTENT), etag="", at_most=HALF), ranged(etag="")))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert heard.reasons == ["it broke off", "what was there of it is of another file"]


def test_a_part_that_begins_elsewhere_is_not_taken(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    def elsewhere(connection: socket.socket, _request: Request) -> None:
        place = f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"
        headers = {"Content_Range": place, "Content_Length": len(CONTENT) - 7, "ETag": '"v1"'}
        connection.sendall(head("206 Partial Content", **headers) + CONTENT[7:])

    server = serve(in_turn(ranged(at_most=HALF), elsewhere, ranged()))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert [request.start for request in server.requests] == [0, HALF, 0]


def test_a_range_that_the_server_does_not_have_is_begun_anew(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    longer = CONTENT + b"?" * 100
    server = serve(in_turn(ranged(longer, at_most=len(CONTENT) + 50), ranged()))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert heard.reasons == [
        "it broke off",
        "127.0.0.1 answers 416 (Requested Range Not Satisfiable)",
    ]


def test_a_part_of_another_address_is_not_gone_on_with(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    cut_off(serve(ranged(at_most=HALF)).url, tmp_path, heard)
    other = serve(ranged())
    fetch(other.url, DIGEST, tmp_path, heard)
    assert [request.start for request in other.requests] == [0]


def test_a_part_whose_origin_is_not_known_is_not_gone_on_with(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    (tmp_path / f"{DIGEST}.part").write_bytes(CONTENT[:100])
    (tmp_path / f"{DIGEST}.part.from").write_bytes(b'{"url": ')
    server = serve(ranged())
    fetch(server.url, DIGEST, tmp_path, heard)
    assert server.requests[0].start == 0
    assert os.listdir(tmp_path) == [DIGEST]


def test_a_part_that_is_whole_needs_no_request(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    server = serve(ranged(CONTENT + b"x", at_most=len(CONTENT)))
    cut_off(server.url, tmp_path, heard)
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_part_that_is_a_link_is_not_followed(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"{DIGEST}.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        fetch(serve(whole()).url, DIGEST, tmp_path, heard)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("status", ["500 Oops", "502 x", "503 Busy", "504 x", "429 x", "408 x"])
def test_a_server_that_is_busy_is_asked_again(
    tmp_path: Path, serve: Serve, heard: Heard, status: str
) -> None:
    def busy(connection: socket.socket, _request: Request) -> None:
        connection.sendall(head(status, Content_Length=0))

    server = serve(in_turn(busy, busy, whole()))
    assert fetch(server.url, DIGEST, tmp_path, heard, limits=HASTY).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_body_in_chunks_has_no_size_beforehand(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    def chunked(connection: socket.socket, _request: Request) -> None:
        connection.sendall(head("200 OK", Transfer_Encoding="chunked"))
        for start in range(0, len(CONTENT), 100_000):
            piece = CONTENT[start : start + 100_000]
            connection.sendall(f"{len(piece):X};name=value\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\nTrailer: x\r\n\r\n")

    server = serve(chunked)
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert {total for _, total in heard.progress} == {0}


def test_a_body_may_end_with_the_connection(tmp_path: Path, serve: Serve, heard: Heard) -> None:
    def old(connection: socket.socket, _request: Request) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT)

    assert fetch(serve(old).url, DIGEST, tmp_path, heard).read_bytes() == CONTENT


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from genoci.fetch.download import fetch
from servers import Heard
heard = Heard()
print(fetch(sys.argv[1], sys.argv[2], Path(sys.argv[3]), heard), heard.waits)
"""


def started(url: str, folder: Path) -> subprocess.Popen[str]:
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", script, url, DIGEST, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_ten_processes_one_fetches_and_the_others_wait(tmp_path: Path, serve: Serve) -> None:
    server = serve(whole())
    processes = [started(server.url, tmp_path) for _ in range(10)]
    for process in processes:
        output, _ = process.communicate()
        assert process.returncode == 0
        assert output.split()[0] == str(tmp_path / DIGEST)
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == [DIGEST]


def test_what_a_killed_process_left_is_gone_on_with(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    sent, killed = threading.Event(), threading.Event()

    def half(connection: socket.socket, _request: Request) -> None:
        headers = {"Content_Length": len(CONTENT), "ETag": '"v1"'}
        connection.sendall(head("200 OK", **headers) + CONTENT[:HALF])
        sent.set()
        killed.wait()

    server = serve(in_turn(half, ranged()))
    process = started(server.url, tmp_path)
    sent.wait()
    part = tmp_path / f"{DIGEST}.part"
    while part.stat().st_size < HALF:
        assert process.poll() is None
    process.kill()
    process.communicate()
    killed.set()
    assert fetch(server.url, DIGEST, tmp_path, heard).read_bytes() == CONTENT
    assert [request.start for request in server.requests] == [0, HALF]
    assert os.listdir(tmp_path) == [DIGEST]


def test_the_next_goes_on_when_the_one_it_waits_for_is_killed(tmp_path: Path, serve: Serve) -> None:
    sent = threading.Event()

    def half(connection: socket.socket, _request: Request) -> None:
        headers = {"Content_Length": len(CONTENT), "ETag": '"v1"'}
        connection.sendall(head("200 OK", **headers) + CONTENT[:HALF])
        sent.set()
        connection.recv(1)

    server = serve(in_turn(half, ranged()))
    first = started(server.url, tmp_path)
    sent.wait()
    second = started(server.url, tmp_path)
    part = tmp_path / f"{DIGEST}.part"
    while part.stat().st_size < HALF:
        assert first.poll() is None
    first.kill()
    first.communicate()
    output, _ = second.communicate()
    assert output.split()[0] == str(tmp_path / DIGEST)
    assert (tmp_path / DIGEST).read_bytes() == CONTENT


def test_parts_that_nobody_went_on_with_are_swept(
    tmp_path: Path, serve: Serve, heard: Heard
) -> None:
    cut_off(serve(ranged(at_most=HALF)).url, tmp_path, heard)
    sweep(tmp_path)
    assert len(os.listdir(tmp_path)) == 2
    os.utime(tmp_path / f"{DIGEST}.part", (0, 0))
    (tmp_path / ("0" * 64)).write_text("a finished one, however old")
    os.utime(tmp_path / ("0" * 64), (0, 0))
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["0" * 64]
