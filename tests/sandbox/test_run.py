"""What a command gets: arguments, environment, streams, files, user, place; and what it gives."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def test_the_exit_status_is_the_commands(container: Any) -> None:
    assert container("exit 0").status == 0
    assert container("exit 42").status == 42


def test_a_signal_is_128_and_its_number(container: Any) -> None:
    assert container("kill -TERM $$").status == 128 + signal.SIGTERM
    assert container("kill -KILL $$").status == 128 + signal.SIGKILL


def test_arguments_arrive_as_they_are(container: Any) -> None:
    words = ("a b", "", "'\"$x\\", "-n", "ü\n*")
    ran = container.run("/bin/sh", "-c", 'printf "<%s>" "$@"', "sh", *words)
    assert ran.text == "".join(f"<{word}>" for word in words)


def test_the_environment_is_what_was_given_and_nothing_else(container: Any) -> None:
    ran = container.run("/bin/env", env={"A": "1", "B": "x y\nz"})
    assert ran.text == "A=1\nB=x y\nz\n"


def test_a_name_without_a_slash_is_looked_for_in_the_path(container: Any) -> None:
    env = {"PATH": "/nowhere:/bin/busybox/no:/bin"}
    assert container.run("echo", "found", env=env).text == "found\n"


def test_a_program_that_is_missing_is_told_apart(container: Any) -> None:
    for name in ("/bin/no-such", "no-such", "/bin/busybox/deeper"):
        with pytest.raises(AssertionError, match=f"FileNotFoundError.*{name}"):
            container.run(name)


def test_an_image_without_a_shell_is_told_apart(container: Any) -> None:
    (container.root / "bin" / "sh").unlink()
    with pytest.raises(AssertionError, match=r"FileNotFoundError.*'/bin/sh'"):
        container("true")


def test_an_interpreter_that_is_missing_is_told_apart(container: Any) -> None:
    script = b"#!/no/such/interpreter\n"
    with pytest.raises(AssertionError, match=r"FileNotFoundError.*'/dev/genoci/script'"):
        container.run("/dev/genoci/script", files=(("/dev/genoci/script", script),))


def test_what_is_no_program_is_an_error_that_says_so(container: Any) -> None:
    (container.root / "bin" / "junk").write_bytes(b"\x7fELF and no more")
    (container.root / "bin" / "junk").chmod(0o755)
    (container.root / "bin" / "data").write_text("not executable")
    with pytest.raises(
        AssertionError, match=r"BuildError: /bin/junk can't be executed: Exec format"
    ):
        container.run("/bin/junk")
    with pytest.raises(
        AssertionError, match=r"BuildError: /bin/data can't be executed: Permission"
    ):
        container.run("/bin/data")


def test_a_text_that_is_too_long_is_an_error_that_says_so(container: Any) -> None:
    with pytest.raises(AssertionError, match=r"BuildError: /bin/sh can't .* too long\n.*script"):
        container("#" * 200_000)


@pytest.mark.parametrize(
    "env", [{"A": "x\0y"}, {"A\0": "x"}, {"A=B": "x"}, {"": "x"}, {"A": "\ud800"}]
)
def test_an_environment_that_no_kernel_takes_is_an_error(container: Any, env: Any) -> None:
    with pytest.raises(AssertionError, match="BuildError: the environment variable"):
        container("true", env=env)


def test_names_and_values_that_are_not_utf_8_arrive(container: Any) -> None:
    assert container.run("/bin/env", env={"A": "\udcff"}).output == b"A=\xff\n"


@pytest.mark.parametrize("cwd", ["/a\0b", "/" + "a/" * 3000, "/" + "a" * 300, "/../../../etc/x"])
def test_a_hostile_working_directory_is_no_way_out(container: Any, cwd: str) -> None:
    try:
        container("true", cwd=cwd)
    except AssertionError as error:
        assert "BuildError" in str(error)
    assert sorted(os.listdir(container.root)) == ["bin"]


def test_standard_input_is_empty(container: Any) -> None:
    assert container("cat; readlink /proc/self/fd/0").text == "/dev/null\n"


def test_no_descriptor_comes_along(container: Any, apart: Any) -> None:
    def body() -> str:
        for number in (3, 17, 200):
            os.dup2(os.open("/", os.O_RDONLY), number, inheritable=True)
        ran: str = container.in_a_worker("/bin/sh", "-c", "echo /proc/self/fd/*").text
        return ran

    fds = apart(body).split()
    assert [Path(fd).name for fd in fds if Path(fd).name not in ("0", "1", "2")] in ([], ["3"])
    # 3 is the directory that the shell itself reads there; /proc/1 can't be read at all.


def test_signals_are_as_a_login_leaves_them(container: Any, apart: Any) -> None:
    def body() -> str:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
        ran: str = container.in_a_worker("/bin/grep", "^Sig", "/proc/self/status").text
        return ran

    lines = dict(line.split(":\t") for line in apart(body).splitlines())
    assert {int(lines[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")} == {0}


def test_the_command_leads_a_session_of_its_own_without_a_terminal(container: Any) -> None:
    pid, *_, group, session, tty = container("cut -d' ' -f1-7 /proc/$$/stat").text.split()
    assert pid == group == session
    assert tty == "0"


def test_the_umask_is_022(container: Any, apart: Any) -> None:
    def body() -> str:
        os.umask(0o077)
        ran: str = container.in_a_worker("/bin/sh", "-c", "umask").text
        return ran

    assert apart(body) == "0022\n"


def test_limits_stay_as_they_are(container: Any) -> None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert container("ulimit -n").text == f"{soft}\n"


def test_the_working_directory_is_the_one_asked_for(container: Any) -> None:
    (container.root / "a" / "b").mkdir(parents=True)
    assert container("pwd", cwd="/a/b").text == "/a/b\n"


def test_a_working_directory_that_is_missing_is_there_for_the_time_being(container: Any) -> None:
    assert container("pwd; touch /bin/ran", cwd="/srv/app").text == "/srv/app\n"
    assert not (container.root / "srv").exists()
    container("touch kept", cwd="/srv/app")
    assert (container.root / "srv" / "app" / "kept").exists()


def test_a_working_directory_that_is_none_is_an_error(container: Any) -> None:
    with pytest.raises(AssertionError, match="BuildError: /bin/sh can't be the working directory"):
        container("pwd", cwd="/bin/sh")


def test_a_link_as_the_working_directory_stays_in_the_root(container: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (container.root / "link").symlink_to(tmp_path / "outside")
    assert container("pwd -P; ls", cwd="/link").text == f"{tmp_path}/outside\n"
    assert not (container.root / "tmp").exists()


def test_the_user_and_his_groups_are_the_ones_asked_for(container: Any) -> None:
    ran = container("id -u; id -g; id -G; touch /dev/shm/x", uid=5, gid=7, groups=(8, 9))
    assert ran.text == "5\n7\n7 8 9\n"
    assert container("grep CapEff /proc/self/status", uid=5).text == "CapEff:\t0000000000000000\n"


@pytest.fixture
def alone(container: Any, apart_as_a_user: Any) -> Iterator[Any]:
    """Runs a command in a namespace of one id, for a user who has no others."""

    def run(shell: str, **more: Any) -> Any:
        def body() -> Any:
            os.environ["PATH"] = "/nowhere"  # without newuidmap
            return container.in_a_worker("/bin/sh", "-c", shell, **more)

        return apart_as_a_user(body)

    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        container.root = shutil.copytree(container.root, Path(place, "root"), symlinks=True)
        os.chmod(place, 0o711)
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "4242:4242", container.root], check=True)
        yield run


def test_in_a_namespace_of_one_id_root_works(alone: Any) -> None:
    assert alone("id -u; echo x > /x; cat /x; rm /x").text == "0\nx\n"


def test_a_user_that_the_namespace_lacks_is_an_error_with_the_mend(alone: Any) -> None:
    complaint = "MachineError: nothing can run as the user 1:0 .*\n.*uidmap"
    with pytest.raises(AssertionError, match=complaint):
        alone("id", uid=1)
    with pytest.raises(AssertionError, match="MachineError"):
        alone("id", groups=(5,))


def test_scripts_are_seen_below_dev_and_leave_nothing(container: Any) -> None:
    script = b'#!/bin/sh\necho "script: $0 $1"; echo more >> $0; ls -l $0 | cut -c1-10\n'
    path = "/dev/genoci/deep/script"
    ran = container.run(path, "word", files=((path, script),))
    assert ran.text.splitlines()[0] == f"script: {path} word"
    assert "Read-only file system" in ran.text
    assert ran.text.splitlines()[-1] == "-r-xr-xr-x"
    assert sorted(os.listdir(container.root)) == ["bin"]


def test_the_host_name_is_always_the_same(container: Any) -> None:
    assert container("hostname; dnsdomainname; cat /proc/sys/kernel/domainname").text.startswith(
        "genoci\n"
    )
    assert "(none)" in container("cat /proc/sys/kernel/domainname").text


def test_ten_megabytes_of_output_arrive_whole(container: Any) -> None:
    ran = container("head -c 10485760 /dev/zero | tr '\\0' x; echo end >&2")
    assert ran.output == b"x" * 10485760 + b"end\n"


def test_output_without_a_newline_and_output_that_is_no_text_arrive(container: Any) -> None:
    assert container("printf 'a\\377\\000b'").output == b"a\xff\x00b"


def test_output_comes_while_the_command_runs(container: Any, apart: Any) -> None:
    """The command waits for what the worker does when it has read the first line."""

    def body() -> bytes:
        heard = []

        def on_output(data: bytes) -> None:
            if not heard:
                (container.root / "go").touch()
            heard.append(data)

        program = "echo first; while [ ! -e /go ]; do :; done; echo second"
        container.in_a_worker("/bin/sh", "-c", program, on_output=on_output)
        return b"".join(heard)

    assert apart(body) == b"first\nsecond\n"


def test_what_the_command_writes_is_in_the_root(container: Any) -> None:
    container("mkdir /srv && echo content > /srv/file")
    assert (container.root / "srv" / "file").read_text() == "content\n"


def test_what_is_mounted_below_the_root_is_seen(container: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("mounted")
    (container.root / "mnt").mkdir()
    container._binds = {tmp_path / "elsewhere": Path("mnt")}
    assert container("cat /mnt/file").text == "mounted"


def test_a_worker_runs_one_command_after_the_other(container: Any, apart: Any) -> None:
    def body() -> list[str]:
        container.be_a_worker()
        container.be_a_worker = lambda: None
        return [container.in_a_worker("/bin/echo", str(n)).text for n in range(3)]

    assert apart(body) == ["0\n", "1\n", "2\n"]


def test_without_libseccomp_it_runs_and_says_so(container: Any, apart: Any) -> None:
    def body() -> tuple[int, tuple[str, ...]]:
        from genoci.sandbox import seccomp

        def missing() -> None:
            raise OSError("libseccomp.so.2: cannot open shared object file")

        seccomp.Filter = missing  # type: ignore[assignment, misc]

        seccomp.default_filter.cache_clear()
        ran = container.in_a_worker("/bin/grep", "Seccomp:", "/proc/self/status")
        return ran.status, ran.warnings

    status, warnings = apart(body)
    assert status == 0
    assert "libseccomp is missing" in warnings[0]
