"""What is checked out loses nothing that it stands on, whatever `genoci gc` drops."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from genoci.oci.digest import chain_ids

if TYPE_CHECKING:
    from conftest import Place


def gc(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genoci", "gc", *words, "--state", str(place.state)],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_checkout_can_be_checked_in_although_its_tag_is_gone(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    place.layout.untag(["base"])
    for _ in range(2):
        done = gc(place, "--unused-days", "0")
        assert done.returncode == 0 and "snapshot" not in done.stdout, done.stdout
    assert "A /etc/new" in place.ok("status")
    place.ok("ci", "new")
    assert place.content("new") == "changed\n"


def test_after_the_end_of_the_checkout_it_all_goes(place: Place) -> None:
    place.ok("co", "base")
    (base,) = chain_ids(place.layout.resolve("base").diff_ids)
    place.layout.untag(["base"])
    assert f"sha256:{base.hex}" not in gc(place).stdout
    place.ok("abort")
    done = gc(place)
    assert f"snapshot sha256:{base.hex}" in done.stdout.splitlines()
    assert not place.layout.tags()
