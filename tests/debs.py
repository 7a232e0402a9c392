"""Packages that are made with dpkg-deb, repositories of them, and a place to install them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from genoci.build.schedule import Outcome
from genoci.layer.compression import Compression
from workshop import Workshop


def make_deb(
    folder: Path,
    name: str,
    version: str = "1",
    *,
    fields: str = "",
    scripts: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    architecture: str = "all",
) -> Path:
    """A package with /usr/share/NAME/file, `files`, and maintainer `scripts` for /bin/sh."""
    tree = folder / f"{name}-{version}.tree"
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        f"Maintainer: Tests <tests@localhost>\nDescription: made for tests\n{fields}"
    )
    contents = {f"usr/share/{name}/file": f"{name} {version}\n", **(files or {})}
    for path, text in {**contents, "DEBIAN/control": control}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    configuration = "".join(f"/{path}\n" for path in contents if path.startswith("etc/"))
    if configuration:
        (tree / "DEBIAN/conffiles").write_text(configuration)
    for script, text in (scripts or {}).items():
        (tree / "DEBIAN" / script).write_text(f"#!/bin/sh\nset -e\n{text}\n")
        (tree / "DEBIAN" / script).chmod(0o755)
    for path in tree.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    file = folder / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", tree, file],
        check=True,
        capture_output=True,
        env={"SOURCE_DATE_EPOCH": "1650000000", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    return file


def index(folder: Path) -> None:
    """Make the folder a repository of the packages in it, as sources.list(5) has it: `URI ./`."""
    stanzas = []
    for file in sorted(folder.glob("*.deb")):
        told = subprocess.run(["dpkg-deb", "-f", file], check=True, capture_output=True, text=True)
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        stanzas.append(
            f"{told.stdout.strip()}\nFilename: ./{file.name}\nSize: {len(content)}\n"
            f"SHA256: {digest}\n"
        )
    path = folder / "Packages"
    before = int(path.stat().st_mtime) if path.exists() else 0
    path.write_text("\n".join(stanzas))
    # HTTP tells times in whole seconds: an index of the same second would pass for the old one.
    newer = max(before + 1, path.stat().st_mtime)
    os.utime(path, (newer, newer))


class DebShop(Workshop):
    """A workshop with the base `debian`, and `served`, whose only repository is a test's own."""

    def set_up(self, root: Path, repository: str) -> None:
        self.write("sources.list", f"deb [trusted=yes] {repository} ./\n")
        outcome = self.install(
            f"debian: {{base: empty, expand: {root}}}\n"
            "served: {base: debian, copy: sources.list /etc/apt/sources.list}\n"
        )
        assert outcome.ok, outcome.failed

    def install(self, yaml: str, *targets: str, **options: object) -> Outcome:
        """Build, with layers as plain tar, under an epoch."""
        settings = {
            "compression": Compression.parse("none"),
            "dated_tags": False,
            "epoch": 1_700_000_000,
        }
        return self.build(yaml, *targets, **(settings | options))

    def what(self, yaml: str, **options: object) -> str:
        """The one error that a build ends with, the mend and the last lines included."""
        before = (self.layout_path / "index.json").read_bytes()
        outcome = self.install(yaml, **options)
        (failed,) = outcome.failed
        assert (self.layout_path / "index.json").read_bytes() == before, "the layout has changed"
        assert failed.kind in ("BuildError", "StepFailed", "ArchiveError"), failed
        return "\n".join([failed.where, failed.what, *failed.tail, failed.mend])

    def says(self, base: str, command: str) -> str:
        """What a command prints in an image."""
        outcome = self.install(f"says:\n  base: {base}\n  run: |\n    {command}\n")
        assert outcome.ok, outcome.failed
        return self.output()

    def layer(self, tag: str) -> dict[str, tarfile.TarInfo]:
        """The members of the uppermost layer, but for directories."""
        with tarfile.open(self.blob(tag)) as archive:
            return {one.name: one for one in archive if not one.isdir()}

    def blob(self, tag: str) -> Path:
        digest = self.image(tag).layers[-1].descriptor.digest
        return self.layout_path / "blobs" / "sha256" / digest.hex
