"""What was installed becomes a lock file, and is read back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoci.build.lock import changes, locked, rendered, write
from genoci.errors import BuildError
from genoci.spec.lock import Lock, Locked, read_lock
from genoci.spec.pinned import Pinned
from genoci.spec.target import ConfigChange, Install, Package, Place, Target

DIGEST = "0123456789abcdef" * 4
PLACE = Place("f.yaml", 1, 1)


def pinned(name: str, version: str = "1", source: str = "http://h/x") -> Pinned:
    return Pinned("deb", name, version, "amd64", DIGEST, source)


def target(*names: str) -> Target:
    packages = tuple(Package(PLACE, name=name) for name in names)
    return Target("app", "empty", (Install(packages, PLACE),), ConfigChange(), PLACE, PLACE)


def test_a_lock_file_is_for_people_too() -> None:
    lock = Lock(
        {"b": Locked(("jq",), (pinned("libonig5"), pinned("jq"))), "a": Locked((), ())},
        {"https://h/z": DIGEST, "https://h/a": DIGEST},
    )
    assert rendered({"f.yaml": lock}) == (
        "# Written by `genoci lock`, which makes it anew. A build installs exactly what is here.\n"
        "version: 1\n"
        "files:\n"
        '  "f.yaml":\n'
        "    targets:\n"
        '      "a":\n'
        "        names: []\n"
        "        packages: []\n"
        '      "b":\n'
        "        names:\n"
        '          - "jq"\n'
        "        packages:\n"
        f'          - "deb libonig5 1 amd64 {DIGEST} http://h/x"\n'
        f'          - "deb jq 1 amd64 {DIGEST} http://h/x"\n'
        "    urls:\n"
        f'      "https://h/a": "{DIGEST}"\n'
        f'      "https://h/z": "{DIGEST}"\n'
    )


WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
PINNED = st.builds(Pinned, WORDS, WORDS, WORDS, WORDS, st.just(DIGEST), WORDS)
PACKAGES = st.lists(
    PINNED, max_size=4, unique_by=lambda p: (p.manager, p.name, p.version, p.architecture)
)
LOCKED = st.builds(Locked, st.lists(WORDS, max_size=3).map(tuple), PACKAGES.map(tuple))
LOCKS = st.builds(
    Lock, st.dictionaries(WORDS, LOCKED, max_size=3), st.dictionaries(WORDS, st.just(DIGEST))
)


@given(st.dictionaries(TEXTS.filter(lambda text: "\0" not in text), LOCKS, max_size=3))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, sections: dict[str, Lock]
) -> None:
    path = tmp_path_factory.mktemp("lock") / "genoci.lock"
    assert write(path, sections)
    assert read_lock(path) == sections
    assert not write(path, sections)


def test_unchanged_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "genoci.lock"
    sections = {"f.yaml": Lock({"a": Locked((), (pinned("jq"),))})}
    assert write(path, sections)
    before = path.stat()
    assert not write(path, sections)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert write(path, {})
    assert [path.name] == [other.name for other in tmp_path.iterdir()]


def test_a_target_s_names_are_sorted_and_its_packages_are_not() -> None:
    found = locked(target("jq", "curl"), [pinned("z"), pinned("a"), pinned("z")])
    assert found == Locked(("curl", "jq"), (pinned("z"), pinned("a")))


def test_no_login_of_a_mirror_gets_into_a_lock_file() -> None:
    found = locked(
        target("a"), [pinned("a", source="https://me:secret@h:8/a.deb"), pinned("b", source="")]
    )
    assert [package.source for package in found.packages] == ["https://h:8/a.deb", "-"]


def test_a_package_that_no_line_can_hold_is_an_error() -> None:
    with pytest.raises(BuildError, match="no lock file can hold") as caught:
        locked(target("a"), [pinned("a", version="1\n- deb evil")])
    assert caught.value.where == "target app"


def test_changes_are_told_by_target_and_name() -> None:
    before = {"app": Locked((), (pinned("a"), pinned("b"), pinned("c"))), "old": Locked((), ())}
    other = Pinned("deb", "c", "1", "amd64", DIGEST[::-1], "")
    after = {"app": Locked((), (other, pinned("b", "2"))), "new": Locked((), (pinned("x"),))}
    assert list(changes(before, after)) == [
        "app: a (amd64) 1 removed",
        "app: b (amd64) 1 -> 2",
        "app: c (amd64) 1 has another digest",
        "new: x (amd64) 1 added",
    ]
    assert list(changes(after, after)) == []
