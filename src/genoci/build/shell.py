"""A shell in an image: in a copy that is thrown away, or in what a failed build left."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

from genoci.build.rooted import enter
from genoci.build.run import environment
from genoci.build.state import serve
from genoci.build.steps import Warn
from genoci.build.users import find_user
from genoci.errors import BuildError, NotFound
from genoci.layer.tree import LiveTree
from genoci.oci.image import Image
from genoci.oci.layout import Layout
from genoci.sandbox import process
from genoci.snapshot.driver import Active, Driver
from genoci.snapshot.probe import pick
from genoci.snapshot.unpack import ensure

_SHELL = ("/bin/sh",)


def look_around(
    layout: Layout, state: Path, image: Image, argv: tuple[str, ...], driver: Driver, warn: Warn
) -> int:
    """Run `argv`, or a shell, as the image's user in its working directory; the exit status."""
    idmap = enter((state, *driver.places), warn)
    snapshots = pick(driver, state, idmap.key, warn=warn)
    snapshots.sweep()
    serve(state, layout.path, driver)
    chain = ensure(image, snapshots, layout, warn=warn)
    with snapshots.prepare(chain) as active:
        return interact(active, argv, image.env, image.workdir, image.user, warn)


def look_at_failed(state: Path, argv: tuple[str, ...], driver: Driver, warn: Warn) -> int:
    """The same as root in the failed root, whichever driver it was built with.

    `driver` is asked first, and then those that have snapshots in the state.
    """
    used = sorted(os.listdir(state / "snapshots")) if (state / "snapshots").exists() else []
    drivers = [Driver(name) for name in used]
    if driver.places and driver.folder(state).exists():
        drivers.insert(0, driver)
    if not drivers:
        raise _nothing()
    idmap = enter((state, *driver.places), warn)
    for one in drivers:
        kept: AbstractContextManager[Active] | None
        kept = pick(one, state, idmap.key, warn=warn).kept("failed")
        if kept is not None:
            with kept as active:
                return interact(active, argv, {}, "/", "", warn)
    raise _nothing()


def _nothing() -> NotFound:
    return NotFound(
        "there is no failed build to look at",
        mend="One is kept when a step fails, until the next build. `genoci shell TAG` shows a tag.",
    )


def interact(
    active: Active,
    argv: tuple[str, ...],
    env: dict[str, str],
    workdir: str,
    user: str,
    warn: Warn,
    *,
    usage: str = "genoci shell TAG -- /path/to/program",
) -> int:
    """Run `argv`, or a shell, in the root as its `user`; the exit status."""
    with LiveTree(active.root) as tree:
        who = find_user(tree, user, where="")
    command = process.Command(
        argv=argv or _SHELL,
        root=active.root,
        env=environment(env, home=who.home, epoch=None),
        cwd=workdir or "/",
        uid=who.uid,
        gid=who.gid,
        groups=who.groups,
    )
    try:
        return process.interactive(command, warn=warn)
    except FileNotFoundError as error:
        raise BuildError(
            f"the image has no {command.argv[0]}",
            mend=f"Name a program that it has: {usage}",
        ) from error
