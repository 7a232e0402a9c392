"""Targets in order, a worker each; the only one who tags."""

from __future__ import annotations

import datetime
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import msgspec

from genoci.build import fork, state
from genoci.build.events import AnyEvent, Failed, Finished, Skipped, Started, Warned
from genoci.build.hooks import refuse_hooks
from genoci.build.job import Answer, Built, Job, NotOnPaper
from genoci.build.worker import needs_a_root, work
from genoci.errors import BuildError, GenociError, Interrupted, UsageError
from genoci.layer.compress import Compression
from genoci.oci.digest import Digest
from genoci.oci.documents import Descriptor
from genoci.oci.gc import thin_out
from genoci.oci.layout import Layout
from genoci.snapshot.driver import Driver
from genoci.spec.order import order
from genoci.spec.read import read
from genoci.spec.target import Copy, Spec, Target


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks for; `epoch` is SOURCE_DATE_EPOCH in seconds.

    Not `hooks`: a file whose wanted targets have any is refused.
    """

    file: Path
    targets: tuple[str, ...] = ()
    layout: Path
    state: Path
    driver: Driver = Driver()
    compression: Compression
    keep_going: bool = False
    dated_tags: bool = True
    hooks: bool = True
    epoch: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    built: tuple[Finished, ...]
    failed: tuple[Failed, ...]
    skipped: tuple[Skipped, ...]

    @property
    def ok(self) -> bool:
        return not self.failed and not self.skipped


def build(
    request: Request,
    on_event: Callable[[AnyEvent], None],
    *,
    on_tick: Callable[[], None] = lambda: None,
) -> Outcome:
    """Build the targets of a file and tag each as soon as it is finished.

    A target that fails is told by a `Failed` event and in the Outcome. Raises UsageError for what
    is wrong before anything is built, Interrupted when the user ends it; finished targets stay.
    """
    spec = read(request.file, tags=lambda: _tags(request.layout))
    targets = order(spec, request.targets)
    if not request.hooks:
        refuse_hooks(targets)
    for warning in spec.warnings:
        on_event(Warned(target="", what=warning))
    _refuse_mixture(request)
    state.make(request.state)
    layout = Layout.create_or_open(request.layout)
    with layout.holding(shared=True), state.using(request.state), _Interruptible():
        run = _Run(request, spec, layout, on_event, on_tick)
        for number, target in enumerate(targets, 1):
            run.one(target, number, len(targets))
    return Outcome(tuple(run.built), tuple(run.failed), tuple(run.skipped))


def _refuse_mixture(request: Request) -> None:
    """A layout holds nothing but what other tools know as well."""
    if request.state.resolve().is_relative_to(request.layout.resolve()):
        raise UsageError(
            "the state can't be kept in the layout",
            where=str(request.state),
            mend="Name another directory: --state DIR, or GENOCI_STATE.",
        )


def _tags(layout: Path) -> Mapping[str, Descriptor]:
    return Layout.at(layout).tags() if (layout / "index.json").exists() else {}


class _Run:
    """One build's progress through its targets."""

    def __init__(
        self,
        request: Request,
        spec: Spec,
        layout: Layout,
        on_event: Callable[[AnyEvent], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._request = request
        self._spec = spec
        self._layout = layout
        self._on_event = on_event
        self._on_tick = on_tick
        self._of_this_file = {target.name for target in spec.targets}
        self._manifests: dict[str, str] = {}
        self._date = datetime.date.today().isoformat()
        self.built: list[Finished] = []
        self.failed: list[Failed] = []
        self.skipped: list[Skipped] = []

    def one(self, target: Target, number: int, total: int) -> None:
        because = self._reason_to_skip(target)
        if because:
            self._skip(target, because)
            return
        self._on_event(Started(target=target.name, number=number, total=total))
        try:
            built = self._work(self._job(target))
            if isinstance(built, NotOnPaper):
                built = self._work(msgspec.structs.replace(self._job(target), on_paper=False))
        except Interrupted:
            raise
        except GenociError as error:
            self._fail(fork.failure(error, target.name))
            return
        if isinstance(built, Built):
            self._finish(target, built)

    def _reason_to_skip(self, target: Target) -> str:
        missing = {failure.target for failure in self.failed} | {s.target for s in self.skipped}
        for name in _stands_on(target):
            if name in missing:
                return name
        if self.failed and not self._request.keep_going:
            return self.failed[0].target
        return ""

    def _job(self, target: Target) -> Job:
        request = self._request
        return Job(
            target=target,
            base=None if target.base == "empty" else self._manifest(target.base),
            images={
                step.image: self._manifest(step.image)
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

    def _manifest(self, name: str) -> str:
        if name in self._of_this_file:
            return self._manifests[name]
        return str(self._layout.resolve_descriptor(name).digest)

    def _work(self, job: Job) -> Built | NotOnPaper | None:
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

    def _finish(self, target: Target, built: Built) -> None:
        manifest = Descriptor(
            media_type=built.media_type, digest=Digest.parse(built.digest), size=built.size
        )
        if self._request.dated_tags:
            tags: tuple[str, ...] = self._layout.tag_dated(target.name, self._date, manifest)
        else:
            self._layout.tag({target.name: manifest})
            tags = (target.name,)
        if self._spec.keep is not None:
            thin_out(self._layout, target.name, keep=self._spec.keep)
        self._manifests[target.name] = built.digest
        finished = Finished(target=target.name, tags=tags, digest=built.digest)
        self.built.append(finished)
        self._on_event(finished)

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


class _Interruptible:
    """Turns SIGINT and SIGTERM into Interrupted within its block, so that `with` blocks unwind."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __enter__(self) -> None:
        # One that is ignored, as under nohup, stays ignored.
        heard = [n for n in self._SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._raise) for number in heard}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        for number in self._before:  # once is enough: taking down must not be cut short
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted("interrupted: the targets that were finished before stay")
