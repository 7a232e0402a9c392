"""What targets say of each other: every `base` and `from` is there, and none goes in a circle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from genoci.spec.names import EMPTY
from genoci.spec.order import cycles, references
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import Place, Target
from genoci.spec.wording import did_you_mean, listed, printable, quoted

Tags = Callable[[], Iterable[str]] | Iterable[str]


def check_references(
    targets: Sequence[Target], top_keys: Collection[str], tags: Tags, problems: Problems
) -> None:
    """Every base and `from` is `empty`, one of `top_keys` (a target's name), or a tag.

    `tags` is looked at only if some name is neither of the others.
    """
    names = [key for key in top_keys if key != "genoci" and not key.startswith("x-")]
    known = {*names, EMPTY}
    unknown = [
        (name, place)
        for target in targets
        for name, place in references(target)
        if name not in known
    ]
    if not unknown:
        return
    available = sorted(set(tags() if callable(tags) else tags))
    in_layout = set(available)
    for name, place in unknown:
        if name not in in_layout:
            problems.add(_missing(name, place, names, available, top_keys))


def _missing(
    name: str, place: Place, names: list[str], tags: list[str], top_keys: Collection[str]
) -> Mistake:
    what = f"there is no target or tag {quoted(name)}"
    if name in top_keys:
        return Mistake(place, what, "`genoci`, and keys that begin with `x-`, are no targets")
    if name.lower() in ("scratch", "none"):
        return Mistake(place, what, "the base that holds nothing is `empty`")
    return Mistake(
        place,
        what,
        did_you_mean(name, [*names, EMPTY, *tags], otherwise=_otherwise(name, names, tags)),
    )


def _otherwise(name: str, names: list[str], tags: list[str]) -> str:
    if ":" in name or "/" in name:
        return (
            "images of registries are not fetched; get it into the layout first, "
            "for example with `skopeo copy docker://IMAGE oci:oci:TAG`"
        )
    there = f"the targets are {listed(names)}" if len(names) > 1 else "there is no other target"
    have = f"the layout has {listed(tags)}" if tags else "the layout has no tags"
    return f"{there}; {have}; or start from nothing: `base: empty`"


def check_circles(targets: Sequence[Target], problems: Problems) -> None:
    """No target needs itself, however many others are in between."""
    by_name = {target.name: target for target in targets}
    needs = {t.name: [n for n, _ in references(t) if n in by_name] for t in targets}
    for circle in cycles(needs):
        place = next(p for n, p in references(by_name[circle[0]]) if n == circle[1])
        if len(circle) == 2:
            problems.add(
                Mistake(
                    place,
                    f"target {quoted(circle[0])} needs itself",
                    "a target wins over a tag of the same name; give it another name",
                )
            )
            continue
        way = printable(" -> ".join(circle))
        problems.add(
            Mistake(place, f"these targets need each other: {way}", "give one of them another base")
        )
