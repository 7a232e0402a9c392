"""Where things are, how much room there is, and what the environment says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from genoci.build.doctor.finding import Finding, looked_at
from genoci.build.doctor.mounts import mount_of
from genoci.oci.layout import Layout

PLACES, ENVIRONMENT = "places", "environment"
_LITTLE = 1 << 30  # bytes: less than the root filesystem of a distribution
_MEND = "`genoci gc` and `genoci clean` free what is not needed; or see --state and --layout."
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_OURS = ("GENOCI_LAYOUT", "GENOCI_STATE")


def places(layout: Path, config: Path | None) -> Iterator[Finding]:
    yield looked_at(PLACES, "layout", lambda: _layout(layout), failing="limited")
    what = str(config) if config else "none"
    yield Finding(PLACES, "config file", "note", what)


def environment(variables: Mapping[str, str]) -> Iterator[Finding]:
    epoch = variables.get("SOURCE_DATE_EPOCH", "not set")
    yield Finding(ENVIRONMENT, "SOURCE_DATE_EPOCH", "note", epoch)
    # Names alone: a proxy's address may hold a password.
    proxies = sorted(name for name in variables if name.lower() in _PROXIES and variables[name])
    yield Finding(ENVIRONMENT, "proxies", "note", ", ".join(proxies) or "none")
    ours = [f"{name}={variables[name]}" for name in _OURS if variables.get(name)]
    if ours:
        yield Finding(ENVIRONMENT, "genoci", "note", " ".join(ours))


def space(name: str, folder: Path, more: str) -> Finding:
    """How much is free where the folder is, or would be."""
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    room = f"{free / 1e9:.1f} GB free on {mount_of(there).kind}"
    what = f"{folder}: {f'{more}, ' if more else ''}{room}"
    if found.f_files and not found.f_favail:
        return Finding(PLACES, name, "missing", f"{what}, but no inode", _MEND)
    if free < _LITTLE:
        return Finding(PLACES, name, "limited", what, _MEND)
    return Finding(PLACES, name, "ok", what)


def _layout(folder: Path) -> Finding:
    if not (folder / "index.json").exists():
        return space("layout", folder, "not there; the first build makes it")
    count = len(Layout.at(folder).tags())
    return space("layout", folder, "1 tag" if count == 1 else f"{count} tags")
