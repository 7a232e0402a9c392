"""What is done with a whole root filesystem: taken up, run in for the first time, unpacked."""

from __future__ import annotations

import os
from pathlib import Path

from bench import docker
from bench.case import Case, Place, ratio
from bench.peers import Buildah, Genoci, lacking, run, shell
from bench.timing import Command, Contender

# Decompressed, hashed, compressed and hashed again, as a layer has to be, with nothing in between.
PIPELINE = (
    "igzip -dc {tarball} | tee >(openssl sha256 > diffid) | igzip -1 | tee blob | openssl sha256"
)
BASE = "base: {{base: empty, expand: {tarball}}}\n"
ROOTLESS = "" if os.geteuid() == 0 else "--rootless"


def cold_base(place: Place) -> Case:
    """`expand` of a tarball of 500 MB onto `empty`, in a layout that is new."""

    def ours() -> Command:
        return place.genoci(BASE.format(tarball=place.tarball)).build()

    def pipeline() -> Command:
        return shell(PIPELINE.format(tarball=place.tarball), place.new())

    def umoci() -> Command:
        image = "--image layout:base"
        return shell(
            f"umoci init --layout layout && umoci new {image} && "
            f"umoci unpack {ROOTLESS} {image} bundle && "
            f"tar -xzf {place.tarball} --exclude='./dev/*' -C bundle/rootfs && "
            f"umoci repack {image} bundle",
            place.new(),
        )

    def buildah() -> Command:
        theirs = Buildah(place.new())
        bud = theirs.bud(f"FROM scratch\nADD {place.tarball.name} /\n", "base", _context(place))
        push = f"{theirs.program} push --compression-level 1 base oci:layout:base"
        return theirs.script(f"{bud.argv[-1]} && {push}")

    def engine() -> Command:
        dockerfile = f"FROM scratch\nADD {place.tarball.name} /\n"
        return place.docker.build(_context(place), dockerfile, "base", "--no-cache")

    return Case(
        "cold base: `expand` of 500 MB onto `empty`",
        [
            Contender("genoci", ours),
            Contender("shell pipeline", pipeline, lacking("igzip", "openssl")),
            Contender("umoci", umoci, lacking("umoci")),
            Contender("buildah", buildah, lacking("buildah")),
            Contender("docker", engine, docker.lacking()),
            Contender(
                "limit: cp of the tarball", lambda: shell(f"cp {place.tarball} blob", place.new())
            ),
        ],
        [
            ratio("genoci", "shell pipeline", 0.6),
            ratio("genoci", "umoci", 1 / 5),
            ratio("genoci", "docker", 1 / 5),
            ratio("genoci", "buildah", 1 / 10),
        ],
    )


def first_run(place: Place) -> Case:
    """A `run` on a base that is in the layout and was never unpacked: extract, run, compare."""
    step = "echo first > /first"
    yaml = BASE.format(tarball=place.tarball) + f"t: {{base: base, run: '{step}'}}\n"

    def based() -> Genoci:
        genoci = place.genoci(yaml)
        run(genoci.build("base"))
        return genoci

    def umoci() -> Command:
        image = f"--image {based().layout}"
        return shell(
            f"umoci unpack {image}:base bundle && chroot bundle/rootfs sh -c '{step}' && "
            f"umoci repack {image}:t bundle",
            place.new(),
        )

    def buildah() -> Command:
        theirs = Buildah(place.new())
        call = theirs.program
        return theirs.script(
            f"c=$({call} from oci:{based().layout}:base) && "
            f"{call} run --isolation=chroot $c -- sh -c '{step}' && {call} commit $c t"
        )

    return Case(
        "first `run` on it",
        [
            Contender("genoci", lambda: based().build("t")),
            Contender("tar -xzf", lambda: _tar(place)),
            Contender("umoci", umoci, lacking("umoci", root=True)),
            Contender("buildah", buildah, lacking("buildah")),
            Contender("limit: igzip | tar", lambda: _igzip_tar(place), lacking("igzip")),
        ],
        [ratio("genoci", "tar -xzf", 0.6)],
    )


def unpack(place: Place) -> Case:
    """An image of 500 MB unpacked into a new folder."""
    genoci = place.genoci(BASE.format(tarball=place.tarball))
    run(genoci.build())

    def umoci() -> Command:
        image = f"--image {genoci.layout}:base"
        return shell(f"umoci unpack {ROOTLESS} {image} bundle", place.new())

    return Case(
        "`unpack` of the 500 MB image",
        [
            Contender("genoci", lambda: genoci("unpack", "base", place.new())),
            Contender("umoci", umoci, lacking("umoci")),
            Contender("tar -xzf", lambda: _tar(place)),
            Contender("limit: igzip | tar", lambda: _igzip_tar(place), lacking("igzip")),
        ],
        [ratio("genoci", "umoci", 0.25), ratio("genoci", "tar -xzf", 0.5)],
    )


def _context(place: Place) -> Path:
    """New for each run: BuildKit would remember that it has read one before."""
    return place.context(place.tarball)


def _tar(place: Place) -> Command:
    return shell(f"tar -xzf {place.tarball} --exclude='./dev/*'", place.new())


def _igzip_tar(place: Place) -> Command:
    # tar stops at the archive's end, and igzip must not be killed for what is behind it.
    reading = "{ tar -x --exclude='./dev/*' && cat > /dev/null; }"
    return shell(f"igzip -dc {place.tarball} | {reading}", place.new())
