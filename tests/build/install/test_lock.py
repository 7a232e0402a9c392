"""`genoci lock` and builds with a lock file, with dnf and a repository on the loopback."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from genoci.build.events import AnyEvent, Finished
from genoci.build.lock import write
from genoci.build.relock import Relocked, lock
from genoci.build.schedule import Outcome, Request, build, plan
from genoci.errors import SpecError
from genoci.layer.compression import Compression
from genoci.spec.lock import Lock, Locked, read_lock
from genoci.spec.pinned import Pinned
from rpms import RpmShop


class Locker:
    """A folder with a YAML file and its lock file, and the shop's layout and state."""

    def __init__(self, folder: Path, shop: RpmShop) -> None:
        self.file = folder / "f.yaml"
        self.path = folder / "genoci.lock"
        self.shop = shop
        self.events: list[AnyEvent] = []

    def lock(self, yaml: str, *targets: str) -> Relocked:
        return lock(self._request(yaml, targets), self.events.append)

    def build(self, yaml: str, *targets: str) -> Outcome:
        return build(self._request(yaml, targets), self.events.append)

    def planned(self, yaml: str) -> dict[str, bool]:
        """Whether each target is cached."""
        decided = plan(self._request(yaml, ()), self.events.append)
        return {target.name: it.result is not None for target, it in decided}

    def _request(self, yaml: str, targets: tuple[str, ...]) -> Request:
        self.file.write_text(yaml)
        return Request(
            file=self.file,
            targets=targets,
            layout=self.shop.layout_path,
            state=self.shop.state,
            compression=Compression.parse("none"),
            dated_tags=False,
            epoch=1_700_000_000,
        )

    def write(self, **targets: list[str]) -> None:
        """A lock file by hand: of each target packages such as `plain-1`, asked for by name."""
        sections = {"f.yaml": Lock({t: self._locked(n) for t, n in targets.items()})}
        write(self.path, sections | {"g.yaml": Lock(urls={"http://h/x": "0" * 64})})

    def _locked(self, packages: list[str]) -> Locked:
        pairs = [package.split("-") for package in packages]
        pins = [
            Pinned("rpm", name, f"{version}-1", "noarch", self._digest(f"{name}-{version}"), "-")
            for name, version in pairs
        ]
        return Locked(tuple(name for name, _ in pairs), tuple(pins))

    def _digest(self, package: str) -> str:
        path = self.shop.file(package)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64

    def packages(self) -> dict[str, list[str]]:
        """Those of each target."""
        sections = read_lock(self.path)
        assert sections is not None
        targets = sections["f.yaml"].targets
        return {n: [f"{p.name}-{p.version}" for p in it.packages] for n, it in targets.items()}


@pytest.fixture
def locker(tmp_path: Path, shop: RpmShop) -> Locker:
    return Locker(tmp_path, shop)


APP = "locked: {base: dnf, install: app}\n"
BOTH = f"{APP}other: {{base: dnf, install: plain}}\n"


def test_lock_pins_all_that_is_installed_and_tags_nothing(locker: Locker) -> None:
    tags = locker.shop.layout.tags()
    done = locker.lock(APP)
    assert done.outcome.ok, done.outcome.failed
    assert (done.written, done.packages) == (True, 2)
    assert done.changes == ("locked: app (noarch) 1-1 added", "locked: lib (noarch) 2-1 added")
    sections = read_lock(locker.path)
    assert sections is not None
    (lib, app) = sections["f.yaml"].targets["locked"].packages
    assert (lib.name, lib.version, app.name) == ("lib", "2-1", "app")
    assert lib.sha256 == hashlib.sha256(locker.shop.file("lib-2").read_bytes()).hexdigest()
    assert locker.shop.layout.tags() == tags
    assert not any(isinstance(event, Finished) for event in locker.events)
    again = locker.lock(APP)
    assert (again.written, again.changes) == (False, ())


def test_a_build_with_a_lock_file_installs_what_it_says_once(locker: Locker) -> None:
    locker.write(other=["plain-1"])
    outcome = locker.build(BOTH, "other")
    assert outcome.ok, outcome.failed
    assert "plain-1-1" in locker.shop.says("other", "rpm -q plain")
    locker.write(other=["plain-1"], locked=["app-1"])
    assert locker.planned(BOTH) == {"locked": False, "other": True}
    locker.write(other=["plain-2"], locked=["app-1"])
    assert locker.planned(BOTH) == {"locked": False, "other": False}


def test_what_is_gone_is_named(locker: Locker) -> None:
    locker.write(other=["plain-9"])
    (failed,) = locker.build(BOTH, "other").failed
    assert "plain" in failed.what
    assert "genoci lock" in failed.mend


def test_a_target_alone_is_pinned_anew(locker: Locker) -> None:
    locker.write(locked=["lib-7", "app-1"], other=["plain-7"], gone=["lib-1"])
    done = locker.lock(BOTH, "other")
    assert done.changes == (
        "gone: lib (noarch) 1-1 removed",
        "other: plain (noarch) 7-1 -> 2-1",
    )
    assert locker.packages() == {"locked": ["lib-7-1", "app-1-1"], "other": ["plain-2-1"]}
    sections = read_lock(locker.path)
    assert sections is not None
    assert sections["g.yaml"].urls == {"http://h/x": "0" * 64}


def test_a_name_that_was_added_since_is_an_error_before_anything_is_built(locker: Locker) -> None:
    locker.write(other=["plain-2"])
    with pytest.raises(SpecError) as caught:
        locker.build(BOTH)
    assert caught.value.where == f"{locker.file}:1:30"
    assert "`genoci lock" in caught.value.mend
    assert locker.events == []


def test_a_target_that_fails_leaves_the_lock_file_as_it_was(locker: Locker) -> None:
    locker.write(other=["plain-7"])
    before = locker.path.read_bytes()
    done = locker.lock("other: {base: dnf, install: nonesuch}\n")
    assert [failed.target for failed in done.outcome.failed] == ["other"]
    assert not done.written
    assert locker.path.read_bytes() == before
