"""The managers' turn in a live root: what they work with, and what they may not leave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genoci.build import steps
from genoci.build.events import Output
from genoci.build.install import cache
from genoci.build.install.manager import Batch, Workplace
from genoci.build.install.programs import Programs
from genoci.build.install.step import Ground, Share
from genoci.build.install.traces import Traces
from genoci.build.job import Job
from genoci.layer.tree import LiveTree
from genoci.spec.pinned import Pinned
from genoci.spec.target import Install


def install_shares(
    shares: Sequence[Share],
    step: Install,
    job: Job,
    ground: Ground,
    *,
    pins: tuple[Pinned, ...] | None,
) -> tuple[Pinned, ...]:
    """Have each manager install its share; what was fetched, in order."""
    where = steps.place(job, step)

    def say(text: str) -> None:
        ground.send(Output(target=job.target.name, text=text))

    name = cache.key(ground.base.chain_id, job.target, step)
    waiting = "waiting for another build that uses the same package cache\n"
    with cache.held(Path(job.state), name, lambda: say(waiting)) as places:
        run = Programs(
            ground.root,
            showing=ground.showing,
            where=where,
            epoch=job.epoch,
            on_output=say,
            warn=ground.warn,
        )
        installed: list[Pinned] = []
        with Traces(ground.root, places.folder):
            for number, share in enumerate(shares):
                folder = places.folder / str(number)
                folder.mkdir()
                shared = places.cache / share.manager.name
                shared.mkdir(exist_ok=True)
                with LiveTree(ground.root) as tree:
                    workplace = Workplace(
                        root=ground.root,
                        tree=tree,
                        run=run,
                        folder=folder,
                        cache=shared,
                        where=where,
                        epoch=job.epoch,
                        warn=ground.warn,
                    )
                    installed += share.manager.make().install(_batch(share, pins), workplace)
        return tuple(installed)


def _batch(share: Share, pins: tuple[Pinned, ...] | None) -> Batch:
    if pins is not None:
        pins = tuple(one for one in pins if one.manager == share.manager.family)
    return Batch(share.archives, share.names, share.deps_from_repo, pins)
