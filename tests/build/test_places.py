"""Where genoci is started: places that forbid things, and namespaces that are there already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workshop import Workshop

FORBIDDING = """
import errno, runpy, sys
import pyseccomp
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
names = "unshare mount umount2 chroot pivot_root setns open_tree move_mount mount_setattr"
for name in names.split():
    rules.add_rule(getattr(pyseccomp, sys.argv[1]) if sys.argv[1] == "KILL_PROCESS"
                   else pyseccomp.ERRNO(errno.EPERM), name)
rules.load()
sys.argv[:] = ["genoci", *sys.argv[2:]]
runpy.run_module("genoci", run_name="__main__", alter_sys=True)
"""


def words_of(workshop: Workshop, *words: str) -> list[str]:
    where = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    return [*words, *where, "--progress", "plain"]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def build(workshop: Workshop) -> list[str]:
    return words_of(workshop, "build", "-f", str(workshop.folder / "genoci.yaml"))


@pytest.fixture
def pure(workshop: Workshop, rootfs: Path) -> Workshop:
    workshop.write("tool", "tool", 0o755)
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "app: {base: base, copy: tool /bin/tool, entrypoint: /bin/tool}\n"
        "more: {base: app, expand: {src: rootfs.tar.gz, dest: /copy}}\n"
        "part: {base: empty, copy: {src: /bin/busybox, dest: /sh, from: base}}\n",
    )
    workshop.write("rootfs.tar.gz", rootfs.read_bytes())
    return workshop


def test_pure_targets_need_no_unshare_no_mount_and_no_chroot(pure: Workshop) -> None:
    done = run([sys.executable, "-c", FORBIDDING, "KILL_PROCESS", *build(pure)])
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"base", "app", "more", "part"}


def test_a_call_that_is_forbidden_would_have_been_noticed(pure: Workshop) -> None:
    pure.write(
        "genoci.yaml", (pure.folder / "genoci.yaml").read_text() + "r: {base: app, run: x}\n"
    )
    done = run([sys.executable, "-c", FORBIDDING, "KILL_PROCESS", *build(pure)])
    assert done.returncode == 1
    assert "killed by SIGSYS" in done.stderr


def test_where_namespaces_are_forbidden_run_is_exit_status_3_with_the_mend(pure: Workshop) -> None:
    pure.write(
        "genoci.yaml", (pure.folder / "genoci.yaml").read_text() + "r: {base: app, run: 'true'}\n"
    )
    done = run([sys.executable, "-c", FORBIDDING, "ERRNO", *build(pure)])
    assert done.returncode == 3, done.stderr
    assert "user namespaces" in done.stderr
    assert done.stderr.count("genoci doctor") == 1
    assert "app " in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flags", ["-r", "-rm", "-rmpf --mount-proc", "-rn"])
def test_inside_somebody_elses_user_namespace_its_map_is_used(
    workshop: Workshop, rootfs: Path, flags: str
) -> None:
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "r: {base: base, run: 'echo hello > /x && cat /x && echo done'}\n",
    )
    genoci = [sys.executable, "-m", "genoci", *build(workshop)]
    done = run(["unshare", *flags.split(), *genoci])
    assert done.returncode == 0, done.stderr
    assert "done" in done.stderr
    assert workshop.text("r", "x") == "hello\n"
    run(["unshare", *flags.split(), sys.executable, "-m", "genoci", *words_of(workshop, "clean")])


def test_where_a_fresh_proc_may_not_be_mounted_run_is_exit_status_3(
    workshop: Workshop, rootfs: Path
) -> None:
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\nr: {{base: base, run: 'true'}}\n",
    )
    genoci = [sys.executable, "-m", "genoci", *build(workshop)]
    masked = 'mount -t tmpfs masked /proc/fs && exec "$0" "$@"'
    done = run(["unshare", "-rmpf", "--mount-proc", "sh", "-c", masked, *genoci])
    assert done.returncode == 3, done.stderr
    assert "/proc" in done.stderr
    assert "r-" not in "".join(workshop.layout.tags())


def test_a_file_of_another_owner_needs_more_than_one_id_and_says_so(
    workshop: Workshop, rootfs: Path
) -> None:
    """In a namespace of a single id: no failure unless a file really needs another owner."""
    workshop.write("one", "1")
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "mine: {base: base, run: 'true'}\n"
        "others: {base: mine, copy: {src: one, dest: /one, owner: '7:7'}}\n"
        "r: {base: others, run: 'true'}\n",
    )
    genoci = [sys.executable, "-m", "genoci", *build(workshop)]
    done = run(["unshare", "-r", *genoci])
    assert done.returncode == 1, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"base", "mine", "others"}
    assert "7:7" in done.stderr
    assert "subordinate" in done.stderr.lower()
    run(["unshare", "-r", sys.executable, "-m", "genoci", *words_of(workshop, "clean")])


def test_a_driver_that_does_not_work_here_is_told_once_for_the_whole_build(
    workshop: Workshop, rootfs: Path
) -> None:
    """An overlay on an overlay: the state is one in the namespace of this build alone."""
    workshop.write(
        "genoci.yaml",
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "one: {base: base, run: 'echo 1 > /one'}\n"
        "two: {base: one, run: 'echo 2 > /two'}\n",
    )
    for name in ("lower", "upper", "work", "state"):
        (workshop.folder / name).mkdir()
    options = ",".join(f"{name}dir={workshop.folder}/{name}" for name in ("lower", "upper", "work"))
    mounted = f'mount -t overlay -o {options},userxattr state {workshop.state} && exec "$0" "$@"'
    genoci = [sys.executable, "-m", "genoci", *build(workshop)]
    done = run(["unshare", "-rm", "sh", "-c", mounted, *genoci])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("copying instead") == 1
    assert done.stderr.count("no subordinate ids") == 1
    assert workshop.text("two", "one") == "1\n"
    run(
        [
            "unshare",
            "-r",
            "rm",
            "-rf",
            str(workshop.folder / "upper"),
            str(workshop.folder / "work"),
        ]
    )
