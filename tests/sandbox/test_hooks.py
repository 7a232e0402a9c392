"""The hooks' side: open to the host beside a worker that is closed, and gone with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genoci import linux
from genoci.errors import BuildError, MachineError
from genoci.sandbox import seccomp, userns
from genoci.sandbox.hooks import HostSide, host_side
from genoci.sandbox.hookserver import HostCommand


def shell(text: str, cwd: Path = Path("/"), **env: str) -> HostCommand:
    return HostCommand(("/bin/sh", "-e"), cwd, env, text=text)


@pytest.fixture
def with_hooks(apart: Any, tmp_path: Path) -> Callable[..., Any]:
    """Call a function with the hooks' side of a worker that may write below tmp_path/state."""
    state = tmp_path / "state"
    (state / "root").mkdir(parents=True)

    def run(body: Callable[[HostSide, Path], Any], *texts: str, **env: str) -> Any:
        def in_a_worker() -> Any:
            seccomp.default_filter()
            userns.enter(userns.plan(), warn=lambda what, mend: None)
            commands = [shell(text, tmp_path, **env) for text in texts]
            with host_side(commands, [state]) as side:
                userns.private_view([state])
                root = state / "root"
                linux.mount(os.fsencode(root), os.fsencode(root), None, linux.MS_BIND)
                return body(side, root)

        return apart(in_a_worker)

    return run


def said(side: HostSide, number: int, **more: Any) -> tuple[int, str]:
    output: list[bytes] = []
    status = side.run(number, output.append, **more)
    return status, b"".join(output).decode()


def processes_of(marker: str) -> list[int]:
    """Told from their command lines, which everybody may read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if marker in text:
            found.append(int(path.parts[2]))
    return found


def test_a_hook_changes_the_host_which_its_worker_can_not(
    with_hooks: Callable[..., Any], tmp_path: Path
) -> None:
    def body(side: HostSide, root: Path) -> tuple[int, str]:
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "by-the-worker").touch()
        return said(side, 0)

    assert with_hooks(body, "touch by-the-hook; id -u; exit 3") == (3, "0\n")
    assert (tmp_path / "by-the-hook").exists()
    assert not (tmp_path / "by-the-worker").exists()


def test_the_worker_can_not_look_into_what_acts_on_the_host(
    with_hooks: Callable[..., Any],
) -> None:
    marker = f"1000.{os.getpid()}"

    def body(side: HostSide, root: Path) -> list[str]:
        said(side, 0)
        reached = []
        for pid in {*processes_of(marker), *children_of(os.getpid())}:
            for name in ("root", "ns/mnt", "cwd", "mem"):
                try:
                    os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
                    reached.append(f"{pid}/{name}")
                except OSError:
                    pass
        return [*reached, *(["none"] if processes_of(marker) else [])]

    reached = with_hooks(body, f"sleep {marker} &")
    assert reached == ["none"] or linux.landlock_abi() < 6, reached


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_mounts_are_shown_only_while_the_block_runs(with_hooks: Callable[..., Any]) -> None:
    def body(side: HostSide, root: Path) -> list[list[str]]:
        side.attach(root)
        assert said(side, 0) == (0, "")
        seen = [os.listdir(root / "place")]
        with side.showing(root):
            seen.append(os.listdir(root / "place"))
        seen.append(os.listdir(root / "place"))
        return seen

    text = "mkdir %ROOT%/place; mount -t tmpfs none $GENOCI_ROOTFS/place; touch %ROOT%/place/x"
    assert with_hooks(body, text) == [[], ["x"], []]


def test_a_root_is_attached_once_and_only_where_roots_are(
    with_hooks: Callable[..., Any], tmp_path: Path
) -> None:
    """The worker reads what others have made; it may ask for anything."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state" / "link").symlink_to(tmp_path / "elsewhere")

    def body(side: HostSide, root: Path) -> list[str]:
        refused = []
        for path in (tmp_path / "elsewhere", Path("/usr"), root.parent / "link", root, root):
            try:
                side.attach(path)
            except MachineError as error:
                refused.append(f"{path.name}: {error.what.rsplit(': ', 1)[0]}")
        return [line.split(":")[0] for line in refused]

    assert with_hooks(body, "true") == ["elsewhere", "usr", "link", "root"]


def test_a_command_that_was_not_waited_for_is_ended_before_the_next(
    with_hooks: Callable[..., Any],
) -> None:
    def body(side: HostSide, root: Path) -> tuple[int, str]:
        def interrupt(data: bytes) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            side.run(0, interrupt)
        return said(side, 1, status=130)

    text = "ps ax -o args= | grep -c '[s]leep 1000' || echo $GENOCI_STATUS"
    assert with_hooks(body, "echo begun; sleep 1000 | sleep 1000", text) == (0, "0\n130\n")


def test_a_command_with_a_time_is_ended_at_it_and_all_others_too(
    with_hooks: Callable[..., Any], marker: str
) -> None:
    def body(side: HostSide, root: Path) -> str:
        with pytest.raises(BuildError) as caught:
            said(side, 0, until=0.0)
        with pytest.raises(BuildError):
            said(side, 0)
        return caught.value.what

    assert "too long" in with_hooks(body, f"sleep 1000; : {marker}")
    assert processes_of(marker) == []


@pytest.fixture
def marker() -> str:
    return f"genoci-test-{os.urandom(8).hex()}"


BACKGROUND = "(setsid sleep 1000 &) ; (trap '' HUP TERM; sleep 1000; : {}) & (yes & sleep 1000) & "


def test_what_runs_in_the_background_neither_holds_up_a_hook_nor_outlives_the_worker(
    with_hooks: Callable[..., Any], marker: str
) -> None:
    def body(side: HostSide, root: Path) -> tuple[int, bool]:
        status, _ = said(side, 0)
        return status, bool(processes_of(marker))

    assert with_hooks(body, BACKGROUND.format(marker) + "exit 0") == (0, True)
    assert processes_of(marker) == []


def test_a_hook_can_not_end_the_first_process(with_hooks: Callable[..., Any]) -> None:
    signals = "for s in INT TERM HUP QUIT SEGV PIPE CHLD USR1 STOP KILL; do kill -$s 1; done"

    def body(side: HostSide, root: Path) -> list[tuple[int, str]]:
        return [said(side, number) for number in (0, 1)]

    assert with_hooks(body, f"{signals}; true", "echo alive") == [(0, ""), (0, "alive\n")]
