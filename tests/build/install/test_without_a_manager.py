"""Package files into roots in which nothing can run: on paper and in a root, the same layer."""

from __future__ import annotations

from pathlib import Path
from tarfile import DIRTYPE, SYMTYPE

import pytest

from debs import make_deb
from genoci.snapshot.driver import Driver
from workshop import Workshop, member

BASES = {
    "nothing": "base: {base: empty, copy: passwd /etc/passwd}",
    "a merged /usr": "base: {base: empty, expand: merged.tar}",
}


@pytest.fixture
def place(workshop: Workshop) -> Workshop:
    workshop.write("passwd", "root:x:0:0::/root:/bin/sh\n")
    workshop.tarball(
        "merged.tar",
        member("usr", DIRTYPE),
        member("usr/lib", DIRTYPE),
        member("usr/bin", DIRTYPE),
        member("lib", SYMTYPE, linkname="usr/lib"),
        member("bin", SYMTYPE, linkname="/usr/bin"),
    )
    return workshop


@pytest.mark.parametrize("driver", ["overlay", "copy"])
@pytest.mark.parametrize("base", BASES)
def test_on_paper_and_in_a_root_the_layer_is_the_same(
    place: Workshop,
    packages: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    driver: str,
) -> None:
    names = ", ".join(f"{packages}/{name}.deb" for name in ("hello", "gcc-12-base", "libgcc-s1"))
    yaml = (
        f"{BASES[base]}\n"
        f"t: {{base: base, install: [{names}, {{src: {packages}/libc6.deb, scripts: skip}}]}}\n"
    )
    assert place.build(yaml, epoch=1_700_000_000).ok, place.events
    on_paper = place.layers("t")[-1]
    assert place.tree("t").node(b"var/lib/dpkg/status.d/hello") is not None
    monkeypatch.setattr("genoci.build.worker.needs_a_root", lambda target: True)
    assert place.build(yaml, "t", driver=Driver(driver), epoch=1_700_000_000).ok, place.events
    assert place.layers("t")[-1] == on_paper


def test_nothing_is_entered_or_unpacked_for_it(place: Workshop, packages: Path) -> None:
    assert place.build(f"t: {{base: empty, install: [{packages}/hello.deb]}}").ok, place.events
    assert not (place.state / "snapshots").exists()
    assert not (place.state / "packages").exists()


@pytest.mark.parametrize(
    ("item", "cause"),
    [
        ("curl", "no package manager that finds packages by name: curl"),
        ("{src: FILE, deps: repo}", "no package manager that could fetch"),
    ],
)
def test_what_only_a_manager_can_do_is_refused_with_the_mend(
    place: Workshop, packages: Path, item: str, cause: str
) -> None:
    item = item.replace("FILE", f"{packages}/hello.deb")
    (failed,) = place.build(f"t: {{base: empty, install: [{item}]}}").failed
    assert cause in failed.what
    assert "Use a base with apt-get" in failed.mend or "use a base with apt-get" in failed.mend


def test_a_script_that_would_have_to_run_is_shown(place: Workshop, tmp_path: Path) -> None:
    deb = make_deb(tmp_path, "wants", scripts={"postinst": "adduser somebody"})
    (failed,) = place.build(f"t: {{base: empty, install: [{deb}]}}").failed
    assert "adduser somebody" in "\n".join([failed.what, *failed.tail])
    assert "scripts: skip" in failed.mend
