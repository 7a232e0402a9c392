"""Packages from addresses, as a build sees them: fetched before, kept, checked on every use."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from genoci.build import downloads, fork
from genoci.build.events import Failed, Progressed, Stepped, Warned
from genoci.errors import BuildError
from genoci.spec.target import Package, Place
from rpms import served
from servers import CONTENT, DIGEST, Server, head, in_turn, ranged
from workshop import Workshop

PLACE = Place("f.yaml", 1, 1)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def site(tmp_path: Path, packages: Path) -> Iterator[str]:
    """The address of a folder with hello.deb; a process of its own, since builds fork."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(packages / "hello.deb", folder)
    with served(folder) as address:
        yield address


def yaml(address: str, sha256: str) -> str:
    return f"app: {{base: empty, install: {{src: {address}, sha256: {sha256}}}}}\n"


def test_a_package_of_an_address_is_installed(
    workshop: Workshop, site: str, packages: Path
) -> None:
    sha256 = digest(packages / "hello.deb")
    outcome = workshop.build(yaml(f"{site}/hello.deb?token=x", sha256))
    assert outcome.ok, outcome.failed
    assert workshop.tree("app").node(b"usr/bin/hello") is not None
    steps = [event.step for event in workshop.events if isinstance(event, Stepped)]
    assert steps[0] == f"download {site}/hello.deb?…"
    size = (packages / "hello.deb").stat().st_size
    assert Progressed(target="app", done=size, total=size) in workshop.events
    history = [entry.created_by for entry in workshop.image("app").config.history]
    assert history == [f"install: {site}/hello.deb?…"]
    assert os.listdir(workshop.state / "downloads" / "sha256") == [sha256]


def test_it_is_fetched_once_and_the_same_from_a_file(
    workshop: Workshop, tmp_path: Path, packages: Path
) -> None:
    (tmp_path / "site").mkdir()
    shutil.copy(packages / "hello.deb", tmp_path / "site")
    sha256 = digest(packages / "hello.deb")
    with served(tmp_path / "site") as address:
        assert workshop.build(yaml(f"{address}/hello.deb", sha256)).ok
    layers = workshop.layers("app")
    outcome = workshop.build(yaml(f"{address}/hello.deb", sha256))  # it is gone
    assert outcome.ok, outcome.failed
    assert workshop.layers("app") == layers
    assert workshop.build(f"app: {{base: empty, install: {packages}/hello.deb}}\n").ok
    assert workshop.layers("app") == layers


def test_a_target_that_is_cached_fetches_nothing(
    workshop: Workshop, site: str, packages: Path
) -> None:
    text = yaml(f"{site}/hello.deb", digest(packages / "hello.deb"))
    assert workshop.build(text, use_cache=True).ok
    shutil.rmtree(workshop.state / "downloads")
    assert workshop.build(text, use_cache=True).ok
    assert not (workshop.state / "downloads").exists()


def test_what_was_damaged_in_the_state_is_fetched_anew(
    workshop: Workshop, site: str, packages: Path
) -> None:
    sha256 = digest(packages / "hello.deb")
    kept = workshop.state / "downloads" / "sha256" / sha256
    kept.parent.mkdir(parents=True)
    kept.write_text("damaged")
    outcome = workshop.build(yaml(f"{site}/hello.deb", sha256))
    assert outcome.ok, outcome.failed
    assert digest(kept) == sha256
    warned = [event.what for event in workshop.events if isinstance(event, Warned)]
    assert f"download {site}/hello.deb: the one in the state is damaged, and replaced" in warned


def test_what_can_t_be_had_fails_its_target_alone(
    workshop: Workshop, site: str, packages: Path
) -> None:
    workshop.write("a.txt", "a")
    text = yaml(f"{site}/hullo.deb", "0" * 64) + "b: {base: empty, copy: a.txt /}\n"
    outcome = workshop.build(text, keep_going=True)
    (failed,) = outcome.failed
    assert failed.what == "127.0.0.1 answers 404 (Not Found)"
    assert failed.where == f"target app, download {site}/hullo.deb"
    assert failed.mend
    assert failed.exit_status == 1
    assert set(workshop.layout.tags()) == {"b", outcome.built[0].tags[1]}


def test_another_file_than_the_yaml_says_is_not_installed(
    workshop: Workshop, site: str, packages: Path
) -> None:
    (failed,) = workshop.build(yaml(f"{site}/hello.deb", "0" * 64)).failed
    assert digest(packages / "hello.deb") in failed.what
    assert "0" * 64 in failed.what


def test_a_download_is_checked_once_more_when_it_is_used(tmp_path: Path) -> None:
    package = Package(PLACE, url="http://h/x?secret", sha256=DIGEST)
    path = tmp_path / "downloads" / "sha256" / DIGEST
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert downloads.downloaded(tmp_path, package) == path
    path.write_bytes(CONTENT[1:])
    with pytest.raises(BuildError, match="is gone, or has changed") as caught:
        downloads.downloaded(tmp_path, package)
    assert "secret" not in str(caught.value)


def test_the_worker_that_hears_servers_can_write_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()

    def work(send: fork.Send) -> None:
        downloads.confine(tmp_path / "inside", "app", send)
        (tmp_path / "inside" / "file").write_text("mine")
        (tmp_path / "outside").write_text("not mine")

    with fork.worker(work, target="app") as worker:
        (message,) = list(worker.messages(lambda: None))
    assert isinstance(message, Failed)
    assert message.kind == "PermissionError"
    assert os.listdir(tmp_path) == ["inside"]
    assert (tmp_path / "inside" / "file").read_text() == "mine"


def test_the_worker_that_hears_servers_has_little_memory(tmp_path: Path) -> None:
    def work(send: fork.Send) -> None:
        downloads.confine(tmp_path, "app", send)
        bytearray(2 << 30)

    with fork.worker(work, target="app") as worker:
        (message,) = list(worker.messages(lambda: None))
    assert isinstance(message, Failed)
    assert (message.kind, message.what) == ("MachineError", "out of memory")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_ended_meanwhile_goes_on_there_the_next_time(
    tmp_path: Path, number: signal.Signals
) -> None:
    half, sent, ended = len(CONTENT) // 2, threading.Event(), threading.Event()

    def stop_half_way(connection, _request) -> None:  # type: ignore[no-untyped-def]
        headers = {"Content_Length": len(CONTENT), "ETag": '"v1"'}
        connection.sendall(head("200 OK", **headers) + CONTENT[:half])
        sent.set()
        ended.wait()

    server = Server(in_turn(stop_half_way, ranged()))
    try:
        (tmp_path / "f.yaml").write_text(yaml(server.url, DIGEST))
        words = ["f.yaml", "--layout", "oci", "--state", "state"]
        command = [sys.executable, "-m", "genoci", *words]
        environment = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
        first = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        sent.wait()
        part = tmp_path / "state" / "downloads" / "sha256" / f"{DIGEST}.part"
        while not part.exists() or part.stat().st_size < half:
            assert first.poll() is None
        first.send_signal(number)
        status = first.wait()
        ended.set()
        assert status == (-9 if number == signal.SIGKILL else 130)
        second = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1  # it arrives, and is no package
        assert (part.parent / DIGEST).read_bytes() == CONTENT
        assert [request.start for request in server.requests] == [0, half]
        assert os.listdir(part.parent) == [DIGEST]
    finally:
        ended.set()
        server.close()
