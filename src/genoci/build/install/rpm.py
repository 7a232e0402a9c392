"""Installs .rpm files with the root's own rpm, without network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genoci.build.install import rpmdb
from genoci.build.install.dpkg import FILES, copy_checked
from genoci.build.install.manager import Batch, Ended, Workplace
from genoci.errors import BuildError, StepFailed
from genoci.package.archive import Archive
from genoci.spec.pinned import Pinned

# Scripts that call systemctl reach no service manager, and are not to wait for one.
ENVIRONMENT = {"SYSTEMD_OFFLINE": "1"}
# What the user names is what he wants, be it older than what is there, or the same.
_INSTALL = ("rpm", "-U", "-v", "--replacepkgs", "--oldpackage")
_NEEDED = re.compile(r"^\s+(.+) is needed by (\S+)$", re.MULTILINE)
_SCRIPT = re.compile(r"(%\w+)\(([^()\s]+)\) scriptlet failed, (.+)")


class Need(NamedTuple):
    """What `package` needs, in rpm's words: a name, a file or a capability."""

    package: str
    what: str


class Rpm:
    """`rpm -U` of all files in one transaction."""

    family = "rpm"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        with rpmdb.settled(place):
            Files.laid_out(batch.archives, place).install()
        return ()


class Files:
    """Package files in a folder that is `shown` in the root, at `paths`."""

    def __init__(self, place: Workplace, folder: Path, names: Sequence[str]) -> None:
        self._place = place
        self.shown: Mapping[str, Path] = {FILES: folder} if names else {}
        self.paths = tuple(f"{FILES}/{name}" for name in names)

    @classmethod
    def laid_out(cls, archives: Sequence[Archive], place: Workplace) -> Files:
        """Copies, for the container may write to what it is shown."""
        folder = place.folder / "packages"
        folder.mkdir()
        names = []
        for number, archive in enumerate(archives):
            # rpm takes an argument for a pattern.
            name = re.sub(r"[^\w.+~^-]", "_", f"{archive.name}-{archive.version}", flags=re.ASCII)
            names.append(f"{number}-{name}.{archive.architecture}.rpm")
            target = folder / names[-1]
            copy_checked(archive.path.resolve(), target, archive.sha256, archive.named)
        return cls(place, folder, names)

    def unmet(self) -> tuple[Need, ...]:
        """What they need, and neither the root nor the batch has."""
        ended = self._run("--test", quiet=True)
        found = dict.fromkeys(_NEEDED.findall(ended.output))
        return tuple(Need(package, what) for what, package in found)

    def install(self) -> None:
        """Raises BuildError, with everything that is unmet, or with rpm's own words."""
        needs = self.unmet()
        if needs:
            raise unmet_error(needs, self._place.where)
        refuse_failure(self._run(), "rpm", self._place.where)

    def _run(self, *options: str, quiet: bool = False) -> Ended:
        return self._place.run(
            *_INSTALL, *options, *self.paths, shown=self.shown, env=ENVIRONMENT, quiet=quiet
        )


def unmet_error(needs: Sequence[Need], where: str) -> BuildError:
    lines = [f"{need.package} needs {need.what}" for need in needs]
    return BuildError(
        f"{len(lines)} dependencies are not met:\n  " + "\n  ".join(lines),
        where=where,
        mend="Write  deps: repo  at the file, and the image's dnf, microdnf or zypper fetches "
        "what is needed; or add the files of these packages to the list.",
    )


def refuse_failure(ended: Ended, program: str, where: str) -> None:
    """Raise StepFailed if the program failed, or a script of a package did.

    rpm goes on after most scripts that fail, and ends with 0: it only says so.
    """
    failed = _SCRIPT.search(ended.output)
    if failed is not None:
        script, package, how = failed.groups()
        raise StepFailed(
            f"the script {script} of {package} failed: {how}",
            status=ended.status or 1,
            tail=ended.tail,
            where=where,
            mend="Does it need something that is not in the image? See it with "
            "rpm -qp --scripts FILE, and what it left with  genoci shell --failed",
        )
    if ended.status != 0:
        raise StepFailed(
            f"{program} ended with exit status {ended.status}",
            status=ended.status,
            tail=ended.tail,
            where=where,
            mend="Its last lines say why. To look around in what it left:  genoci shell --failed",
        )
