"""Packages by name with dnf, of the fourth or the fifth generation."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack

from genoci.build.install import rpmdb
from genoci.build.install.by_name import install_batch
from genoci.build.install.downloads import Download
from genoci.build.install.find import find_program
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.build.install.rpm import ENVIRONMENT, Files
from genoci.build.install.unwritten import unwritten
from genoci.spec.pinned import Pinned

_CACHE = "/var/cache/dnf"
# The histories of transactions hold their times, and who asked for them. Without one, dnf takes
# what it did not install for what the user wanted.
_HISTORIES = (
    (b"var/lib/dnf", b"history."),
    (b"usr/lib/sysimage/libdnf5", b"transaction_history."),
)

# dnf is Python, which would note what it has compiled beside its modules.
_ENVIRONMENT = {**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"}


class Dnf:
    """`dnf install`, without weak dependencies. Signatures are checked as the root is set up."""

    family = "rpm"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        with ExitStack() as stack:
            for folder, prefix in _HISTORIES:
                stack.enter_context(unwritten(place, folder, prefix))
            stack.enter_context(rpmdb.settled(place))
            return install_batch(batch, place, _Repositories(batch, place))


class _Repositories:
    shown = _CACHE
    takes_files = True

    def __init__(self, batch: Batch, place: Workplace) -> None:
        self._place = place
        self._pins = batch.pins
        programs = ("dnf", "dnf5")
        self.name = next(one for one in programs if find_program(place.tree, one) is not None)
        program = find_program(place.tree, self.name) or b""
        self._fifth = os.path.basename(program) == b"dnf5"

    def offered(self, pins: Sequence[Pinned]) -> Collection[tuple[str, str, str]]:
        tags = ("%{name}", "%{epoch}", "%{version}-%{release}", "%{arch}", "\n")
        ended = self._run(
            *("repoquery", "--refresh", "--qf", "\t".join(("genoci", *tags))),
            *map(_nevra, pins),
            network=True,
            quiet=True,
        )
        found = set()
        for line in ended.output.splitlines():
            mark, *fields = line.rstrip("\t").split("\t")
            if mark == "genoci" and len(fields) == 4:
                name, epoch, version, architecture = fields
                found.add((name, version if epoch == "0" else f"{epoch}:{version}", architecture))
                found.add((name, f"{epoch}:{version}", architecture))
        return found

    def download(self, wanted: Sequence[str], files: Files) -> Ended:
        options = ("--refresh", "--downloadonly")
        return self._run("install", *options, *wanted, files=files, network=True)

    def install(self, wanted: Sequence[str], files: Files) -> Ended:
        # The fifth may fetch keys only now.
        return self._run("install", "-C", *wanted, files=files, network=self._fifth)

    def sources(self, found: Sequence[Download]) -> dict[Download, str]:
        if not found:
            return {}
        names = [one.name.removesuffix(".rpm") for one in found]
        ended = self._run("repoquery", "-C", "--location", *names, quiet=True)
        by_name = {line.rpartition("/")[2]: line for line in ended.output.splitlines()}
        return {one: by_name[one.name] for one in found if one.name in by_name}

    def _run(
        self,
        command: str,
        *arguments: str,
        files: Files | None = None,
        network: bool = False,
        quiet: bool = False,
    ) -> Ended:
        options = {
            "install_weak_deps": "False",
            "keepcache": "True",
            "system_cachedir" if self._fifth else "cachedir": _CACHE,
        }
        if self._pins is not None:
            allowed = [_nevra(pin) for pin in self._pins]
            options["includepkgs"] = ",".join(allowed or ["nothing-at-all"])
        return self._place.run(
            self.name,
            *(f"--setopt={name}={value}" for name, value in options.items()),
            command,
            "-y",
            *arguments,
            network=network,
            shown={_CACHE: self._place.cache, **(files.shown if files else {})},
            env=_ENVIRONMENT,
            quiet=quiet,
        )


def _nevra(pin: Pinned) -> str:
    return f"{pin.name}-{pin.version}.{pin.architecture}"
