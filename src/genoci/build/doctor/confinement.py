"""What keeps a `run` apart from the host: namespaces, a container, filters."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from genoci import linux
from genoci.build.doctor.apart import in_a_namespace, in_a_process
from genoci.build.doctor.finding import Finding, looked_at, not_tried
from genoci.sandbox import idmap, landlock, process, seccomp, userns
from genoci.sandbox.idmap import IdMap

NAMESPACES, CONFINEMENT = "namespaces", "confinement"
_NO_PROGRAM = "/genoci-doctor"  # what an empty root does not have


def user_namespaces() -> Finding:
    """Enter one, as every build does in which something runs."""
    return in_a_namespace(_entered)


def namespaces(entered: Finding, place: Path | None, lacking: str) -> Iterator[Finding]:
    """What there is besides `entered`: each check enters anew.

    `place` is an empty directory of ours; `lacking` tells what there is not to try things in.
    """
    yield entered
    yield looked_at(NAMESPACES, "subordinate ids", _subordinate_ids)
    if lacking or place is None:
        yield not_tried(NAMESPACES, "network", lacking)
        yield not_tried(NAMESPACES, "container", lacking)
        return
    yield looked_at(
        NAMESPACES, "network", lambda: in_a_namespace(_network_namespace), failing="limited"
    )
    yield looked_at(
        NAMESPACES, "container", lambda: in_a_namespace(lambda _: _container(place), place)
    )


def confinement() -> Iterator[Finding]:
    yield looked_at(CONFINEMENT, "seccomp", _seccomp, failing="limited")
    yield looked_at(CONFINEMENT, "Landlock", _landlock, failing="limited")


def _entered(found: IdMap) -> Finding:
    count = sum(extent.count for extent in found.uids)
    whose = {
        "identity": "root keeps every id",
        "inherited": f"the {count} ids of the namespace that genoci was started in",
        "subordinate": f"you are its root, and {count - 1} subordinate ids are its other users",
        "single": "you are its root, and there is nobody else",
    }["single" if found.is_alone else found.kind]
    return Finding(NAMESPACES, "user namespaces", "ok", f"entered, and something mounted: {whose}")


def _subordinate_ids() -> Finding:
    found = idmap.plan()
    name = "subordinate ids"
    if found.kind == "identity":
        return Finding(NAMESPACES, name, "note", "root needs none")
    if not found.is_alone:
        ranges = ", ".join(
            f"{kind} {extent.outside} to {extent.outside + extent.count - 1}"
            for kind, extents in (("uid", found.uids), ("gid", found.gids))
            for extent in extents
            if extent.count > 1
        )
        return Finding(NAMESPACES, name, "ok", ranges)
    what, mend = userns.alone(found)
    lacking = [word for word in ("newuidmap", "newgidmap") if not shutil.which(word)]
    reason = f"; {' and '.join(lacking)} can't be found" if lacking else ""
    return Finding(NAMESPACES, name, "limited", what + reason, mend)


def _network_namespace(_: IdMap) -> Finding:
    linux.unshare(linux.CLONE_NEWNET)
    return Finding(NAMESPACES, "network", "ok", "`network: none` takes it away")


def _container(root: Path) -> Finding:
    """Set one up in an empty root, to the point where the command would be executed."""
    linux.mount(b"doctor", os.fsencode(root), b"tmpfs", linux.MS_NOSUID | linux.MS_NODEV)
    command = process.Command(argv=(_NO_PROGRAM,), root=root, env={}, cwd="/")
    try:
        process.run(command, lambda output: None, warn=lambda what, mend: None)
    except FileNotFoundError:
        what = "set up with a /proc, /dev and /sys of its own"
        return Finding(NAMESPACES, "container", "ok", what)
    return Finding(NAMESPACES, "container", "unknown", "a program that is not there has run")


def _seccomp() -> Finding:
    chosen = seccomp.default_filter()
    if chosen is None:
        return Finding(
            CONFINEMENT,
            "seccomp",
            "limited",
            "libseccomp is missing: commands of `run` get no filter of system calls",
            "Install the package libseccomp2 (libseccomp elsewhere).",
        )

    def filtered() -> Finding:
        linux.set_no_new_privileges()
        chosen.load()
        try:
            linux.unshare(linux.CLONE_NEWUSER)
        except OSError as error:
            if error.errno == errno.EPERM:
                return Finding(CONFINEMENT, "seccomp", "ok", "the filter is loaded, and refuses")
        return Finding(CONFINEMENT, "seccomp", "limited", "the filter refuses nothing")

    return in_a_process(filtered)


def _landlock() -> Finding:
    abi = linux.landlock_abi()
    if abi < 2:
        return Finding(
            CONFINEMENT,
            "Landlock",
            "limited",
            "the kernel has no Landlock that would do: archives are read without that confinement",
            "A kernel of 5.19 or newer has it; it may have to be named in the boot option lsm=.",
        )

    def restricted() -> Finding:
        _open_to_write("/dev/zero")
        landlock.restrict_writes(())
        try:
            _open_to_write("/dev/zero")
        except PermissionError:
            less = "" if abi >= 6 else "; it does not hide the host's abstract sockets from a `run`"
            what = f"version {abi}, and refuses{less}"
            return Finding(CONFINEMENT, "Landlock", "ok", what)
        return Finding(CONFINEMENT, "Landlock", "limited", f"version {abi}, and refuses nothing")

    return in_a_process(restricted)


def _open_to_write(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
