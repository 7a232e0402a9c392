"""Capabilities of files, as libcap writes them (cap_from_text(3)), to what the kernel stores."""

from __future__ import annotations

import re
import struct

from genoci.errors import ArchiveError

XATTR = b"security.capability"
_REVISION_2, _EFFECTIVE = 0x02000000, 0x000001  # linux/capability.h

# By their numbers, as in linux/capability.h.
NAMES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid"),
    *("setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw"),
    *("ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct"),
    *("sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod"),
    *("lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog"),
    *("wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
)
_NUMBERS = {f"cap_{name}": number for number, name in enumerate(NAMES)}
_ALL = (1 << len(NAMES)) - 1
_CLAUSE = re.compile(r"([a-z_,]*)((?:[=+-][eip]*)+)")
_LONGEST = 4096


def xattr(text: str) -> bytes | None:
    """The value of `security.capability`; None if the text gives none. Raises ArchiveError."""
    sets = {"e": 0, "i": 0, "p": 0}
    if len(text) > _LONGEST:
        raise ArchiveError("has capabilities that nobody could have written")
    for clause in text.split():
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ArchiveError(f"has capabilities that make no sense: {clause[:80]!r}")
        which = _which(match[1], clause)
        for operator, flags in re.findall(r"([=+-])([eip]*)", match[2]):
            for flag in sets:
                if operator == "=":
                    sets[flag] &= ~which
                if operator in "=+" and flag in flags:
                    sets[flag] |= which
                if operator == "-" and flag in flags:
                    sets[flag] &= ~which
    permitted, inheritable = sets["p"], sets["i"]
    if not any(sets.values()):
        return None
    low = (1 << 32) - 1
    return struct.pack(
        "<5I",
        _REVISION_2 | (_EFFECTIVE if sets["e"] else 0),
        *(permitted & low, inheritable & low, permitted >> 32, inheritable >> 32),
    )


def _which(names: str, clause: str) -> int:
    if names in ("", "all"):
        return _ALL
    which = 0
    for name in names.split(","):
        if name not in _NUMBERS:
            raise ArchiveError(f"has a capability that is not known: {clause[:80]!r}")
        which |= 1 << _NUMBERS[name]
    return which
