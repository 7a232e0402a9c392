"""Several targets at once: what may be, what waits, and what a failure stops."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from genoci.build.events import Finished, Started
from workshop import Workshop


@pytest.fixture
def meeting() -> int:
    """A port at which whoever comes is held until a second one has come."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(60)

    def serve() -> None:
        try:
            both = [listening.accept()[0] for _ in range(2)]
        except TimeoutError:
            return
        finally:
            listening.close()
        for one in both:
            one.sendall(b"met\n")
            one.close()

    threading.Thread(target=serve, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


def order(workshop: Workshop) -> list[tuple[str, str]]:
    return [
        (type(event).__name__, event.target)
        for event in workshop.events
        if isinstance(event, Started | Finished)
    ]


def test_targets_that_do_not_need_each_other_are_built_at_once(
    workshop: Workshop, rootfs: Path, meeting: int
) -> None:
    meet = f"nc 127.0.0.1 {meeting} < /dev/null > /met"
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        f"one: {{base: base, run: '{meet}'}}\n"
        f"two: {{base: base, run: '{meet} 2>&1'}}\n",
        jobs=2,
    )
    assert outcome.ok, workshop.output()
    assert workshop.text("one", "met") == workshop.text("two", "met") == "met\n"


def test_a_target_waits_for_what_it_stands_on(workshop: Workshop, rootfs: Path) -> None:
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "one: {base: base, run: echo 1 > /one}\n"
        "two: {base: one, copy: {from: other, src: /other, dest: /}}\n"
        "other: {base: base, run: echo o > /other}\n",
        jobs=8,
    )
    assert outcome.ok
    told = order(workshop)
    for later, earlier in (("one", "base"), ("two", "one"), ("two", "other"), ("other", "base")):
        assert told.index(("Finished", earlier)) < told.index(("Started", later))
    assert workshop.text("two", "other") == "o\n"


def test_one_at_a_time_is_one_at_a_time(workshop: Workshop) -> None:
    workshop.write("f", "f")
    workshop.build("".join(f"t{n}: {{base: empty, copy: f /{n}}}\n" for n in range(5)), jobs=1)
    assert order(workshop) == [
        (what, f"t{number}") for number in range(5) for what in ("Started", "Finished")
    ]


def test_the_first_failure_stops_what_has_not_begun(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"base: {{base: empty, expand: {rootfs}}}\nbad: {{base: base, run: exit 7}}\n"
    yaml += "".join(f"t{n}: {{base: base, run: touch /{n}}}\n" for n in range(9))
    outcome = workshop.build(yaml, jobs=2)
    assert [failure.target for failure in outcome.failed] == ["bad"]
    assert outcome.skipped
    assert {skipped.because for skipped in outcome.skipped} == {"bad"}
    assert len(outcome.built) + len(outcome.skipped) == 10


def test_going_on_builds_what_does_not_need_it(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"base: {{base: empty, expand: {rootfs}}}\nbad: {{base: base, run: exit 7}}\n"
    yaml += "worse: {base: bad, run: touch /x}\n"
    yaml += "".join(f"t{n}: {{base: base, run: touch /{n}}}\n" for n in range(4))
    outcome = workshop.build(yaml, jobs=2, keep_going=True)
    assert {built.target for built in outcome.built} == {"base", "t0", "t1", "t2", "t3"}
    assert [(skipped.target, skipped.because) for skipped in outcome.skipped] == [("worse", "bad")]


def test_two_of_one_build_that_are_the_same_are_built_once(
    workshop: Workshop, rootfs: Path
) -> None:
    workshop.use_cache = True
    same = "{base: base, run: head -c 8 /dev/urandom > /random}"
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\none: {same}\ntwo: {same}\n", jobs=3
    )
    assert outcome.ok
    assert workshop.layers("one") == workshop.layers("two")
    assert sum(built.cached for built in outcome.built) == 1


def test_many_at_once_give_what_one_after_the_other_gives(
    workshop: Workshop, rootfs: Path, epoch: int
) -> None:
    yaml = f"base: {{base: empty, expand: {rootfs}}}\n"
    for number in range(12):
        base = f"t{number - 3}" if number > 2 else "base"
        yaml += (
            f"t{number}: {{base: {base}, run: 'echo {number} > /{number}; rm -f /{number - 4}'}}\n"
        )
    digests = []
    for jobs in (1, 6):
        outcome = workshop.build(yaml, jobs=jobs, epoch=epoch)
        assert outcome.ok
        digests.append(sorted((built.target, built.digest) for built in outcome.built))
    assert digests[0] == digests[1]
    assert not os.listdir(workshop.state / "building")
