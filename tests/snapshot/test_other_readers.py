"""layer rules 46: umoci, skopeo and GNU tar read our layers, and get the tree that we had."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bench, Built

TIME = 1_000_000_000 * 10**9 + 123_456_789


def base(root: Path) -> None:
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "dir" / "file").write_bytes(os.urandom(100_000))
    (root / "a").write_text("a")
    (root / "z").hardlink_to(root / "a")
    (root / "link").symlink_to("dir/../odd//target")
    os.link(root / "link", root / "second-link", follow_symlinks=False)
    os.mkfifo(root / "fifo")
    os.setxattr(root / "dir", "user.a", b"\0binary\n=")
    subprocess.run(["setcap", "cap_net_raw+ep", root / "dir" / "file"], check=True)
    subprocess.run(["setfacl", "-m", "u:12:rw", root / "a"], check=True)
    os.chown(root / "dir" / "sub", 1000, 65534)
    (root / "dir" / "sub").chmod(0o3771)
    (root / ("n" * 255)).touch()
    (root / ("d" * 200) / ("e" * 200)).mkdir(parents=True)
    (root / "new\nline é").touch()
    os.close(os.open(os.fsencode(root) + b"/\xff\xfe", os.O_CREAT))
    for number, path in enumerate([*sorted(root.rglob("*")), root]):
        os.utime(path, ns=(0, TIME - number), follow_symlinks=False)


def change(root: Path) -> None:
    (root / "a").unlink()
    (root / "dir" / "file").unlink()
    (root / "dir" / "file").mkdir()
    (root / "dir" / "file" / "below").touch()
    (root / "fifo").unlink()
    subprocess.run(["rm", "-r", root / "dir" / "sub"], check=True)
    (root / "dir" / "sub").symlink_to("..")
    subprocess.run(["rm", "-r", root / ("d" * 200)], check=True)
    (root / ("d" * 200)).mkdir()
    for path in root.rglob("*"):
        if path.lstat().st_mtime_ns > TIME:
            os.utime(path, ns=(0, TIME), follow_symlinks=False)


def tagged(bench: Bench, built: Built) -> str:
    bench.layout.tag({"tested": bench.layout.write_image(built.image)})
    return f"{bench.layout.path}:tested"


def umoci(bench: Bench, image: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["umoci", "unpack", "--image", image, bench.folder / "bundle"],
        capture_output=True,
        text=True,
        check=False,
    )


def skopeo(bench: Bench, image: str) -> subprocess.CompletedProcess[str]:
    target = f"dir:{bench.folder / 'copied'}"
    return subprocess.run(
        ["skopeo", "--insecure-policy", "copy", f"oci:{image}", target],
        capture_output=True,
        text=True,
        check=False,
    )


def test_46_umoci_unpacks_the_same_tree(bench: Bench) -> None:
    built = bench.build(change, on=bench.build(base))
    done = umoci(bench, tagged(bench, built))
    assert done.returncode == 0, done.stderr
    assert bench.tree_at(bench.folder / "bundle" / "rootfs") == bench.tree(built)


def test_46_gnu_tar_extracts_the_same_tree_from_what_skopeo_copied(bench: Bench) -> None:
    built = bench.build(base, calm=False)
    done = skopeo(bench, tagged(bench, built))
    assert done.returncode == 0, done.stderr
    blob = bench.folder / "copied" / built.layer.descriptor.digest.hex
    target = bench.folder / "extracted"
    target.mkdir()
    options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", target]
    subprocess.run(["tar", *options, "-xpf", blob], check=True)
    assert bench.tree_at(target) == bench.tree(built)


@pytest.mark.parametrize("judge", [umoci, skopeo])
def test_46_the_judges_reject_a_damaged_layer(bench: Bench, judge) -> None:
    built = bench.build(base)
    image = tagged(bench, built)
    path = bench.layout.path / "blobs" / "sha256" / built.layer.descriptor.digest.hex
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    done = judge(bench, image)
    assert done.returncode != 0
    assert "digest" in done.stderr.lower()
