"""Landlock: what a process may still do, decided by itself, without any privilege."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from genoci import linux

# linux/landlock.h: the accesses that change something, by the version that brought them.
_WRITES = {
    1: 1 << 1 | sum(1 << bit for bit in range(4, 13)),  # WRITE_FILE, REMOVE_*, MAKE_*
    2: 1 << 13,  # REFER
    3: 1 << 14,  # TRUNCATE
    5: 1 << 15,  # IOCTL_DEV
}
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1, 2


def restrict_writes(writable: Sequence[Path]) -> bool:
    """Let this process change nothing but what lies below `writable`, which must exist.

    False: the kernel has no Landlock, or its first version, under which no file can be renamed
    from one directory to another, and nothing was done. It sets no_new_privs.
    """
    abi = linux.landlock_abi()
    if abi < 2:
        return False
    accesses = sum(bits for version, bits in _WRITES.items() if version <= abi)
    ruleset = linux.landlock_create(accesses)
    try:
        for path in (*writable, Path("/dev/null")):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = accesses if path.is_dir() else _WRITES[1] & 1 << 1
            try:
                linux.landlock_allow(ruleset, fd, allowed)
            finally:
                os.close(fd)
        linux.set_no_new_privileges()
        linux.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
    return True


def restrict_scope() -> bool:
    """Cut this process off from abstract sockets and signals outside; False: the kernel can't.

    A container with the host's network and uid 0 would otherwise reach the abstract sockets of
    the host's services. Needs no_new_privs.
    """
    if linux.landlock_abi() < 6:
        return False
    ruleset = linux.landlock_create(0, scoped=_SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL)
    try:
        linux.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
    return True
