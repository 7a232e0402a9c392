"""The day something goes wrong: killed, interrupted, out of space; nothing lost, nothing left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workshop import Workshop

YAML = """
base: {{base: empty, expand: {rootfs}}}
first:
  base: base
  run: |
    i=0; while [ $i -lt 300 ]; do echo $i > /file$i; i=$((i+1)); done
    sleep 0.1
second:
  base: first
  steps:
  - copy: inputs /inputs
  - run: rm /file1*; cat /inputs/* > /all
"""


@pytest.fixture
def started(workshop: Workshop, rootfs: Path) -> list[str]:
    for number in range(50):
        workshop.write(f"inputs/{number}", "x" * 5000)
        os.utime(workshop.folder / "inputs" / str(number), (1_600_000_000, 1_600_000_000))
    os.utime(workshop.folder / "inputs", (1_600_000_000, 1_600_000_000))
    workshop.write("genoci.yaml", YAML.format(rootfs=rootfs))
    return command(workshop, "build", "-f", str(workshop.folder / "genoci.yaml"))


def command(workshop: Workshop, *words: str) -> list[str]:
    where = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    return [sys.executable, "-m", "genoci", *words, *where, "--progress", "plain"]


def run(words: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        words, capture_output=True, text=True, check=False, **options
    )


def processes_of(workshop: Workshop) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if str(workshop.folder) in text:
            found.append(text)
    return found


def wait_until_gone(workshop: Workshop) -> None:
    while processes_of(workshop):
        time.sleep(0.01)


def left_behind(workshop: Workshop) -> list[str]:
    names = [str(path) for path in workshop.folder.rglob("*")]
    return [name for name in names if ".genoci-" in name or "/active-" in name or "/dead-" in name]


def check_layout(workshop: Workshop) -> None:
    checked = run(command(workshop, "fsck"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    listed = subprocess.run(
        ["umoci", "ls", "--layout", workshop.layout_path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "second" in listed.stdout


@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "leader"])
def test_killed_at_random_moments_the_next_build_gives_the_right_result(
    workshop: Workshop, started: list[str], epoch: int, whole_group: bool
) -> None:
    assert run(started).returncode == 0
    expected = workshop.layers("second")
    took = 1.0
    chance = random.Random(1 if whole_group else 2)
    for _ in range(10):
        subprocess.run(["rm", "-rf", workshop.layout_path], check=True)
        assert run(command(workshop, "clean")).returncode == 0
        process = subprocess.Popen(
            started, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.05, took))
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        again = run(started)
        assert again.returncode == 0, again.stderr
        wait_until_gone(workshop)
        assert workshop.layers("second") == expected
        check_layout(workshop)
        assert run(started).returncode == 0
        assert not left_behind(workshop)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_everything_and_leaves_nothing(
    workshop: Workshop, rootfs: Path, number: signal.Signals
) -> None:
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "slow: {base: base, run: 'echo begun; sleep 1000 & sleep 1000'}\n",
    )
    words = command(workshop, "build", "-f", str(workshop.folder / "genoci.yaml"))
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "begun" in line:
            break
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not processes_of(workshop)
    assert not left_behind(workshop)
    assert set(workshop.layout.tags()) >= {"base"}
    assert "slow" not in workshop.layout.tags()


@pytest.mark.root_only
def test_a_full_disk_fails_the_build_and_leaves_the_layout_as_it_was(
    workshop: Workshop, rootfs: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", small], check=True)
    try:
        for layout, state in ((small / "oci", workshop.state), (workshop.layout_path, small / "s")):
            workshop.write(
                "genoci.yaml",
                f"base: {{base: empty, expand: {rootfs}}}\n"
                "big: {base: base, run: 'cat /dev/urandom | head -c 20000000 > /big'}\n"
                "huge: {base: empty, copy: random /random}\n",
            )
            workshop.write("random", os.urandom(12_000_000))
            words = [sys.executable, "-m", "genoci", "build", "--keep-going"]
            words += ["-f", str(workshop.folder / "genoci.yaml")]
            words += ["--layout", str(layout), "--state", str(state), "--progress", "json"]
            done = run(words)
            assert done.returncode == 1, done.stderr
            assert "Traceback" not in done.stderr
            failures = [json.loads(line) for line in done.stderr.splitlines() if '"failed"' in line]
            assert {failure["target"] for failure in failures} >= {"big"}
            checked = run([sys.executable, "-m", "genoci", "fsck", "--layout", str(layout)])
            assert checked.returncode == 0, checked.stdout + checked.stderr
            assert not [path for path in layout.rglob(".genoci-*") if path.suffix != ".lock"]
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_thirty_builds_in_one_layout_at_once_lose_nothing(workshop: Workshop, rootfs: Path) -> None:
    words = []
    for number in range(30):
        workshop.write(f"file{number}", f"content {number}")
        yaml = workshop.write(
            f"g{number}.yaml",
            f"t{number}: {{base: empty, copy: file{number} /file}}\n"
            f"shared: {{base: empty, copy: file0 /file}}\n",
        )
        words.append(command(workshop, "build", "-f", str(yaml)))
    running = [subprocess.Popen(one, stdout=subprocess.DEVNULL) for one in words]
    assert [process.wait() for process in running] == [0] * 30
    tags = workshop.layout.tags()
    assert {f"t{number}" for number in range(30)} <= set(tags)
    dated = [tag for tag in tags if tag.startswith("shared-")]
    assert len(dated) == 30
    for number in range(30):
        assert workshop.text(f"t{number}", "file") == f"content {number}"


def test_a_damaged_layer_is_never_used(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"base: {{base: empty, expand: {rootfs}}}\n"
    assert workshop.build(yaml).ok
    (layer,) = workshop.image("base").layers
    blob = workshop.layout_path / "blobs" / "sha256" / layer.descriptor.digest.hex
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(content)
    checked = run(command(workshop, "fsck"))
    assert checked.returncode == 1
    assert layer.descriptor.digest.hex in checked.stdout + checked.stderr
    outcome = workshop.build("t: {base: base, run: 'true'}\n")
    assert not outcome.ok
    assert "t" not in workshop.layout.tags()
