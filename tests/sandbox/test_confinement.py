"""What confines a command, each by an attempt to get past it."""

from __future__ import annotations

import errno
import os
import platform
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

CALLS = {
    "x86_64": dict(
        keyctl=250, add_key=248, request_key=249, bpf=321, perf_event_open=298, userfaultfd=323,
        io_uring_setup=425, open_by_handle_at=304, kexec_load=246, init_module=175,
        finit_module=313, delete_module=176, setns=308, mount=165, umount2=166, pivot_root=155,
        open_tree=428, move_mount=429, fsopen=430, fsmount=432, mount_setattr=442, reboot=169,
        swapon=167, syslog=103, unshare=272, clone=56, clone3=435, ioctl=16,
    ),
    "aarch64": dict(
        keyctl=219, add_key=217, request_key=218, bpf=280, perf_event_open=241, userfaultfd=282,
        io_uring_setup=425, open_by_handle_at=265, kexec_load=104, init_module=105,
        finit_module=273, delete_module=106, setns=268, mount=40, umount2=39, pivot_root=41,
        open_tree=428, move_mount=429, fsopen=430, fsmount=432, mount_setattr=442, reboot=142,
        swapon=224, syslog=116, unshare=97, clone=220, clone3=435, ioctl=29,
    ),
}[platform.machine()]  # fmt: skip

SYSCALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, arguments))
    return -ctypes.get_errno() if result < 0 else result
"""


def test_rm_of_everything_hurts_nothing_but_the_root(container: Any, tmp_path: Path) -> None:
    (tmp_path / "beside").write_text("still here")
    (container.root / "file").touch()
    container("rm -rf --no-preserve-root /; rm -rf /* /.??*; echo survived")
    assert (tmp_path / "beside").read_text() == "still here"
    assert list(container.root.iterdir()) == []
    assert Path("/etc/hosts").exists() and Path("/sys/kernel").exists()


def test_no_process_but_its_own_is_seen(container: Any) -> None:
    ran = container("cd /proc; echo [0-9]*; kill -0 -1; cat /proc/1/comm")
    assert ran.text.split()[:2] == ["1", "2"]
    assert set(container("cd /proc; echo [0-9]*").text.split()) == {"1", "2"}


def test_the_command_line_of_the_host_is_not_seen(container: Any) -> None:
    ran = container("cat /proc/1/cmdline | tr -d '\\0'; cat /proc/1/environ /proc/1/maps")
    assert "python" not in ran.text
    assert ran.text.count("Permission denied") == 2


_DENIED = "ls: can't open '/proc/1/map_files': Permission denied\n"


def test_pid_1_does_not_lead_out(container: Any) -> None:
    for name in ("root", "cwd", "exe", "fd/0", "fd/3", "ns/mnt", "mem", "task/1/root"):
        ran = container(f"ls /proc/1/{name}/ || readlink /proc/1/{name} || cat /proc/1/{name}")
        assert ran.status != 0, (name, ran.text)
    ran = container(
        "for fd in 0 1 2 3 4 5 6 7 8 9; do readlink /proc/1/fd/$fd; done; ls /proc/1/map_files"
    )
    assert ran.text in ("", _DENIED)


def test_no_process_leads_out(container: Any) -> None:
    (container.root / "mark").touch()
    ran = container("for p in /proc/[0-9]*/root /proc/[0-9]*/cwd; do ls -d $p/mark; done")
    for line in ran.text.splitlines():
        assert line.endswith("/mark") or "Permission denied" in line or "No such file" in line


def test_it_has_its_own_root_and_no_other_filesystem_of_the_host(container: Any) -> None:
    points = [line.split()[1] for line in container("cat /proc/self/mounts").text.splitlines()]
    ours = ("/", "/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hosts")
    assert [
        p for p in points if p not in ours and not p.startswith(("/proc/", "/sys/", "/dev/"))
    ] == []
    assert points.count("/") == 1


def test_a_chroot_within_the_root_does_not_lead_out(python_container: Any) -> None:
    """The classic: keep a directory open, chroot below, and climb up from the open one."""
    (python_container.root / "mark").touch()
    ran = python_container.python(
        "import os\n"
        "os.makedirs('/a/b'); here = os.open('/', os.O_RDONLY)\n"
        "os.chroot('/a/b'); os.fchdir(here)\n"
        "for _ in range(100): os.chdir('..')\n"
        "os.chroot('.'); print(sorted(os.listdir('/')))"
    )
    assert "mark" in ran.text and "root" in os.listdir(python_container.root.parent)
    assert "'home'" not in ran.text


def test_the_capabilities_are_the_usual_default_set(container: Any) -> None:
    lines = container("grep ^Cap /proc/self/status").text.split()
    found = dict(zip(lines[::2], lines[1::2], strict=True))
    assert found["CapEff:"] == found["CapPrm:"] == found["CapBnd:"] == "00000000a80425fb"
    assert found["CapInh:"] == found["CapAmb:"] == "0" * 16


def test_no_new_privileges_and_the_filter_are_on(container: Any) -> None:
    text = container("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status").text
    assert text == "NoNewPrivs:\t1\nSeccomp:\t2\n"


def test_a_setuid_program_changes_nothing(container: Any, tmp_path: Path) -> None:
    source = tmp_path / "whoami.c"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        'int main(void) { printf("%d %d\\n", (int)getuid(), (int)geteuid()); return 0; }\n'
    )
    program = container.root / "bin" / "setuid"
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    os.chmod(program, 0o6755)
    assert container.run("/bin/setuid", uid=5, gid=5).text == "5 5\n"


def test_nothing_can_be_mounted_or_unmounted(container: Any) -> None:
    (container.root / "mnt").mkdir()
    for attempt in (
        "mount -t tmpfs t /mnt",
        "mount -t proc p /mnt",
        "mount -o bind / /mnt",
        "mount -o remount,rw /proc/sys",
        "mount -o remount,bind,rw /sys",
        "umount /proc/sys",
        "umount /dev/null",
        "umount -l /proc",
        "pivot_root / /mnt",
    ):
        assert container(attempt).status != 0, attempt


def test_no_namespace_can_be_made_or_entered(container: Any) -> None:
    for attempt in (
        "unshare -U true",
        "unshare -Ur true",
        "unshare -m true",
        "unshare -p true",
        "unshare -n true",
        "nsenter -t 1 -m true",
        "nsenter --mount=/proc/self/ns/mnt true",
    ):
        assert container(attempt).status != 0, attempt


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"unshare", "clone", "clone3", "ioctl"}))
def test_the_filter_refuses(python_container: Any, name: str) -> None:
    ran = python_container.python(f"{SYSCALL}\nprint(call({CALLS[name]}, 0, 0, 0, 0, 0))")
    assert ran.text == f"{-errno.EPERM}\n"


def test_the_filter_refuses_user_namespaces_in_every_way(python_container: Any) -> None:
    ran = python_container.python(
        f"{SYSCALL}\n"
        f"print(call({CALLS['unshare']}, 0x10000000))\n"
        f"print(call({CALLS['clone']}, 0x10000000 | 17, 0, 0, 0, 0))\n"
        f"print(call({CALLS['clone3']}, 0, 0))"
    )
    assert ran.text.split() == [str(-errno.EPERM), str(-errno.EPERM), str(-errno.ENOSYS)]


def test_threads_and_processes_can_be_made_all_the_same(python_container: Any) -> None:
    ran = python_container.python(
        "import subprocess, threading\n"
        "t = threading.Thread(target=print, args=('thread',), kwargs={'flush': True})\n"
        "t.start(); t.join()\n"
        "subprocess.run(['/bin/echo', 'process'], check=True)"
    )
    assert ran.text == "thread\nprocess\n"


def test_characters_can_not_be_pushed_into_a_terminal(python_container: Any) -> None:
    """Also not with bits above those that the kernel looks at."""
    ran = python_container.python(
        f"{SYSCALL}\n"
        "master, slave = os.openpty()\n"
        "buffer = ctypes.create_string_buffer(b'x'); address = ctypes.addressof(buffer)\n"
        "for request in (0x5412, 0x5412 | 1 << 32, 0x541C):\n"
        f"    print(call({CALLS['ioctl']}, slave, request, address))"
    )
    assert ran.text.split() == [str(-errno.EPERM)] * 3


def test_a_root_on_btrfs_is_as_on_any_other_filesystem(python_container: Any) -> None:
    """No subvolumes can be made or changed: none can be in a layer."""
    requests = (0x50009401, 0x5000940E, 0x5000940F, 0x50009417, 0x50009418, 0x4008941A, 0x5000943F)
    ran = python_container.python(
        f"{SYSCALL}\n"
        "root = os.open('/', os.O_RDONLY)\n"
        f"for request in {requests}:\n"
        "    for shift in (0, 1 << 32):\n"
        f"        print(call({CALLS['ioctl']}, root, request | shift, 0))"
    )
    assert ran.text.split() == [str(-errno.ENOTTY)] * 14


OLD_CALLS = """
#include <stdio.h>
static long old(long n, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}
static long x32(long n) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(n | 0x40000000), "D"(0), "S"(0), "d"(0)
                     : "memory", "rcx", "r11");
    return result;
}
int main(void) {
    printf("%ld %ld %ld %ld ", old(21, 0, 0, 0), old(288, 0, 0, 0),
           old(310, 0x10000000, 0, 0), old(20, 0, 0, 0) > 0 ? 1L : 0L);
    printf("%ld\\n", x32(250));
    return 0;
}
"""

if platform.machine() == "x86_64":  # the only one here with other entries into the kernel

    def test_32_bit_calls_are_filtered_as_well(container: Any, tmp_path: Path) -> None:
        """`int 0x80` enters the kernel by another table: 21 is mount, 288 keyctl, 310 unshare."""
        source = tmp_path / "calls.c"
        source.write_text(OLD_CALLS)
        program = container.root / "bin" / "calls"
        subprocess.run(["gcc", "-static", "-o", program, source], check=True)
        refused = str(-errno.EPERM)
        found = container.run("/bin/calls").text.split()
        assert found[:3] == [refused] * 3
        assert found[4] == refused


def test_what_the_runtime_specification_masks_is_masked(container: Any) -> None:
    assert container("cat /proc/kcore /proc/keys /proc/timer_list | wc -c").text.strip()[-1] == "0"
    for folder in ("/proc/acpi", "/proc/scsi", "/sys/firmware"):
        assert container(f"[ ! -e {folder} ] || ls {folder}").text == ""


def test_proc_sys_and_its_kin_are_read_only(container: Any) -> None:
    for path in (
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/swappiness",
        "/proc/irq/default_smp_affinity",
    ):
        ran = container(f"[ ! -e {path} ] || echo 1 > {path}")
        assert "Read-only file system" in ran.text or ran.text == "", (path, ran.text)
    assert "Read-only" in container("echo x > /proc/sys/kernel/domainname").text


def test_sys_is_read_only_to_the_last_mount_in_it(container: Any) -> None:
    ran = container(
        "grep ' /sys' /proc/self/mounts | while read a point b options c; do"
        " case $options in ro,*) ;; *) echo writable: $point;; esac;"
        " mkdir $point/genoci 2>/dev/null && echo made: $point/genoci; done; echo looked"
    )
    assert ran.text == "looked\n"


def test_no_device_can_be_made_or_used(container: Any) -> None:
    assert container("mknod /disk b 7 0").status != 0
    assert container("mknod /dev/disk b 7 0").status != 0
    assert container("mknod /null c 1 3").status != 0


@pytest.mark.root_only
def test_a_device_node_that_lies_in_the_root_is_of_no_use(container: Any) -> None:
    node = container.root / "zero"
    os.mknod(node, 0o020666, os.makedev(1, 5))
    assert "Permission denied" in container("head -c 1 /zero").text


def test_dev_holds_the_few_devices_and_they_work(container: Any) -> None:
    names = container("cd /dev; echo *").text.split()
    assert names == [
        *("fd", "full", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
    ]
    ran = container(
        "echo x > /dev/null && head -c 2 /dev/zero | wc -c && head -c 2 /dev/urandom | wc -c;"
        " echo x > /dev/full || echo full; echo out > /dev/stdout; echo err > /dev/stderr;"
        " echo y > /dev/shm/y && cat /dev/shm/y"
    )
    assert ran.text.split("\n")[0].strip() == "2"
    assert [line for line in ("full", "out", "err", "y") if line not in ran.text.split()] == []


def test_abstract_sockets_of_the_host_are_out_of_reach(python_container: Any) -> None:
    name = f"genoci-{os.urandom(8).hex()}"
    program = (
        "import socket\n"
        "with socket.socket(socket.AF_UNIX) as client:\n"
        f"    try: client.connect('\\0{name}')\n"
        "    except PermissionError: print('refused')\n"
        "    else: print('connected')"
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        assert python_container.python(program).text == "refused\n"


def test_abstract_sockets_of_its_own_work(python_container: Any) -> None:
    program = (
        "import socket\n"
        "server = socket.socket(socket.AF_UNIX); server.bind('\\0own'); server.listen()\n"
        "client = socket.socket(socket.AF_UNIX); client.connect('\\0own'); print('connected')"
    )
    assert python_container.python(program).text == "connected\n"


def test_shared_memory_and_queues_of_the_host_are_not_seen(container: Any) -> None:
    host = subprocess.run(["ipcmk", "-M", "4096"], capture_output=True, text=True, check=True)
    number = host.stdout.split()[-1]
    try:
        assert number not in container("ipcs -m").text.split()
    finally:
        subprocess.run(["ipcrm", "-m", number], check=True)


CONNECT = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])))
except OSError:
    sys.exit(1)
"""


def listening() -> tuple[socket.socket, int]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, server.getsockname()[1]


def test_with_the_network_the_hosts_is_seen(python_container: Any) -> None:
    server, port = listening()
    with server:
        program = CONNECT.replace("sys.argv[1]", str(port))
        assert python_container.python(program, network=True).status == 0
        assert python_container.python(program, network=False).status == 1


def test_without_the_network_there_is_only_a_loopback_of_its_own(container: Any) -> None:
    ran = container(
        "ip -o link | cut -d: -f2; ping -c 1 127.0.0.1 >/dev/null && echo up", network=False
    )
    links = set(ran.text.split())
    assert {"lo", "up"} <= links
    assert not {name for name in links if name.startswith(("eth", "en", "wl"))}


def test_names_are_found_as_on_the_host(container: Any) -> None:
    assert container("cat /etc/resolv.conf").text == Path("/etc/resolv.conf").read_text()
    hosts = container("cat /etc/hosts").text
    assert hosts.startswith(Path("/etc/hosts").read_text())
    assert "genoci" in hosts.split()


def test_where_proc_may_not_be_mounted_nothing_is_run(container: Any, apart: Any) -> None:
    """As in a container whose engine masks parts of /proc."""
    from genoci import linux
    from genoci.sandbox import userns

    def body() -> None:
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        linux.mount(b"t", b"/proc/sys", b"tmpfs")
        container.in_a_worker("/bin/true")

    with pytest.raises(
        AssertionError, match=r"MachineError: a container's own /proc may not"
    ) as failed:
        apart(body)
    assert "unmask=ALL" in str(failed.value)


def test_a_container_within_a_container_engine_works(container: Any, apart: Any) -> None:
    """The same nesting without the mask: the negative control."""
    from genoci.sandbox import userns

    def body() -> str:
        userns.enter(userns.plan(), warn=lambda what, mend: None)
        ran: str = container.in_a_worker("/bin/echo", "ran").text
        return ran

    assert apart(body) == "ran\n"


def test_the_clock_of_the_host_stays(container: Any) -> None:
    before = time.time()
    assert "not permitted" in container("date -s '2001-01-01 00:00:00'").text
    assert time.time() >= before
