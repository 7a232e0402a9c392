"""One build's course through its targets: each found in the cache, or built by a worker."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from genoci.build import fork, state
from genoci.build.events import AnyEvent, Failed, Finished, Skipped, Started, Stepped
from genoci.build.job import Answer, Built, Job, NotOnPaper
from genoci.build.key import Key
from genoci.build.plan import Planner, is_storable
from genoci.build.request import Request
from genoci.errors import BuildError, GenociError, Interrupted
from genoci.oci.cache import Result, store
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.layout import Layout
from genoci.oci.publish import publish
from genoci.spec.target import Copy, Spec, Target


class _Done(NamedTuple):
    """A target that is built and not yet tagged; `started` unless that was told already."""

    manifest: Descriptor
    started: Started | None
    entry: Descriptor | None = None


class Course:
    """A context manager: its end makes known what was not yet."""

    def __init__(
        self,
        request: Request,
        spec: Spec,
        layout: Layout,
        planner: Planner,
        on_event: Callable[[AnyEvent], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._request = request
        self._layout = layout
        self._planner = planner
        self._keep = spec.keep
        self._on_event = on_event
        self._on_tick = on_tick
        self._date = datetime.date.today().isoformat() if request.dated_tags else None
        self._done: dict[str, _Done] = {}
        self.built: list[Finished] = []
        self.failed: list[Failed] = []
        self.skipped: list[Skipped] = []

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        self._publish()

    def one(self, target: Target, number: int, total: int) -> None:
        """Build the target, or find it built; what fails is told and remembered."""
        missing = self._reason_to_skip(target)
        if missing:
            self._skip(target, missing)
            return
        try:
            decision = self._planner.decide(target)
            because = decision.reasons if self._request.explain else ()
            started = Started(target=target.name, number=number, total=total, because=because)
            assert decision.key is not None, "what it stands on was built before it"
            if decision.result is not None:
                self._found(target, decision.result, started)
                return
            self._publish()
            self._on_event(started)
            self._make(target, decision.key)
        except Interrupted:
            raise
        except GenociError as error:
            self._fail(fork.failure(error, target.name))

    def _make(self, target: Target, key: Key) -> None:
        """Build it, unless another process is at it; then wait, and take what that has made."""
        wait = Stepped(target=target.name, step="waiting for a build of the same layer")
        with state.building(
            self._request.state, key.digest, on_wait=lambda: self._on_event(wait)
        ) as waited:
            if waited:
                result = self._planner.again(target, key).result
                if result is not None:
                    self._found(target, result, None)
                    return
            job = self._job(target)
            built = self._work(job)
            if isinstance(built, NotOnPaper):
                built = self._work(msgspec.structs.replace(job, on_paper=False))
            if isinstance(built, Built):
                self._keep_result(target, key, built)

    def _found(self, target: Target, result: Result, started: Started | None) -> None:
        image = self._planner.finished(target, result)
        manifest = self._layout.write_image(image)
        self._planner.have(target.name, image, manifest.digest)
        self._done[target.name] = _Done(manifest, started)

    def _keep_result(self, target: Target, key: Key, built: Built) -> None:
        manifest = Descriptor(built.media_type, Digest.parse(built.digest), built.size)
        image = self._layout.image(manifest.digest)
        self._planner.have(target.name, image, manifest.digest)
        entry = None
        if is_storable(key) and self._planner.key(target).digest == key.digest:
            layer = image.layers[-1] if built.layer else None
            result = Result(layer, built.newest, int(time.time()))
            entry = store(self._layout, key.preimage, target.name, result)
        self._done[target.name] = _Done(manifest, None, entry)
        self._publish(cached=False)

    def _publish(self, *, cached: bool = True) -> None:
        """Tag what is done, all in one write, and tell of it."""
        if not self._done:
            return
        done, self._done = self._done, {}
        tags = publish(
            self._layout,
            {name: it.manifest for name, it in done.items()},
            date=self._date,
            keep=self._keep,
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
        from genoci.build.worker import needs_a_root  # a build with nothing to do needs no worker

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
        )

    def _manifest(self, name: str) -> str | None:
        _, manifest = self._planner.image(name)
        return None if manifest is None else str(manifest)

    def _work(self, job: Job) -> Built | NotOnPaper | None:
        from genoci.build.worker import work

        built: Built | NotOnPaper | None = None
        with fork.worker(lambda send: work(job, send), target=job.target.name) as worker:
            for message in worker.messages(self._on_tick):
                if isinstance(message, Built | NotOnPaper):
                    built = message
                elif isinstance(message, Failed):
                    self._fail(message)
                    return None
                elif not isinstance(message, Answer):
                    self._on_event(message)
        if built is None:
            raise BuildError("the worker ended without a result")
        return built

    def _fail(self, failure: Failed) -> None:
        self.failed.append(failure)
        self._on_event(failure)

    def _skip(self, target: Target, because: str) -> None:
        skipped = Skipped(target=target.name, because=because)
        self.skipped.append(skipped)
        self._on_event(skipped)


def _stands_on(target: Target) -> list[str]:
    images = [step.image for step in target.steps if isinstance(step, Copy) and step.image]
    return [target.base, *images]
