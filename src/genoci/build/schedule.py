"""From a YAML file to tagged images: the door of a build."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from genoci.build import state
from genoci.build.course import Course
from genoci.build.events import AnyEvent, Warned
from genoci.build.inputs import Inputs
from genoci.build.outcome import Outcome
from genoci.build.plan import Decision, Planner
from genoci.build.remember import remember
from genoci.build.request import Request
from genoci.build.trace import Looks
from genoci.errors import BuildError, Interrupted, UsageError
from genoci.oci.documents import Descriptor
from genoci.oci.layout import Layout
from genoci.spec.lock import Lock, beside, check_covers, read_lock
from genoci.spec.order import order
from genoci.spec.pinned import Pinned
from genoci.spec.read import read
from genoci.spec.target import Spec, Target
from genoci.spec.wording import did_you_mean, listed, quoted


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
    on_event = _machine_warned_once(on_event)
    looks = Looks()
    spec = read(request.file, tags=lambda: tags_of(request.layout), looks=looks)
    targets = order(spec, request.targets)
    if not request.hooks:
        from genoci.build.hooks import refuse_hooks

        refuse_hooks(targets)
    for warning in spec.warnings:
        on_event(Warned(target="", what=warning))
    refuse_mixture(request)
    state.make(request.state)
    layout = Layout.create_or_open(request.layout)
    with layout.holding(shared=True), state.using(request.state), Interruptible():
        explain = request.explain or request.expect_cached
        pins = _pins(request, targets, looks)
        planner = planner_for(request, spec, layout, on_event, looks, explain=explain, pins=pins)
        if request.expect_cached:
            _expect_cached(planner, targets)
        course = Course(request, spec, layout, planner, on_event, on_tick)
        course.run(targets)
        keep(planner.inputs)
        outcome = Outcome(tuple(course.built), tuple(course.failed), tuple(course.skipped))
        remember(request, spec, targets, planner, looks, outcome)
    return outcome


def _machine_warned_once(on_event: Callable[[AnyEvent], None]) -> Callable[[AnyEvent], None]:
    """What every worker says anew that meets it, as of a driver that does not work here."""
    told: set[Warned] = set()

    def tell(event: AnyEvent) -> None:
        if isinstance(event, Warned) and not event.target:
            if event in told:
                return
            told.add(event)
        on_event(event)

    return tell


def plan(request: Request, on_event: Callable[[AnyEvent], None]) -> list[tuple[Target, Decision]]:
    """What `build` would do with each target, in order. Builds nothing, tags nothing."""
    spec = read(request.file, tags=lambda: tags_of(request.layout))
    targets = order(spec, request.targets)
    for warning in spec.warnings:
        on_event(Warned(target="", what=warning))
    exists = (request.layout / "index.json").exists()
    layout = Layout.at(request.layout) if exists else None
    looks = Looks()
    pins = _pins(request, targets, looks)
    planner = planner_for(request, spec, layout, on_event, looks, explain=True, pins=pins)
    decided = [(target, planner.foresee(target)) for target in targets]
    if request.state.exists():
        keep(planner.inputs)
    return decided


def keep(inputs: Inputs) -> None:
    """What can't be remembered, on a full disk or in another's state, is read again next time."""
    with contextlib.suppress(OSError):
        inputs.keep()


def _pins(
    request: Request, targets: Sequence[Target], looks: Looks
) -> dict[str, tuple[Pinned, ...]]:
    """What the lock file lets each target install that installs by name; {} without one.

    Raises SpecError for a lock file that is wrong, or does not cover what the targets install.
    """
    sections = read_lock(beside(request.file), looks)
    if sections is None:
        return {}
    section = sections.get(request.file.name, Lock())
    check_covers(section, targets, str(request.file))
    return {name: it.packages for name, it in section.targets.items()}


def _expect_cached(planner: Planner, targets: Sequence[Target]) -> None:
    """Raise BuildError if any of the targets is not cached."""
    foreseen = [(target.name, planner.foresee(target)) for target in targets]
    told = [f"{name}: {'; '.join(it.reasons)}" for name, it in foreseen if it.result is None]
    if told:
        raise BuildError(
            f"{len(told)} of {len(targets)} targets would be built, and none was expected to",
            mend="\n".join(told),
        )


def planner_for(
    request: Request,
    spec: Spec,
    layout: Layout | None,
    on_event: Callable[[AnyEvent], None],
    looks: Looks,
    *,
    explain: bool = False,
    pins: Mapping[str, tuple[Pinned, ...]] | None = None,
) -> Planner:
    _check_names(request.uncached, spec)
    return Planner(
        spec,
        layout,
        request.state,
        Inputs(request.state, looks),
        folder=str(request.file.resolve().parent),
        compression=request.compression,
        epoch=request.epoch,
        uncached=request.uncached,
        use_cache=request.use_cache,
        explain=explain,
        pins=pins,
        warn=lambda what, mend: on_event(Warned(target="", what=what, mend=mend)),
    )


def _check_names(names: tuple[str, ...], spec: Spec) -> None:
    known = [target.name for target in spec.targets]
    for name in names:
        if name not in known:
            raise UsageError(
                f"--no-cache: {quoted(name)} is no target of the file",
                mend=did_you_mean(name, known, otherwise=f"there are {listed(known)}"),
            )


def refuse_mixture(request: Request) -> None:
    """A layout holds nothing but what other tools know as well."""
    if request.state.resolve().is_relative_to(request.layout.resolve()):
        raise UsageError(
            "the state can't be kept in the layout",
            where=str(request.state),
            mend="Name another directory: --state DIR, or GENOCI_STATE.",
        )


def tags_of(layout: Path) -> Mapping[str, Descriptor]:
    return Layout.at(layout).tags() if (layout / "index.json").exists() else {}


class Interruptible:
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
