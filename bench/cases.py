"""The jobs that are measured, each with who does it and the ratio that is to be reached."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.timing import Contender, timed
from bench.tools import Buildah, Genoci, docker_runs, is_there

_BASE = "base: {{base: empty, expand: {tarball}}}\n"
_PIPELINE = (
    "igzip -dc {tarball} | tee >(openssl sha256 > diffid) | igzip -1 | tee blob | openssl sha256"
)


class Case(NamedTuple):
    """The first contender is genoci; `aims` are the ratios to others that are to be reached."""

    name: str
    contenders: list[Contender]
    aims: dict[str, float]


class Place(NamedTuple):
    """`folder` is empty and ours; `tarball` is a root filesystem, `.tar.gz`."""

    folder: Path
    tarball: Path


def cold_base(place: Place) -> Case:
    ours = Genoci(place.folder / "genoci")
    ours.yaml(_BASE.format(tarball=place.tarball))
    contenders = [Contender("genoci", ours.build, ours.forget)]
    aims: dict[str, float] = {}
    if is_there("igzip"):
        scratch = _made(place.folder / "shell")
        command = ["bash", "-c", f"set -o pipefail; {_PIPELINE.format(tarball=place.tarball)}"]
        contenders.append(Contender("shell pipeline", lambda: timed(command, cwd=scratch)))
        aims["shell pipeline"] = 0.6
    if is_there("umoci"):
        contenders.append(_umoci_repack(place))
        aims["umoci"] = 1 / 5
    if is_there("buildah"):
        contenders.append(_buildah_add(place))
        aims["buildah"] = 1 / 10
    if docker_runs():
        contenders.append(_docker_add(place))
        aims["docker"] = 1 / 5
    return Case("cold base: expand onto empty", contenders, aims)


def first_run(place: Place) -> Case:
    ours = _with_base(place, "t: {base: base, run: 'echo first > /first'}\n")
    ours.build("base")
    target = place.folder / "tree"

    def forget() -> None:
        ours.forget(layout=False)
        _untag(ours, "t")

    contenders = [
        Contender("genoci", lambda: ours.build("--no-cache=t", "t"), forget),
        Contender(
            "tar -xzf",
            lambda: timed(["tar", "-xzf", place.tarball, "-C", target]),
            lambda: _emptied(target),
        ),
    ]
    return Case("first run on it", contenders, {"tar -xzf": 0.6})


def changed_line(place: Place) -> Case:
    ours = _with_base(place, "")
    lines = iter(range(10**6))

    def change() -> None:
        run = f"t: {{base: base, run: 'echo {next(lines)} > /line'}}\n"
        ours.yaml(_BASE.format(tarball=place.tarball) + run)

    change()
    ours.build()
    contenders = [Contender("genoci", lambda: ours.build("t"), change)]
    aims: dict[str, float] = {}
    if is_there("buildah"):
        theirs = _buildah_with_base(place)
        context = _made(place.folder / "context")
        dockerfile = "FROM localhost/base\nRUN echo {} > /line\n"
        contenders.append(
            Contender(
                "buildah --layers",
                lambda: theirs.bud(dockerfile.format(next(lines)), "t", context),
            )
        )
        aims["buildah --layers"] = 0.5
    return Case("one line of run changed", contenders, aims)


def nothing_changed(place: Place) -> Case:
    run = "echo line > /line"
    ours = _with_base(place, f"t: {{base: base, run: '{run}'}}\n")
    ours.build()
    contenders = [Contender("genoci", ours.build)]
    aims: dict[str, float] = {}
    if is_there("buildah"):
        theirs = _buildah_with_base(place)
        context = _made(place.folder / "context")
        dockerfile = f"FROM localhost/base\nRUN {run}\n"
        contenders.append(
            Contender("buildah --layers", lambda: theirs.bud(dockerfile, "t", context))
        )
        aims["buildah --layers"] = 1.0
    return Case("nothing changed, 2 targets", contenders, aims)


def many_unchanged(place: Place) -> Case:
    few, many = Genoci(place.folder / "few"), Genoci(place.folder / "many")
    for genoci, width, depth in ((few, 1, 2), (many, 40, 5)):
        (genoci.folder / "f").write_text("f")
        lines = []
        for level in range(depth):
            for number in range(width):
                base = f"t{level - 1}x{number}" if level else "empty"
                lines.append(f"t{level}x{number}: {{base: {base}, copy: f /{level}x{number}}}\n")
        genoci.yaml("".join(lines))
        genoci.build()
    contenders = [Contender("200 targets", many.build), Contender("2 targets", few.build)]
    return Case("nothing changed, 200 targets in 5 levels", contenders, {"2 targets": 3.0})


def two_heavy_targets(place: Place) -> Case:
    work = "i=0; while [ $i -lt 30 ]; do head -c 20000000 /dev/zero | sha256sum; i=$((i+1)); done"
    ours = _with_base(place, "".join(f"t{n}: {{base: base, run: '{work}; # {n}'}}\n" for n in "12"))
    ours.build("base")
    ours.build()
    both = ("--no-cache=t1,t2", "t1", "t2")
    contenders = [
        Contender("2 jobs", lambda: ours.build("--jobs", "2", *both)),
        Contender("1 job", lambda: ours.build("--jobs", "1", *both)),
    ]
    return Case("two independent heavy targets", contenders, {"1 job": 1 / 1.7})


def unpack(place: Place) -> Case:
    ours = _with_base(place, "")
    ours.build()
    target = place.folder / "tree"
    contenders = [
        Contender(
            "genoci",
            lambda: ours("unpack", "base", str(target)),
            lambda: shutil.rmtree(target, ignore_errors=True),
        ),
        Contender(
            "tar -xzf",
            lambda: timed(["tar", "-xzf", place.tarball, "-C", target]),
            lambda: _emptied(target),
        ),
    ]
    aims = {"tar -xzf": 0.5}
    if is_there("umoci"):
        image = f"{ours.folder / 'oci'}:base"
        contenders.append(
            Contender(
                "umoci unpack",
                lambda: timed(["umoci", "unpack", "--image", image, target]),
                lambda: shutil.rmtree(target, ignore_errors=True),
            )
        )
        aims["umoci unpack"] = 0.25
    return Case("unpack", contenders, aims)


CASES: list[Callable[[Place], Case]] = [
    cold_base,
    first_run,
    changed_line,
    nothing_changed,
    many_unchanged,
    two_heavy_targets,
    unpack,
]


def _with_base(place: Place, more: str) -> Genoci:
    genoci = Genoci(place.folder / "genoci")
    genoci.yaml(_BASE.format(tarball=place.tarball) + more)
    return genoci


def _untag(genoci: Genoci, tag: str) -> None:
    command = ["umoci", "rm", "--image", f"{genoci.folder / 'oci'}:{tag}"]
    subprocess.run(command, check=False, capture_output=True)


def _umoci_repack(place: Place) -> Contender:
    layout, bundle = place.folder / "umoci", place.folder / "bundle"
    script = (
        f"umoci init --layout {layout} && umoci new --image {layout}:base && "
        f"umoci unpack --image {layout}:base {bundle} && "
        f"tar -xzf {place.tarball} -C {bundle}/rootfs && "
        f"umoci repack --image {layout}:base {bundle}"
    )

    def forget() -> None:
        for path in (layout, bundle):
            shutil.rmtree(path, ignore_errors=True)

    return Contender("umoci", lambda: timed(["sh", "-c", script]), forget)


def _buildah_add(place: Place) -> Contender:
    theirs = Buildah(place.folder / "buildah")
    context = _context(place)
    layout = place.folder / "buildah-oci"
    options = f"--root {theirs.folder}/root --runroot {theirs.folder}/run --storage-driver overlay"
    (theirs.folder / "Dockerfile").write_text("FROM scratch\nADD root.tar.gz /\n")
    script = (
        f"buildah {options} bud --isolation chroot -f {theirs.folder}/Dockerfile -t base {context}"
        f" && buildah {options} push base oci:{layout}:base"
    )

    def forget() -> None:
        theirs.forget()
        shutil.rmtree(layout, ignore_errors=True)

    return Contender("buildah", lambda: timed(["sh", "-c", script]), forget)


def _buildah_with_base(place: Place) -> Buildah:
    theirs = Buildah(place.folder / "buildah")
    theirs.bud("FROM scratch\nADD root.tar.gz /\n", "base", _context(place))
    return theirs


def _docker_add(place: Place) -> Contender:
    context = _context(place)
    (context / "Dockerfile").write_text("FROM scratch\nADD root.tar.gz /\n")
    command = ["docker", "build", "--no-cache", "-q", "-t", "genoci-bench", str(context)]
    return Contender("docker", lambda: timed(command))


def _context(place: Place) -> Path:
    context = _made(place.folder / "add")
    if not (context / "root.tar.gz").exists():
        (context / "root.tar.gz").hardlink_to(place.tarball)
    return context


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
