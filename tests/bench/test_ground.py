"""That a case gets an empty place of its own, and that nothing of it stays, whatever ends it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bench.ground import Unable, ground

# A case that is interrupted while a command runs, which says its process's number.
_INTERRUPTED = """
import sys
from pathlib import Path
from bench.ground import end_properly, ground
from bench.timing import Command, timed

end_properly()
with ground("ext4", Path(sys.argv[1])) as folder:
    timed(Command(("sh", "-c", f"echo $$ > {sys.argv[2]}; exec sleep infinity"), folder))
"""


def mounted_below(folder: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(folder)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    scratch, said = tmp_path / "scratch", tmp_path / "said"
    scratch.mkdir()
    os.mkfifo(said)
    words = [sys.executable, "-c", _INTERRUPTED, str(scratch), str(said)]
    with subprocess.Popen(words, cwd=Path(__file__).parents[2]) as process:
        child = os.pidfd_open(int(said.read_text()))
        assert list(scratch.iterdir()), "it works there"
        process.send_signal(number)
    assert process.returncode == 128 + number
    assert list(scratch.iterdir()) == []
    assert mounted_below(scratch) == []
    select.select([child], [], [])  # it has been killed; when it is gone, the kernel decides
    os.close(child)


def test_an_error_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="odd"), ground("ext4", tmp_path) as folder:
        (folder / "file").write_text("text")
        raise OSError("odd")
    assert list(tmp_path.iterdir()) == []
    assert mounted_below(tmp_path) == []


@pytest.mark.root_only
@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_root_gets_a_filesystem_of_its_own(tmp_path: Path, kind: str) -> None:
    with ground(kind, tmp_path) as folder:
        said = subprocess.check_output(["stat", "-f", "-c", "%T", folder], text=True)
        assert said.strip() in {"ext2/ext3", kind}
        assert os.stat(folder).st_dev != os.stat(tmp_path).st_dev
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root_only
def test_what_others_mounted_in_it_goes_with_it(tmp_path: Path) -> None:
    with ground("ext4", tmp_path) as folder:
        (folder / "inner").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder / "inner"], check=True)
    assert mounted_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_an_ordinary_user_is_told_that_only_root_makes_a_btrfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unable, match="only root"), ground("btrfs", tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
