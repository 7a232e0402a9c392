"""What hooks start and mount lives as long as their target, and no longer, however it ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from workshop import Workshop


@pytest.fixture
def base(rootfs: Path) -> str:
    return f"base: {{base: empty, expand: {rootfs}}}\n"


def genoci(workshop: Workshop, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(workshop, *words), capture_output=True, text=True, check=False)


def command(workshop: Workshop, *words: str) -> list[str]:
    places = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    return [sys.executable, "-m", "genoci", *places, "--progress", "plain", *words]


def processes_of(workshop: Workshop) -> list[int]:
    """Those with a path of this test in their environment, as every hook has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            text = path.read_bytes() + path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(workshop.folder) in text:
            found.append(int(path.parts[2]))
    return found


def test_a_server_that_pre_starts_lives_until_after_post(workshop: Workshop, base: str) -> None:
    workshop.write(
        "server",
        "#!/usr/bin/env python3\nimport os, socket\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "open('port', 'w').write(str(listener.getsockname()[1]))\n"
        "if os.fork(): os._exit(0)\n"
        "while True:\n    one, _ = listener.accept()\n    print('x' * 100_000)\n"
        "    one.sendall(b'served\\n'); one.close()\n",
        0o755,
    )
    outcome = workshop.build(
        base
        + """
t:
  base: base
  pre: [./server, 'cp port %ROOT%/port']
  run: for i in 1 2 3; do nc 127.0.0.1 "$(cat /port)" < /dev/null; done
  post: |
    python3 -c 'import socket as s
    print(s.create_connection(("127.0.0.1", open("port").read())).recv(9))'
"""
    )
    assert outcome.ok, outcome.failed
    assert workshop.output().replace("x", "").startswith("served\n" * 3)
    assert processes_of(workshop) == []


@pytest.fixture
def hanging(workshop: Workshop, base: str) -> subprocess.Popen[str]:
    """A build in whose `pre` something was mounted and started, and which does not go on."""
    workshop.write(
        "genoci.yaml",
        f"{base}t:\n  base: base\n  pre: |\n"
        "    mount -t tmpfs none %ROOT%/etc\n    setsid sleep 1000 &\n"
        "    echo begun; (trap '' TERM INT; sleep 1000); sleep 1000\n"
        "  post: echo $GENOCI_STATUS > status; umount %ROOT%/etc && echo unmounted > unmounted\n",
    )
    process = subprocess.Popen(
        command(workshop, "build", "-f", str(workshop.folder / "genoci.yaml")),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "begun" in line:
            break
    return process


def gone(workshop: Workshop) -> bool:
    """Whether the kernel has ended all of it: it was told to, and needs its moment."""
    deadline = time.monotonic() + 60
    while processes_of(workshop):
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.01)
    return True


def next_build_is_as_ever(workshop: Workshop) -> bool:
    yaml = workshop.write("next.yaml", "t: {base: base, run: 'ls /etc'}\n")
    ended = genoci(workshop, "build", "-f", str(yaml))
    assert ended.returncode == 0 and "passwd" in ended.stderr, ended.stderr
    return not [path for path in workshop.state.rglob("active-*") if path.is_dir()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_post_runs_after_an_interrupt(
    workshop: Workshop, hanging: subprocess.Popen[str], number: signal.Signals
) -> None:
    hanging.send_signal(number)
    _, errors = hanging.communicate()
    assert hanging.returncode == 130, errors
    assert processes_of(workshop) == []
    assert (workshop.folder / "status").read_text() == "130\n"
    assert (workshop.folder / "unmounted").exists()
    assert next_build_is_as_ever(workshop)


@pytest.mark.parametrize("who", ["scheduler", "worker", "everybody"])
def test_after_kill_9_nothing_is_left_of_hooks(
    workshop: Workshop, hanging: subprocess.Popen[str], who: str
) -> None:
    children = Path(f"/proc/{hanging.pid}/task/{hanging.pid}/children").read_text().split()
    victims = {
        "scheduler": [hanging.pid],
        "worker": [int(pid) for pid in children],
        "everybody": processes_of(workshop),
    }[who]
    assert victims
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            assert who == "everybody", "those that died with another"
    hanging.communicate()
    assert gone(workshop)
    if who != "everybody":  # there the worker may have heard of it before its own end
        assert (workshop.folder / "status").exists() == (who == "scheduler")
    assert next_build_is_as_ever(workshop)


def test_hooks_of_builds_at_the_same_time_do_not_see_each_others_mounts(
    workshop: Workshop, base: str
) -> None:
    """Each mounts something in the same place of the host, and waits until the other has."""
    (workshop.folder / "place").mkdir()
    for name in ("a", "b"):
        os.mkfifo(workshop.folder / name)
    yaml = base + "".join(
        f"{one}: {{base: base, pre: 'mount -t tmpfs none place; touch place/{one};"
        f" {meet}; ls place; ls -d %ROOT%/../../active-*/root/bin | wc -l'}}\n"
        for one, other, meet in (
            ("a", "b", "echo x > a; cat b"),
            ("b", "a", "cat a; echo x > b"),
        )
    )
    assert workshop.build(yaml, "base").ok
    ended: dict[str, subprocess.CompletedProcess[str]] = {}

    def build(name: str) -> None:
        ended[name] = genoci(workshop, "build", "-f", str(workshop.folder / "genoci.yaml"), name)

    threads = [threading.Thread(target=build, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, other in (("a", "b"), ("b", "a")):
        assert ended[name].returncode == 0, ended[name].stderr
        said = [line.strip(" |") for line in ended[name].stderr.splitlines() if "  | " in line]
        assert name in said and other not in said and said[-1] == "1", said
    assert os.listdir(workshop.folder / "place") == []
