"""Who takes part: genoci, and the others that are on this machine, as they are called."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.timing import Sample, timed


class Genoci:
    """genoci in a folder of its own: YAML, layout and state."""

    def __init__(self, folder: Path, *, program: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._program = program or (sys.executable, "-m", "genoci")

    def yaml(self, text: str) -> None:
        (self.folder / "genoci.yaml").write_text(text)

    def __call__(self, *words: str) -> Sample:
        command = (*self._program, *words, "--state", "state", "--progress", "quiet")
        return timed(command, cwd=self.folder)

    def build(self, *words: str) -> Sample:
        return self("build", "--no-dated-tags", *words)

    def forget(self, *, layout: bool = True) -> None:
        """The state is as on the first day, and with it the layout."""
        subprocess.run([*self._program, "clean", "--state", "state"], cwd=self.folder, check=False)
        if layout:
            shutil.rmtree(self.folder / "oci", ignore_errors=True)


class Buildah:
    """buildah with its own storage, in a folder; with `chroot` isolation, which needs least."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._options = [
            *("--root", str(folder / "root"), "--runroot", str(folder / "run")),
            *("--storage-driver", "overlay"),
        ]

    def __call__(self, *words: str | Path) -> Sample:
        return timed(["buildah", *self._options, *words], cwd=self.folder)

    def bud(self, dockerfile: str, tag: str, context: Path, *, layers: bool = True) -> Sample:
        (self.folder / "Dockerfile").write_text(dockerfile)
        cached = ["--layers"] if layers else ["--no-cache"]
        return self(
            *("bud", "--isolation", "chroot", "--pull-never", *cached),
            *("-f", str(self.folder / "Dockerfile"), "-t", tag, context),
        )

    def forget(self) -> None:
        for what in (["rmi", "--all", "--force"], ["rm", "--all"]):
            subprocess.run(["buildah", *self._options, *what], check=False, capture_output=True)
        shutil.rmtree(self.folder / "root", ignore_errors=True)


def is_there(program: str) -> bool:
    return shutil.which(program) is not None


def docker_runs() -> bool:
    if not is_there("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


_VERSIONS = {
    "genoci": [sys.executable, "-m", "genoci", "--version"],
    "umoci": ["umoci", "--version"],
    "buildah": ["buildah", "--version"],
    "docker": ["docker", "--version"],
    "tar": ["tar", "--version"],
    "igzip": ["igzip", "--version"],
    "openssl": ["openssl", "version"],
}


def versions() -> dict[str, str]:
    """What takes part, as it calls itself; what is missing is said to be."""
    told = {}
    for name, command in _VERSIONS.items():
        if not is_there(command[0]):
            told[name] = "not installed"
            continue
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told[name] = ((done.stdout or done.stderr).splitlines() or ["?"])[0]
    return told
