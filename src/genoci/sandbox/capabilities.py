"""The capabilities of a container: the set that container engines give by default."""

from __future__ import annotations

import contextlib

from genoci import linux

# capabilities(7): CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
# NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP
DEFAULT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)

_LAST = 63


def keep_default() -> None:
    """Drop every capability but the default ones, now and for all that is executed later."""
    kept = sum(1 << number for number in DEFAULT)
    linux.prctl(linux.PR_CAP_AMBIENT, linux.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(_LAST + 1):
        if number not in DEFAULT:
            with contextlib.suppress(OSError):  # EINVAL: a number that this kernel does not have
                linux.prctl(linux.PR_CAPBSET_DROP, number)
    linux.set_capabilities(effective=kept, permitted=kept, inheritable=0)
