"""The real `lpack`, in a place of its own, on each driver; and that it leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from filesystems import given, mounted
from genoci.build.operations import clean
from genoci.oci.layout import Layout
from workshop import Workshop

_LPACK = "import sys; from genoci.cli.main import lpack; sys.exit(lpack())"
_OURS = ("GENOCI_", "XDG_", "SOURCE_DATE_EPOCH", "SUDO_")


class Place:
    """A working directory with a layout `oci` that has the tag `base`, and a state."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.state = state
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.environment = kept | {"HOME": str(folder / "home")}
        (folder / "home").mkdir()

    @property
    def layout(self) -> Layout:
        return Layout.at(self.folder / "oci")

    def run(
        self,
        *words: str,
        code: str = _LPACK,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, sys.executable, "-c", code, *words, "--state", str(self.state)]
            if "--" not in words and words[:1] not in (("chroot",), ("unshare",))
            else [*prefix, sys.executable, "-c", code, "--state", str(self.state), *words],
            cwd=self.folder,
            env=self.environment | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        done = self.run(*words, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str, status: int, env: Mapping[str, str] | None = None) -> str:
        done = self.run(*words, env=env)
        assert done.returncode == status, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr and "a bug in genoci" not in done.stderr
        return done.stderr

    def change(self, text: str = "changed", path: str = "etc/new") -> None:
        self.ok("unshare", "sh", "-c", f'echo {text} > "$GENOCI_ROOTFS/{path}"')

    def content(self, tag: str, path: str = "etc/new") -> str:
        shop = Workshop(self.folder)
        shop.state = self.folder / "elsewhere"
        return shop.text(tag, path)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rootfs") / "rootfs.tar.gz"
    script = Path(__file__).parents[2] / "examples" / "busybox" / "make-rootfs"
    subprocess.run(["sh", script, path], check=True)
    return path


DRIVERS = ["overlay", "copy"] + (["btrfs"] if os.getuid() == 0 or given("btrfs") else [])
_CLEAN = "import sys; from genoci.cli.main import main; sys.exit(main(['clean', *sys.argv[1:]]))"


@pytest.fixture(params=DRIVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path, rootfs: Path) -> Iterator[Place]:
    """With a config file that names the driver."""
    driver = request.param
    if driver != "btrfs":
        yield from _place(tmp_path, rootfs, f"driver: {driver}\n")
        return
    if os.getuid() != 0:
        own = tempfile.mkdtemp(dir=given("btrfs"))
        for found in _place(tmp_path, rootfs, f"driver: btrfs\nbtrfsmount: {own}\n"):
            yield found
            found.ok("abort", "-f")
            cleaned = found.run(code=_CLEAN)
            assert cleaned.returncode == 0, cleaned.stderr
        os.rmdir(own)
        return
    (tmp_path / "fs").mkdir()
    with mounted("btrfs", tmp_path / "fs") as point:
        yield from _place(tmp_path, rootfs, f"btrfsmount: {point}\n")


@pytest.fixture
def plain(tmp_path: Path, rootfs: Path) -> Iterator[Place]:
    """Without a config file."""
    yield from _place(tmp_path, rootfs, "")


def _place(folder: Path, rootfs: Path, config: str) -> Iterator[Place]:
    found = Place(folder, folder / "state")
    shop = Workshop(folder)
    shop.state = folder / "elsewhere"
    assert shop.build(f"base: {{base: empty, expand: {rootfs}}}\n", dated_tags=False).ok
    (folder / "genoci.yaml").unlink()
    if config:
        (folder / "atom_config.yaml").write_text(config)
    yield found
    found.ok("abort", "-f")
    found.run("unsetup", "-f")
    assert not mounts_below(folder / "state")
    clean(found.state, lambda event: None)
    clean(folder / "elsewhere", lambda event: None)


def mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if f" {folder}" in line]
