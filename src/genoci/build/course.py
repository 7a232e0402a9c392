"""One build's course through its targets: each found in the cache, or built by a worker."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from genoci.build import fork, state
from genoci.build.events import AnyEvent, Failed, Finished, Skipped, Started, Stepped
from genoci.build.job import Built, Job
from genoci.build.key import Key
from genoci.build.plan import Decision, Planner
from genoci.build.request import Request
from genoci.errors import GenociError, Interrupted
from genoci.oci.cache import Result, store
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.layout import Layout
from genoci.oci.publish import publish
from genoci.spec.pinned import Pinned
from genoci.spec.target import Copy, Spec, Target

if TYPE_CHECKING:
    from genoci.build.making import Making


class Publisher(Protocol):
    def __call__(
        self, images: Mapping[str, Descriptor], *, cached: Collection[Descriptor]
    ) -> Mapping[str, tuple[str, ...]]:
        """Make known that these images and cache entries are stored; the images' tags."""


class _Done(NamedTuple):
    """A target that is built and not yet tagged; `started` unless that was told already."""

    manifest: Descriptor
    started: Started | None
    entry: Descriptor | None = None


class _Waiting:
    """A target that is not begun. `told`: that it is; `waits`: for a build of the same key."""

    def __init__(self, target: Target, number: int) -> None:
        self.target = target
        self.number = number
        self.decision: Decision | None = None
        self.told = False
        self.waits = False


class Course:
    """What was built, failed and was skipped so far, in the order in which it was.

    `publisher` tags what is done, as `publish` does. `installed` is what the targets that were
    built fetched by name.
    """

    def __init__(
        self,
        request: Request,
        spec: Spec,
        layout: Layout,
        planner: Planner,
        on_event: Callable[[AnyEvent], None],
        on_tick: Callable[[], None],
        *,
        publisher: Publisher | None = None,
    ) -> None:
        self._request = request
        self._layout = layout
        self._planner = planner
        self._publisher = publisher or partial(
            publish,
            layout,
            date=datetime.date.today().isoformat() if request.dated_tags else None,
            keep=spec.keep,
        )
        self._on_event = on_event
        self._on_tick = on_tick
        self._done: dict[str, _Done] = {}
        self._making: list[Making] = []
        self._total = 0
        self.built: list[Finished] = []
        self.failed: list[Failed] = []
        self.skipped: list[Skipped] = []
        self.installed: dict[str, tuple[Pinned, ...]] = {}

    def run(self, targets: Sequence[Target]) -> None:
        """Find or build each of the targets, as many at once as there may be; those come in order.

        What fails is told and remembered. However this ends, no worker of it is left.
        """
        waiting = [_Waiting(target, number) for number, target in enumerate(targets, 1)]
        self._total = len(targets)
        try:
            while True:
                waiting = [one for one in waiting if not self._begun(one)]
                self._publish()
                if not waiting and not self._making:
                    break
                heard = fork.ready([making.worker for making in self._making])
                for making in [it for it in self._making if it.worker in heard]:
                    making.hear(self._on_event)
                    if making.is_done:
                        self._finish(making)
                if not heard:
                    self._on_tick()
        finally:
            for making in self._making:
                making.worker.begin_to_stop()
            for making in self._making:
                making.close()
            self._publish()

    def _begun(self, one: _Waiting) -> bool:
        """Whether the target needs no more waiting: it is being built, was found, or can't be."""
        target = one.target
        missing = self._reason_to_skip(target)
        if missing:
            self._skip(target, missing)
            return True
        if not all(self._planner.knows(name) for name in _stands_on(target)):
            return False
        try:
            return self._found_or_started(one)
        except Interrupted:
            raise
        except (GenociError, OSError) as error:
            self._fail(fork.failure(error, target.name))
            return True

    def _found_or_started(self, one: _Waiting) -> bool:
        target = one.target
        if one.decision is None:
            one.decision = self._planner.decide(target)
        if one.decision.result is not None:
            self._found(target, one.decision.result, None if one.told else self._started(one))
            return True
        if len(self._making) == self._request.jobs:
            return False
        key = one.decision.key
        assert key is not None, "what it stands on is known"
        held = state.claim(self._request.state, key.digest)
        if not one.told:
            self._publish()
            self._on_event(self._started(one))
            one.told = True
        if held is None:
            if not one.waits:
                wait = "waiting for a build of the same layer"
                self._on_event(Stepped(target=target.name, step=wait))
            one.waits = True
            return False
        with held:  # somebody else may have had it until a moment ago, and have built it
            one.decision = self._planner.again(target, key)
            if one.decision.result is None:
                self._making.append(_start(self._job(target), key, held.pop_all()))
                return True
        return self._found_or_started(one)

    def _started(self, one: _Waiting) -> Started:
        because: tuple[str, ...] = ()
        if self._request.explain and one.decision is not None:
            because = one.decision.reasons
        name = one.target.name
        return Started(target=name, number=one.number, total=self._total, because=because)

    def _finish(self, making: Making) -> None:
        """Keep what was built, then let others have it who wait for the same."""
        self._making.remove(making)
        try:
            if making.failed is not None:
                self._fail(making.failed)
            elif making.built is not None:
                self._keep_result(making.target, making.key, making.built)
        except Interrupted:
            raise
        except (GenociError, OSError) as error:
            self._fail(fork.failure(error, making.target.name))
        finally:
            making.close()

    def _found(self, target: Target, result: Result, started: Started | None) -> None:
        image = self._planner.finished(target, result)
        manifest = self._layout.write_image(image)
        self._planner.have(target.name, image, manifest.digest)
        self._done[target.name] = _Done(manifest, started)

    def _keep_result(self, target: Target, key: Key, built: Built) -> None:
        self.installed[target.name] = built.installed
        manifest = Descriptor(built.media_type, Digest.parse(built.digest), built.size)
        image = self._layout.image(manifest.digest)
        self._planner.have(target.name, image, manifest.digest)
        entry = None
        if self._planner.key(target) == key:
            layer = image.layers[-1] if built.layer else None
            if layer is not None:
                self._planner.wrote(layer)
            result = Result(layer, built.newest, int(time.time()))
            entry = store(self._layout, key.preimage, target.name, result)
        self._done[target.name] = _Done(manifest, None, entry)
        self._publish(cached=False)

    def _publish(self, *, cached: bool = True) -> None:
        """Tag what is done, all in one write, and tell of it."""
        if not self._done:
            return
        done, self._done = self._done, {}
        tags = self._publisher(
            {name: it.manifest for name, it in done.items()},
            cached=[it.entry for it in done.values() if it.entry],
        )
        for name, it in done.items():
            if it.started:
                self._on_event(it.started)
            finished = Finished(
                target=name, tags=tags[name], digest=str(it.manifest.digest), cached=cached
            )
            self.built.append(finished)
            self._on_event(finished)

    def _reason_to_skip(self, target: Target) -> str:
        missing = {failure.target for failure in self.failed} | {s.target for s in self.skipped}
        for name in _stands_on(target):
            if name in missing:
                return name
        if self.failed and not self._request.keep_going:
            return self.failed[0].target
        return ""

    def _job(self, target: Target) -> Job:
        from genoci.build.worker import needs_a_root

        request = self._request
        return Job(
            target=target,
            base=self._manifest(target.base),
            images={
                step.image: self._manifest(step.image) or ""
                for step in target.steps
                if isinstance(step, Copy) and step.image is not None
            },
            folder=str(request.file.resolve().parent),
            layout=str(request.layout.absolute()),
            state=str(request.state.absolute()),
            driver=request.driver,
            compression=request.compression,
            epoch=request.epoch,
            on_paper=not needs_a_root(target),
            failed_before=bool(self.failed),
            pins=self._planner.pins(target),
        )

    def _manifest(self, name: str) -> str | None:
        _, manifest = self._planner.image(name)
        return None if manifest is None else str(manifest)

    def _fail(self, failure: Failed) -> None:
        self.failed.append(failure)
        self._on_event(failure)

    def _skip(self, target: Target, because: str) -> None:
        skipped = Skipped(target=target.name, because=because)
        self.skipped.append(skipped)
        self._on_event(skipped)


def _start(job: Job, key: Key, held: ExitStack) -> Making:
    from genoci.build.making import Making  # a build with nothing to do needs no worker

    try:
        return Making(job, key, held)
    except BaseException:
        held.close()
        raise


def _stands_on(target: Target) -> list[str]:
    images = [step.image for step in target.steps if isinstance(step, Copy) and step.image]
    return [target.base, *images]
