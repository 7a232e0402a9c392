"""docker, with an engine of its own: storage on the case's filesystem, nobody else's cache."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.timing import Command, Failed


class Client(NamedTuple):
    program: str
    buildkit: bool

    @property
    def builder(self) -> str:
        return "BuildKit" if self.buildkit else "the classic builder, for want of BuildKit"


@functools.cache
def client() -> Client | None:
    """The first `docker` of PATH that can use BuildKit; else the first, and its classic builder."""
    folders = os.get_exec_path()
    found = [path for path in (shutil.which("docker", path=one) for one in folders) if path]
    for program in found:
        if _has_buildkit(program):
            return Client(program, True)
    return Client(found[0], False) if found else None


def _has_buildkit(program: str) -> bool:
    """By the plugin buildx, or, before version 23, built in."""
    plugin = subprocess.run([program, "buildx", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return True
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    number = said.stdout.removeprefix("Docker version ").partition(".")[0]
    return number.isdigit() and int(number) < 23


def lacking() -> str:
    """Why docker can't take part; nothing if it can."""
    if client() is None or shutil.which("dockerd") is None:
        return "docker not installed"
    return "needs root, for an engine of its own" if os.geteuid() != 0 else ""


class Docker:
    """An engine that answers at `address`."""

    def __init__(self, engine: int, address: str) -> None:
        self._engine = engine
        found = client()
        assert found is not None, "see lacking()"
        self._client = found
        self._env = {"DOCKER_HOST": address, "DOCKER_BUILDKIT": str(int(found.buildkit))}

    def build(self, context: Path, dockerfile: str, tag: str, *options: str) -> Command:
        """With the Dockerfile in the context, which is `context`. No network: there is none."""
        (context / "Dockerfile").write_text(dockerfile)
        plain = ("--progress", "plain") if self._client.buildkit else ()
        words = ("build", "--network", "none", *plain, *options, "-t", tag, ".")
        return Command((self._client.program, *words), context, self._env, self._engine)


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[Docker]:
    """Started with all that it has in `folder`; it ends with the block, or with us. Raises Failed.

    It makes no network, so that it changes nothing of the machine's.
    """
    address = f"unix://{folder}/socket"
    places = [f"--{name}={folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
    nets = ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    with (folder / "log").open("wb") as log:
        command = ["dockerd", *places, "--host", address, *nets]
        with subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        ) as process:
            try:
                docker = Docker(process.pid, address)
                _await(process, address, folder / "log")
                yield docker
            finally:
                process.terminate()


def _await(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    found = client()
    assert found is not None
    asking = [found.program, "--host", address, "info"]
    while subprocess.run(asking, capture_output=True, check=False).returncode != 0:
        if process.poll() is not None:
            raise Failed(f"dockerd ended: {log.read_text(errors='replace')[-600:]}")
        time.sleep(0.1)
