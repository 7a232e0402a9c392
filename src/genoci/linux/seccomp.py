"""libseccomp, as far as a filter that refuses system calls needs it; see seccomp_rule_add(3)."""

from __future__ import annotations

import ctypes
import os

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_MASKED_EQ = 7


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


class Filter:
    """Allows every call for which there is no rule. Raises OSError where there is no library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(_ALLOW)))
        if not self._context:
            raise OSError("libseccomp can't make a filter")

    def add_architecture(self, name: str) -> None:
        """What comes in by this architecture's calls, too: "x86", "x32", "arm"."""
        token = self._library.seccomp_arch_resolve_name(name.encode())
        _check(self._library.seccomp_arch_add(self._context, ctypes.c_uint32(token)))

    def refuse(
        self, call: str, error: int, *, argument: int = 0, mask: int = 0, value: int = 0
    ) -> None:
        """The call answers `error`; with a `mask`, only if so much of the argument is `value`."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        comparison = _Comparison(argument, _MASKED_EQ, mask, value)
        _check(
            self._library.seccomp_rule_add_array(
                self._context,
                ctypes.c_uint32(_ERRNO | error),
                number,
                ctypes.c_uint(1 if mask else 0),
                ctypes.byref(comparison),
            )
        )

    def load(self) -> None:
        """Apply it to this process and all that it starts, with no_new_privs, for good."""
        _check(self._library.seccomp_load(self._context))


def _check(answer: int) -> None:
    if answer < 0:
        raise OSError(-answer, os.strerror(-answer))
