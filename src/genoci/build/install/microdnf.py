"""Packages by name with microdnf, the small dnf of minimal images.

It can't merely download, and keeps nothing: so nothing of it can be locked.
"""

from __future__ import annotations

from genoci.build.install import rpmdb
from genoci.build.install.by_name import refuse_unknown
from genoci.build.install.manager import Batch, Workplace
from genoci.build.install.rpm import ENVIRONMENT, Files, refuse_failure
from genoci.build.install.unwritten import unwritten
from genoci.errors import BuildError
from genoci.spec.pinned import Pinned

_CACHE = "/var/cache/yum"  # written into its program


class Microdnf:
    """`microdnf install`, without weak dependencies; files by rpm, after what they need."""

    family = "rpm"

    def install(self, batch: Batch, place: Workplace) -> tuple[Pinned, ...]:
        if batch.pins is not None:
            raise BuildError(
                "microdnf can't install exactly what a lock file names",
                where=place.where,
                mend="Use an image with dnf, or build without the lock file.",
            )
        with unwritten(place, b"var/lib/dnf", b"history."), rpmdb.settled(place):
            files = Files.laid_out(batch.archives, place)
            needs = files.unmet() if files.paths else ()
            if files.paths and not needs:
                files.install()
            wanted = batch.names
            if batch.deps_from_repo:
                wanted = (*wanted, *(need.what for need in needs))
            if wanted:
                _install(wanted, place)
            if needs:
                files.install()
        return ()


def _install(wanted: tuple[str, ...], place: Workplace) -> None:
    ended = place.run(
        *("microdnf", "--setopt=install_weak_deps=0", "install", "-y", *wanted),
        network=True,
        shown={_CACHE: place.cache},
        env=ENVIRONMENT,
    )
    refuse_unknown(ended, place.where)
    refuse_failure(ended, "microdnf", place.where)
