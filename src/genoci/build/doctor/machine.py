"""The kernel, Python and the libraries: what is there, before anything is tried."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from genoci.build.doctor.finding import Finding, looked_at

GROUP = "machine"
_LIBRARIES = {
    "msgspec": "msgspec",
    "PyYAML": "yaml",
    "isal": "isal.igzip_lib",
    "rich": "rich",
}
_MEND = "Install genoci anew, with what it needs: pip install --force-reinstall genoci"


def machine() -> Iterator[Finding]:
    yield looked_at(GROUP, "kernel", _kernel)
    yield looked_at(GROUP, "Python", _python)
    yield looked_at(GROUP, "libraries", _libraries)
    if not Path("/proc/self/uid_map").exists():
        what = "it is not mounted, and much that follows can't be known without it"
        yield Finding(GROUP, "/proc", "missing", what, "As root:  mount -t proc proc /proc")


def _kernel() -> Finding:
    system = os.uname()
    what = f"{system.sysname} {system.release}, {system.machine}"
    return Finding(GROUP, "kernel", "note", what)


def _python() -> Finding:
    what = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    return Finding(GROUP, "Python", "note", what)


def _libraries() -> Finding:
    zstd = "backports.zstd" if sys.version_info < (3, 14) else ""
    found, broken = [], []
    for name, module in {**_LIBRARIES, **({zstd: zstd} if zstd else {})}.items():
        try:
            importlib.import_module(module)
            found.append(f"{name} {metadata.version(name)}")
        except (ImportError, metadata.PackageNotFoundError) as error:
            broken.append(f"{name} ({error})")
    if broken:
        return Finding(GROUP, "libraries", "missing", f"not usable: {', '.join(broken)}", _MEND)
    return Finding(GROUP, "libraries", "ok", ", ".join(found))
