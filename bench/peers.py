"""Who takes part: genoci, and the others that are on this machine, as they are called."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

from bench import docker
from bench.timing import Command, timed


class Genoci:
    """genoci in a folder of its own: YAML, layout and state."""

    def __init__(self, folder: Path, program: Path, yaml: str = "") -> None:
        self.folder = folder
        self._program = program
        self.yaml(yaml)

    def yaml(self, text: str) -> None:
        (self.folder / "genoci.yaml").write_text(text)

    @property
    def layout(self) -> Path:
        return self.folder / "oci"

    def __call__(self, *words: str | Path, progress: str = "quiet") -> Command:
        shared = ("--state", "state", "--progress", progress)
        return Command((str(self._program), *map(str, words), *shared), self.folder)

    def build(self, *words: str, progress: str = "quiet") -> Command:
        """Without dated tags, since the others make none either."""
        return self("build", "--no-dated-tags", *words, progress=progress)


class Buildah:
    """buildah with its own storage, in a folder; with `chroot` isolation, which costs least."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        storage = (f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=overlay")
        self.program = " ".join(("buildah", *storage))

    def bud(self, dockerfile: str, tag: str, context: Path) -> Command:
        (self.folder / "Dockerfile").write_text(dockerfile)
        options = "--isolation=chroot --pull-never --layers"
        return self.script(
            f"{self.program} bud {options} -f {self.folder}/Dockerfile -t {tag} {context}"
        )

    def script(self, text: str) -> Command:
        return shell(text, self.folder)


def shell(script: str, folder: Path) -> Command:
    """A script that fails where any of its commands does."""
    return Command(("bash", "-c", f"set -eo pipefail; {script}"), folder)


def run(command: Command) -> None:
    """What has to be done before something can be timed. Raises Failed."""
    timed(command)


def lacking(*programs: str, root: bool = False) -> str:
    """Why someone can't take part who needs these programs; nothing if he can."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    return "needs root" if root and os.geteuid() != 0 else ""


_VERSIONS = {
    "umoci": ["umoci", "--version"],
    "buildah": ["buildah", "--version"],
    "tar": ["tar", "--version"],
    "igzip": ["igzip", "--version"],
    "openssl": ["openssl", "version"],
}


def versions(genoci: Path) -> dict[str, str]:
    """What takes part, as it calls itself; what is missing is said to be."""
    told = {name: _said(command) for name, command in _VERSIONS.items()}
    engine = _said(["dockerd", "--version"])
    client = docker.client()
    how = f"; client {_said([client.program, '--version'])}, {client.builder}" if client else ""
    python = _said([str(genoci.parent / "python"), "--version"])
    return {
        "genoci": f"{_said([str(genoci), '--version'])} on {python}, installed by pip",
        **told,
        "docker": engine + how,
    }


@functools.cache
def _said_of(command: tuple[str, ...]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ((done.stdout or done.stderr).splitlines() or ["?"])[0]


def _said(command: list[str]) -> str:
    return _said_of(tuple(command))
