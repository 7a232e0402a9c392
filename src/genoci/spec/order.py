"""Which target needs which, and the order to build them in."""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Iterator, Mapping, Sequence

from genoci.errors import UsageError
from genoci.spec.target import Copy, Place, Spec, Target
from genoci.spec.wording import did_you_mean, listed, printable, quoted


def references(target: Target) -> list[tuple[str, Place]]:
    """The images that `target` is made from, its base first, and where it names them."""
    copies = (step for step in target.steps if isinstance(step, Copy))
    images = [(c.image, c.image_place or c.place) for c in copies if c.image is not None]
    return [(target.base, target.base_place), *images]


def order(spec: Spec, wanted: Sequence[str]) -> tuple[Target, ...]:
    """The `wanted` targets (none: all) and those that they need, each after what it needs.

    Where that leaves a choice, the file's order stays. Raises UsageError for a name that is no
    target's, and for targets that need each other (`read` gives none).
    """
    by_name = {target.name: target for target in spec.targets}
    _check_wanted(wanted, by_name, spec.path)
    needs = {
        name: [other for other, _ in references(target) if other in by_name]
        for name, target in by_name.items()
    }
    reached = _reached(wanted or list(by_name), needs)
    position = {name: index for index, name in enumerate(by_name)}
    names = list(by_name)
    sorter = graphlib.TopologicalSorter({name: needs[name] for name in reached})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise UsageError(f"targets need each other: {listed(error.args[1])}") from error
    ordered: list[Target] = []
    ready: list[int] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, position[name])
        name = names[heapq.heappop(ready)]
        ordered.append(by_name[name])
        sorter.done(name)
    return tuple(ordered)


def _check_wanted(wanted: Sequence[str], by_name: Mapping[str, Target], path: str) -> None:
    for name in wanted:
        if name not in by_name:
            mend = did_you_mean(name, list(by_name), otherwise=f"it has {listed(by_name)}")
            raise UsageError(f"{printable(path)} has no target {quoted(name)}", mend=mend)


def _reached(wanted: Sequence[str], needs: Mapping[str, Sequence[str]]) -> set[str]:
    reached: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending += needs[name]
    return reached


def cycles(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """The circles of names that need each other: [a, b, a] says that a needs b, and b needs a.

    Each begins with that of its names that comes first in `needs`.
    """
    position = {name: index for index, name in enumerate(needs)}
    seen: set[str] = set()
    for start in needs:
        way: dict[str, Iterator[str]] = {}  # from `start` on, with what is left to try at each
        if start not in seen:
            way[start] = iter(needs[start])
        while way:
            here = next(reversed(way))
            name = next(way[here], None)
            if name is None:
                seen.add(here)
                del way[here]
            elif name in way:
                names = list(way)
                yield _from_first(names[names.index(name) :], position)
            elif name not in seen:
                way[name] = iter(needs[name])


def _from_first(circle: list[str], position: Mapping[str, int]) -> list[str]:
    first = min(range(len(circle)), key=lambda index: position[circle[index]])
    return [*circle[first:], *circle[: first + 1]]
