"""Which ids a user namespace gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import MachineError
from genoci.sandbox.idmap import Extent, IdMap, caller, plan


@pytest.fixture
def planned(tmp_path: Path, apart_as_a_user) -> Callable[..., IdMap]:  # type: ignore[no-untyped-def]
    """The plan of an ordinary user whose lines in both files are these; {me} is his number."""

    def plan_with(*lines: str, gids: tuple[str, ...] | None = None) -> IdMap:
        def body() -> IdMap:
            files = []
            for name, content in (("subuid", lines), ("subgid", gids or lines)):
                path = Path("/tmp", f"{os.urandom(8).hex()}-{name}")
                path.write_text("".join(f"{line}\n" for line in content).format(me=os.getuid()))
                files.append(path)
            try:
                return plan(subuid=files[0], subgid=files[1])
            finally:
                for path in files:
                    path.unlink()

        result: IdMap = apart_as_a_user(body)
        return result

    return plan_with


def test_subordinate_ranges_follow_the_callers_own_id(planned: Callable[..., IdMap]) -> None:
    found = planned("{me}:100000:65536", "{me}:300000:10", "somebody-else:1:1")
    assert found.kind == "subordinate"
    assert found.uids[1:] == (Extent(1, 100000, 65536), Extent(65537, 300000, 10))
    assert (found.uids[0].inside, found.uids[0].count) == (0, 1)


def test_a_line_by_name_counts_as_one_by_number_does(planned: Callable[..., IdMap]) -> None:
    by_number = planned("{me}:100000:65536")
    if os.getuid():  # the user that root becomes for these tests has no name
        assert planned(f"{caller()}:100000:65536") == by_number
        assert planned(f"{caller()}:100000:65536", "{me}:100000:65536") == by_number


def test_the_files_may_differ(planned: Callable[..., IdMap]) -> None:
    found = planned("{me}:100000:10", gids=("{me}:500000:20",))
    assert (found.uids[1].outside, found.gids[1].outside) == (100000, 500000)


def test_without_a_line_there_is_a_single_id(planned: Callable[..., IdMap]) -> None:
    found = planned("somebody-else:100000:65536")
    assert found.kind == "single"
    assert [extent.count for extent in found.uids + found.gids] == [1, 1]


def test_without_newuidmap_there_is_a_single_id(
    planned: Callable[..., IdMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shutil.which("newuidmap") and shutil.which("newgidmap")
    monkeypatch.setenv("PATH", "/nowhere")
    assert planned("{me}:100000:65536").kind == "single"


@pytest.mark.parametrize(
    "lines, complaint",
    [
        (["{me}:many:65536"], "gives no range"),
        (["{me}:100000"], "gives no range"),
        (["{me}:100000:"], "gives no range"),
        (["{me}:100000:0"], "gives no range"),
        (["{me}:-5:10"], "gives no range"),
        (["{me}:1:2:3"], "gives no range"),
        (["{me}:4294967290:10"], "beyond the last id"),
        (["{me}:100000:10", "{me}:100005:10"], "overlaps with 100000:10"),
        (["{me}:0:4294967295"], "overlaps with your own id"),
    ],
)
def test_a_broken_line_is_an_error_that_names_it(
    planned: Callable[..., IdMap], lines: list[str], complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint) as failure:
        planned(*lines)
    assert MachineError.__name__ in str(failure.value)
    assert f"subuid:{len(lines)}" in str(failure.value)


def test_lines_of_others_may_be_broken(planned: Callable[..., IdMap]) -> None:
    assert planned("root:x:y", "junk", "", "{me}:100000:65536").kind == "subordinate"


def test_the_key_tells_what_owners_on_disk_mean() -> None:
    one, other = Extent(0, 1000, 1), Extent(0, 1001, 1)
    assert IdMap("single", (one,), (one,)).key == IdMap("inherited", (one,), (one,)).key
    assert IdMap("single", (one,), (one,)).key != IdMap("single", (other,), (one,)).key
    assert IdMap("single", (one,), (one,)).key != IdMap("single", (one,), (other,)).key


def test_the_key_stays(apart_as_a_user) -> None:  # type: ignore[no-untyped-def]
    assert apart_as_a_user(lambda: plan().key) == apart_as_a_user(lambda: plan().key)


def test_inside_anothers_namespace_its_map_is_used() -> None:
    program = "from genoci.sandbox.idmap import plan; m = plan(); print(m.kind, m.key, m.written)"
    told = subprocess.run(
        ["unshare", "-r", sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    own = IdMap("single", (Extent(0, os.getuid(), 1),), (Extent(0, os.getgid(), 1),))
    copied = (Extent(0, 0, 1),)
    assert told.strip() == f"inherited {own.key} {(copied, copied)}"


@pytest.mark.root_only
def test_root_keeps_every_id() -> None:
    found = plan()
    assert found.kind == "identity"
    assert found.written[0] == (Extent(0, 0, 2**32 - 1),)
