"""The system calls that a container does not get, as container engines have it by default."""

from __future__ import annotations

import contextlib
import errno
import functools
import os

from genoci.linux.seccomp import Filter

# What reaches parts of the kernel that know no namespaces, or that many of its holes were in.
_REFUSED = [
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "open_by_handle_at"),
    *("kexec_load", "kexec_file_load"),
    *("init_module", "finit_module", "delete_module", "create_module"),
    *("setns", "mount", "umount", "umount2", "pivot_root", "mount_setattr"),
    *("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "syslog"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("lookup_dcookie", "nfsservctl", "vm86", "vm86old", "iopl", "ioperm", "vhangup"),
    *("move_pages", "mbind", "migrate_pages", "set_mempolicy", "fanotify_init"),
    *("uselib", "ustat", "sysfs", "_sysctl"),
]
# The other ways into the same kernel: without them, a 32-bit call would pass the filter by.
_OTHER_ABIS = {"x86_64": ("x86", "x32"), "aarch64": ("arm",)}
_CLONE_NEWUSER = 0x10000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# btrfs: SNAP_CREATE, SUBVOL_CREATE, SNAP_DESTROY, both _V2, SUBVOL_SETFLAGS, SNAP_DESTROY_V2.
_SUBVOLUMES = (
    *(0x50009401, 0x5000940E, 0x5000940F, 0x50009417, 0x50009418),
    *(0x4008941A, 0x5000943F),
)


@functools.cache
def default_filter() -> Filter | None:
    """The filter; None where libseccomp is missing: the caller says so.

    Made on the host's side, once: there is where the library is.
    """
    try:
        chosen = Filter()
    except OSError:
        return None
    for architecture in _OTHER_ABIS.get(os.uname().machine, ()):
        chosen.add_architecture(architecture)
    for name in _REFUSED:
        _refuse(chosen, name)
    for name in ("clone", "unshare"):
        _refuse(chosen, name, mask=_CLONE_NEWUSER, value=_CLONE_NEWUSER)
    # What installs into subvolumes where it can makes directories then, as it does elsewhere.
    answers = dict.fromkeys(_SUBVOLUMES, errno.ENOTTY)
    answers |= dict.fromkeys((_TIOCSTI, _TIOCLINUX), errno.EPERM)
    for request, answer in answers.items():
        # The kernel looks at the lower half of the register alone; so must the filter.
        _refuse(chosen, "ioctl", answer, argument=1, mask=0xFFFFFFFF, value=request)
    # Its flags lie in memory, which a filter can't read; without it programs call clone.
    _refuse(chosen, "clone3", errno.ENOSYS)
    return chosen


def _refuse(chosen: Filter, name: str, answer: int = errno.EPERM, **argument: int) -> None:
    with contextlib.suppress(OSError):  # a call that this libseccomp, or this machine, has not
        chosen.refuse(name, answer, **argument)
