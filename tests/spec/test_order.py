"""The order of a build: the file's, as far as the bases allow."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genoci.errors import SpecError, UsageError
from genoci.spec.order import cycles, order
from genoci.spec.target import ConfigChange, Copy, Place, Spec, Target

Reader = Callable[[str], Spec]
HERE = Place("f.yaml", 1, 1)


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target.name for target in targets]


def a_target(name: str, base: str, *images: str) -> Target:
    steps = tuple(Copy(("/a",), "/", HERE, image=image) for image in images)
    return Target(name, base, steps, ConfigChange(), HERE, HERE)


def test_a_target_comes_after_its_base(spec: Reader) -> None:
    found = spec("c: {base: b, run: x}\nb: {base: a, run: x}\na: {base: empty, run: x}\n")
    assert names(order(found, [])) == ["a", "b", "c"]


def test_a_target_comes_after_what_it_copies_from(spec: Reader) -> None:
    found = spec("a: {base: empty, copy: {from: b, src: /x, dest: /}}\nb: {base: debian, run: x}\n")
    assert names(order(found, [])) == ["b", "a"]


def test_otherwise_the_order_is_the_files() -> None:
    found = Spec("f", tuple(a_target(name, "empty") for name in ("z", "m", "a", "k")))
    assert names(order(found, [])) == ["z", "m", "a", "k"]


def test_only_what_is_wanted_is_built_and_what_that_needs() -> None:
    targets = (
        a_target("top", "middle"),
        a_target("other", "bottom"),
        a_target("middle", "bottom", "tool"),
        a_target("bottom", "debian"),
        a_target("tool", "empty"),
        a_target("unrelated", "empty"),
    )
    assert names(order(Spec("f", targets), ["top"])) == ["bottom", "tool", "middle", "top"]
    assert names(order(Spec("f", targets), ["tool", "other", "tool"])) == [
        "bottom",
        "other",
        "tool",
    ]


def test_a_wanted_target_that_is_not_there_is_an_error_with_a_near_miss(spec: Reader) -> None:
    found = spec("cirros: {base: empty, run: x}\nb: {base: cirros, run: x}\n")
    with pytest.raises(UsageError) as caught:
        order(found, ["b", "ciros"])
    assert caught.value.what.endswith("f.yaml has no target `ciros`")
    assert caught.value.mend == "did you mean `cirros`?"
    with pytest.raises(UsageError) as caught:
        order(found, ["debian"])
    assert caught.value.mend == "it has `cirros` and `b`"


def test_a_chain_of_thousands_is_no_recursion(spec: Reader) -> None:
    lines = [f"t{n}: {{base: t{n + 1}, run: x}}" for n in range(3000)]
    found = spec("\n".join([*lines, "t3000: {base: empty, run: x}"]))
    assert names(order(found, ["t0"])) == [f"t{n}" for n in range(3000, -1, -1)]


def test_a_circle_of_thousands_is_named_in_full(spec: Reader, folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        spec("\n".join(f"t{n}: {{base: t{(n + 1) % 3000}, run: x}}" for n in range(3000)))
    circle = " -> ".join([*(f"t{n}" for n in range(3000)), "t0"])
    assert caught.value.what == f"these targets need each other: {circle}"


def test_every_circle_is_told(spec: Reader) -> None:
    with pytest.raises(SpecError) as caught:
        spec(
            "a: {base: b, run: x}\nb: {base: a, run: x}\n"
            "c: {base: c, run: x}\nd: {base: a, run: x}\n"
        )
    told = [caught.value.what, *(other.what for other in caught.value.others)]
    assert told == ["these targets need each other: a -> b -> a", "target `c` needs itself"]


def test_circles_of_a_spec_that_was_not_read_are_an_error() -> None:
    with pytest.raises(UsageError, match="targets need each other"):
        order(Spec("f", (a_target("a", "b"), a_target("b", "a"))), [])


graphs = st.integers(1, 8).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, size - 1), max_size=3), min_size=size, max_size=size
    )
)


@settings(deadline=None)
@given(graphs)
def test_whatever_needs_what_the_order_is_right_or_there_is_a_circle(
    graph: list[list[int]],
) -> None:
    needs = {str(n): [str(other) for other in others] for n, others in enumerate(graph)}
    found = list(cycles(needs))
    for circle in found:
        assert circle[0] == circle[-1]
        assert int(circle[0]) == min(map(int, circle))
        assert all(b in needs[a] for a, b in itertools.pairwise(circle))
    spec = Spec("f", tuple(a_target(n, "empty", *others) for n, others in needs.items()))
    if found:
        with pytest.raises(UsageError):
            order(spec, [])
        return
    built = names(order(spec, []))
    assert sorted(built) == sorted(needs)
    assert all(built.index(b) < built.index(a) for a in needs for b in needs[a])
