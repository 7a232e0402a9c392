"""Thin wrappers of the system calls that Python 3.11 lacks; they raise OSError and hold no policy.

Numbers and structures are those of the kernel's uapi headers; the calls that came after 2011 have
the same number on every architecture that is named here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_NUMBERS = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "rt_sigaction": 13},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "rt_sigaction": 134},
}.get(os.uname().machine, {})
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_OPENAT2, _MOUNT_SETATTR = 437, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_NOATIME, MS_BIND, MS_MOVE = 32, 1024, 4096, 8192
MS_REC, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 16384, 1 << 17, 1 << 18, 1 << 19, 1 << 20
MNT_FORCE, MNT_DETACH, UMOUNT_NOFOLLOW = 1, 2, 8

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID = 0x1, 0x2
MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 0x4, 0x8
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 0, 1, 6

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x01, 0x02, 0x04
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x08, 0x10

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FICLONE = 0x40049409
BTRFS_MAGIC = 0x9123683E

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME = 1, 4, 8, 15
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 23, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


_FS_IOC_FIEMAP = 0xC020660B
_FIEMAP = struct.Struct("=QQIIIxxxx")  # start, length, flags, extents mapped, room for extents
_EXTENT = struct.Struct("=QQQ16xI12x")  # logical, physical, length, flags
_EXTENTS = 64
_EXTENT_LAST = 1
EXTENT_INLINE, EXTENT_SHARED = 0x200, 0x2000  # among the metadata; shared with other files


def _check(result: int, *names: bytes | str | None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        paths = [name for name in names if name is not None]
        raise OSError(number, os.strerror(number), *paths[:1])
    return result


def _syscall(number: int, *arguments: object) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *arguments))


def _number(name: str) -> int:
    """The call's number here; ENOSYS on an architecture that is not in the table."""
    try:
        return _NUMBERS[name]
    except KeyError:
        raise OSError(errno.ENOSYS, f"no number of {name} for {os.uname().machine}") from None


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, flags: int) -> None:
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)))


def mount(
    source: bytes | None, target: bytes, fstype: bytes | None, flags: int = 0, data: bytes = b""
) -> None:
    """mount(2); `data` is at most a page."""
    result = _libc.mount(source, target, fstype, ctypes.c_ulong(flags), data or None)
    _check(result, target)


def umount(target: bytes, flags: int = 0) -> None:
    _check(_libc.umount2(target, ctypes.c_int(flags)), target)


def pivot_root(new: bytes, old: bytes) -> None:
    _syscall(_number("pivot_root"), ctypes.c_char_p(new), ctypes.c_char_p(old))


def open_tree(dirfd: int, path: bytes, flags: int) -> int:
    """A descriptor of a mount; with OPEN_TREE_CLONE of a detached copy of it."""
    return _syscall(_OPEN_TREE, ctypes.c_int(dirfd), ctypes.c_char_p(path), ctypes.c_uint(flags))


def move_mount(from_fd: int, from_path: bytes, to_fd: int, to_path: bytes, flags: int) -> None:
    _syscall(
        _MOVE_MOUNT,
        ctypes.c_int(from_fd),
        ctypes.c_char_p(from_path),
        ctypes.c_int(to_fd),
        ctypes.c_char_p(to_path),
        ctypes.c_uint(flags),
    )


def mount_setattr(
    dirfd: int, path: bytes, flags: int, *, set: int = 0, clear: int = 0, propagation: int = 0
) -> None:
    """mount_setattr(2): `set` and `clear` are MOUNT_ATTR_ bits, `propagation` an MS_ one."""
    attributes = struct.pack("=QQQQ", set, clear, propagation, 0)
    _syscall(
        _MOUNT_SETATTR,
        ctypes.c_int(dirfd),
        ctypes.c_char_p(path),
        ctypes.c_uint(flags),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )


def fsopen(fstype: bytes) -> int:
    return _syscall(_FSOPEN, ctypes.c_char_p(fstype), ctypes.c_uint(1))


def fsconfig_string(fd: int, key: bytes, value: bytes) -> None:
    arguments = (ctypes.c_char_p(key), ctypes.c_char_p(value), ctypes.c_int(0))
    _syscall(_FSCONFIG, ctypes.c_int(fd), ctypes.c_uint(FSCONFIG_SET_STRING), *arguments)


def fsconfig_flag(fd: int, key: bytes) -> None:
    arguments = (ctypes.c_char_p(key), None, ctypes.c_int(0))
    _syscall(_FSCONFIG, ctypes.c_int(fd), ctypes.c_uint(FSCONFIG_SET_FLAG), *arguments)


def fsconfig_create(fd: int) -> None:
    arguments = (None, None, ctypes.c_int(0))
    _syscall(_FSCONFIG, ctypes.c_int(fd), ctypes.c_uint(FSCONFIG_CMD_CREATE), *arguments)


def fsmount(fd: int, attributes: int = 0) -> int:
    return _syscall(_FSMOUNT, ctypes.c_int(fd), ctypes.c_uint(1), ctypes.c_uint(attributes))


def openat2(dirfd: int, path: bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2); the descriptor is close-on-exec."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    result = _libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(dirfd),
        ctypes.c_char_p(path),
        ctypes.c_char_p(how),
        ctypes.c_size_t(len(how)),
    )
    return _check(result, path)


def renameat2(old_fd: int, old: bytes, new_fd: int, new: bytes, flags: int) -> None:
    _check(_libc.renameat2(old_fd, old, new_fd, new, ctypes.c_uint(flags)), old)


def ficlone(source_fd: int, target_fd: int) -> None:
    """Share the source's extents with the target (ioctl_ficlone(2))."""
    fcntl.ioctl(target_fd, FICLONE, source_fd)


def extents(fd: int) -> list[tuple[int, int, int]]:
    """Where a file lies on the device: from, to, EXTENT_… flags (fiemap.rst of the kernel)."""
    found = []
    position = 0
    while True:
        buffer = bytearray(_FIEMAP.size + _EXTENTS * _EXTENT.size)
        _FIEMAP.pack_into(buffer, 0, position, 2**64 - 1 - position, 0, 0, _EXTENTS)
        fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer)
        count = _FIEMAP.unpack_from(buffer)[3]
        for number in range(count):
            place = _FIEMAP.size + number * _EXTENT.size
            logical, physical, length, flags = _EXTENT.unpack_from(buffer, place)
            position = logical + length
            found.append((physical, physical + length, flags))
        if not count or flags & _EXTENT_LAST:
            return found


def join_new_session_keyring() -> None:
    """Have a keyring of our own instead of the one that was inherited (keyctl(2))."""
    _syscall(_number("keyctl"), ctypes.c_int(1), None)


def set_domain_name(name: bytes) -> None:
    """The NIS domain name of this UTS namespace."""
    _check(_libc.setdomainname(name, ctypes.c_size_t(len(name))))


def filesystem_magic(path: bytes) -> int:
    """What kind of filesystem `path` lies on: statfs(2), f_type."""
    buffer = ctypes.create_string_buffer(256)
    _check(_libc.statfs(ctypes.c_char_p(path), buffer), path)
    (magic,) = struct.unpack_from("@l", buffer)
    return int(magic) & 0xFFFFFFFF


def start_write_back(fd: int, offset: int, length: int) -> None:
    """Have the disk begin with what was written, and don't wait for it (sync_file_range(2)).

    It promises nothing: only fsync(2) does.
    """
    begin_only = 2  # SYNC_FILE_RANGE_WRITE
    arguments = (ctypes.c_int64(offset), ctypes.c_int64(length), ctypes.c_uint(begin_only))
    _check(_libc.sync_file_range(ctypes.c_int(fd), *arguments))


def syncfs(fd: int) -> None:
    _check(_libc.syncfs(ctypes.c_int(fd)))


def keep_freed_memory(block: int) -> None:
    """Have the C library use freed blocks of up to `block` bytes again, and not hand them back.

    Else each large buffer is a new mapping, and the kernel fills its pages with zeros at their
    first use. Nothing where the C library is not glibc (mallopt(3)).
    """
    trim_threshold, mmap_threshold = -1, -3
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_threshold, block)
        mallopt(trim_threshold, 16 * block)


def prctl(option: int, second: int = 0, third: int = 0, fourth: int = 0, fifth: int = 0) -> int:
    arguments = [ctypes.c_ulong(value) for value in (second, third, fourth, fifth)]
    return _check(_libc.prctl(ctypes.c_int(option), *arguments))


def set_process_name(name: bytes) -> None:
    """What `ps` shows: a name of at most 15 bytes, and no command line or environment any more.

    Both lie where the kernel put them when the program started (proc_pid_stat(5), fields 48 to
    51), and everybody in the same /proc can read the former. Not for a process that still needs
    its C library's environment.
    """
    _check(_libc.prctl(ctypes.c_int(PR_SET_NAME), ctypes.c_char_p(name)))
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rpartition(b")")[2].split()
    for start, end in ((fields[45], fields[46]), (fields[47], fields[48])):
        if int(start):
            ctypes.memset(int(start), 0, int(end) - int(start))


def set_parent_death_signal(number: int) -> None:
    """Be sent a signal when the parent dies; forgotten at every change of credentials."""
    prctl(PR_SET_PDEATHSIG, number)


_LAST_SIGNAL = 64


def reset_signals() -> None:
    """The default action for every signal, also for those that the C library keeps to itself."""
    for number in range(1, _LAST_SIGNAL + 1):
        if number not in (9, 19):  # SIGKILL and SIGSTOP have no other
            arguments = (ctypes.c_char_p(bytes(32)), None, ctypes.c_size_t(8))
            _syscall(_number("rt_sigaction"), ctypes.c_int(number), *arguments)


def set_no_new_privileges() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_CAPABILITY_VERSION_3 = 0x20080522


def set_capabilities(*, effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of this thread; each a set of bits, bit N for capability number N."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    words = [
        value >> shift & 0xFFFFFFFF
        for shift in (0, 32)
        for value in (effective, permitted, inheritable)
    ]
    _check(_libc.capset(ctypes.byref(header), struct.pack("=6I", *words)))


def get_capabilities() -> int:
    """The effective set of this thread, as bits."""
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    words = ctypes.create_string_buffer(24)
    _check(_libc.capget(ctypes.byref(header), words))
    low, _, _, high, _, _ = struct.unpack("=6I", words.raw)
    return int(low) | int(high) << 32


def landlock_abi() -> int:
    """The kernel's Landlock version; 0: it has none."""
    result = _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_size_t(0), 1)
    return max(0, int(result))


def landlock_create(handled_fs: int, *, scoped: int = 0) -> int:
    """A ruleset that forbids the `handled_fs` accesses except where a rule allows them."""
    ruleset = struct.pack("=QQQ", handled_fs, 0, scoped)
    size = len(ruleset) if scoped else 8
    return _syscall(
        _LANDLOCK_CREATE, ctypes.c_char_p(ruleset), ctypes.c_size_t(size), ctypes.c_uint(0)
    )


def landlock_allow(ruleset_fd: int, beneath_fd: int, access: int) -> None:
    rule = struct.pack("=Qi", access, beneath_fd)
    arguments = (ctypes.c_int(1), ctypes.c_char_p(rule), ctypes.c_uint(0))
    _syscall(_LANDLOCK_ADD, ctypes.c_int(ruleset_fd), *arguments)


def landlock_restrict(ruleset_fd: int) -> None:
    """Apply the ruleset to this thread and all that it starts; needs no_new_privs."""
    _syscall(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset_fd), ctypes.c_uint(0))


# What follows is of btrfs: each is allowed to whoever may do the like with a directory.

_BTRFS_SNAP_CREATE, _BTRFS_SUBVOL_CREATE = 0x50009401, 0x5000940E
_BTRFS_SNAP_DESTROY = 0x5000940F
_BTRFS_SUBVOL_GETFLAGS, _BTRFS_SUBVOL_SETFLAGS = 0x80089419, 0x4008941A
_BTRFS_GET_SUBVOL_ROOTREF = 0xD000943D
_BTRFS_SUBVOL_RDONLY = 2


def btrfs_create(directory_fd: int, name: bytes) -> None:
    """An empty subvolume, with the mode and owner that a new directory would have."""
    fcntl.ioctl(directory_fd, _BTRFS_SUBVOL_CREATE, _btrfs_arguments(0, name))


def btrfs_snapshot(source_fd: int, directory_fd: int, name: bytes) -> None:
    """A writable snapshot of the subvolume whose top `source_fd` is."""
    fcntl.ioctl(directory_fd, _BTRFS_SNAP_CREATE, _btrfs_arguments(source_fd, name))


def btrfs_destroy(directory_fd: int, name: bytes) -> None:
    """Delete a subvolume, whatever is in it but other subvolumes (ENOTEMPTY).

    EPERM for who is not root of the machine where it isn't mounted with user_subvol_rm_allowed.
    """
    fcntl.ioctl(directory_fd, _BTRFS_SNAP_DESTROY, _btrfs_arguments(0, name))


def btrfs_set_read_only(fd: int, value: bool) -> None:
    """Let nobody change the subvolume whose top `fd` is, or let them again."""
    before = _btrfs_flags(fd)
    flags = before | _BTRFS_SUBVOL_RDONLY if value else before & ~_BTRFS_SUBVOL_RDONLY
    if flags != before:
        fcntl.ioctl(fd, _BTRFS_SUBVOL_SETFLAGS, struct.pack("=Q", flags))


def btrfs_has_subvolumes(fd: int) -> bool:
    """Whether other subvolumes are in the one that `fd` is in."""
    found = bytearray(4096)
    fcntl.ioctl(fd, _BTRFS_GET_SUBVOL_ROOTREF, found)
    return bool(found[8 + 255 * 16])


def _btrfs_flags(fd: int) -> int:
    flags: int = struct.unpack("=Q", fcntl.ioctl(fd, _BTRFS_SUBVOL_GETFLAGS, bytes(8)))[0]
    return flags


def _btrfs_arguments(fd: int, name: bytes) -> bytearray:
    return bytearray(struct.pack("=q4088s", fd, name))
