"""Out, changed, in again: on every driver, as root and not."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

Place = Any


def test_a_change_becomes_one_layer_and_a_tag(place: Place) -> None:
    shown = place.ok("checkout", "base").strip()
    assert Path(shown).name == "mounted"
    place.change()
    digest = place.ok("checkin", "new").split()[1]
    base, new = place.layout.resolve("base"), place.layout.resolve("new")
    assert new.diff_ids[:-1] == base.diff_ids
    assert new.history[-1].created_by == "lpack checkin"
    assert str(place.layout.tags()["new"].digest) == digest
    assert place.content("new") == "changed\n"
    assert not os.path.lexists(shown)
    assert set(place.layout.tags()) == {"base", "new"}


def test_status_tells_what_has_changed_from_the_root_itself(place: Place) -> None:
    place.ok("co", "base")
    assert json.loads(place.ok("status", "--json"))["changes"]["added"] == []
    place.ok("unshare", "sh", "-c", 'cd "$GENOCI_ROOTFS"; echo x > etc/new; rm etc/group')
    lines = place.ok("status").splitlines()
    assert lines[1:] == ["C /etc  time", "D /etc/group", "A /etc/new"]
    place.ok("unshare", "sh", "-c", 'rm "$GENOCI_ROOTFS/etc/new"')
    assert "A /etc/new" not in place.ok("status")


def test_nothing_out_is_said(place: Place) -> None:
    assert json.loads(place.ok("status", "--json")) is None
    assert "lpack checkout TAG" in place.refused("checkin", status=1)
    assert "lpack checkout TAG" in place.refused("chroot", status=1)
    assert "nothing" in place.run("abort").stderr


def test_a_second_checkout_is_refused_and_names_the_first(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    said = place.refused("co", "empty", status=1)
    assert "base is checked out already" in said
    assert "A /etc/new" in place.ok("status")


def test_a_checkin_without_a_name_counts_the_days(place: Place) -> None:
    place.ok("co", "base")
    place.change("one")
    first = place.ok("ci", "--keep").split()[0]
    place.change("two")
    second = place.ok("ci").split()[0]
    assert re.fullmatch(r"[0-9-]{10}_v1", first)
    assert second == first[:-1] + "2"
    assert (place.content(first), place.content(second)) == ("one\n", "two\n")


def test_kept_it_stands_on_the_new_image(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    place.ok("ci", "base", "--keep")
    assert json.loads(place.ok("status", "--json"))["changes"]["added"] == []
    assert place.ok("status").startswith("base is checked out")
    place.change("more", "etc/more")
    place.ok("ci", "base")
    assert len(place.layout.resolve("base").layers) == 3
    assert place.content("base", "etc/more") == "more\n"


def test_nothing_changed_makes_a_tag_and_no_layer(place: Place) -> None:
    place.ok("co", "base")
    done = place.run("ci", "same")
    assert done.returncode == 0 and "nothing has changed" in done.stderr
    tags = place.layout.tags()
    assert tags["same"].digest == tags["base"].digest
    assert place.ok("status") == ""


def test_abort_throws_it_away(place: Place) -> None:
    shown = place.ok("co", "base").strip()
    place.change()
    place.ok("abort")
    assert not os.path.lexists(shown)
    place.ok("co", "base")
    assert json.loads(place.ok("status", "--json"))["changes"]["added"] == []


def test_empty_can_be_checked_out(place: Place) -> None:
    place.ok("co", "empty")
    place.change(path="file")
    place.ok("ci", "scratch")
    image = place.layout.resolve("scratch")
    assert len(image.layers) == 1
    assert place.content("scratch", "file") == "changed\n"


def test_chroot_is_the_image_and_its_changes_stay(place: Place) -> None:
    place.ok("co", "base")
    assert place.run("chroot", "/bin/sh", "-c", "echo in > /etc/new; exit 7").returncode == 7
    assert place.ok("chroot", "cat", "/etc/new") == "in\n"
    assert "A /etc/new" in place.ok("status")


def test_unshare_runs_the_callers_command_where_he_is(place: Place) -> None:
    shown = Path(place.ok("co", "base").strip())
    (place.folder / "new-bin").write_text("new")
    done = subprocess.run(
        [*_words(place), "unshare", "cp", str(place.folder / "new-bin"), "mounted/usr/bin/"],
        cwd=shown.parent,
        env=place.environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert place.run("unshare", "sh", "-c", "exit 5").returncode == 5
    assert place.ok("unshare", "sh", "-c", "pwd; echo $MINE", env={"MINE": "mine"}).split() == [
        str(place.folder),
        "mine",
    ]
    place.ok("ci", "new")
    assert place.content("new", "usr/bin/new-bin") == "new"


def _words(place: Place) -> list[str]:
    import sys

    code = "import sys; from genoci.cli.main import lpack; sys.exit(lpack())"
    return [sys.executable, "-c", code, "--state", str(place.state)]


@pytest.mark.root_only
def test_every_program_sees_roots_checkout(place: Place) -> None:
    shown = Path(place.ok("co", "base").strip())
    (shown / "etc" / "new").write_text("from outside\n")
    place.ok("ci", "new")
    assert place.content("new") == "from outside\n"


@pytest.mark.root_only
def test_unmounted_by_hand_it_is_mounted_again(place: Place) -> None:
    shown = Path(place.ok("co", "base").strip())
    place.change()
    if os.path.ismount(shown.resolve()) and shown.resolve().name == "root":
        subprocess.run(["umount", shown.resolve()], check=True)
        assert not (shown / "etc").exists()
    assert "A /etc/new" in place.ok("status")
    assert (shown / "etc" / "new").exists()


@pytest.mark.root_only
def test_a_program_in_it_stops_a_checkin_and_nothing_is_lost(place: Place) -> None:
    shown = Path(place.ok("co", "base").strip())
    if shown.resolve().name != "root":
        return  # a tree that is no mount can't tell who is in it
    place.change()
    with (shown / "etc" / "new").open():
        assert "in use" in place.refused("ci", "new", status=1)
    place.ok("ci", "new")
    assert place.content("new") == "changed\n"


def test_after_a_restart_it_is_there_and_stands_on_the_same(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    _forget_this_boot(place)
    assert "A /etc/new" in place.ok("status")
    place.ok("ci", "new")
    assert place.content("new") == "changed\n"


def _forget_this_boot(place: Place) -> None:
    """What a restart leaves: nothing is mounted, and snapshots that were not synced don't count."""
    record = json.loads((place.state / "checkout.json").read_text())
    mounted = Path(record["mounted"]).resolve()
    if mounted.name == "root" and os.path.ismount(mounted):
        subprocess.run(["umount", mounted], check=True)
    for boot in mounted.parents[1].glob("*/boot"):
        boot.write_text("another")


def test_builds_leave_a_checkout_alone(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    (place.folder / "genoci.yaml").write_text("other: {base: base, run: 'echo > /other'}\n")
    code = "import sys; from genoci.cli.main import main; sys.exit(main())"
    done = place.run("build", code=code)
    assert done.returncode == 0, done.stderr
    assert "A /etc/new" in place.ok("status")
    refused = place.run("clean", code=code)
    assert refused.returncode == 1 and "lpack checkin" in refused.stderr


def test_a_tag_that_moved_meanwhile_is_told(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    place.layout.untag(["base"])
    assert "not there any more" in place.run("status").stderr
    place.ok("ci", "base")
    assert place.content("base") == "changed\n"


def test_a_layout_that_is_gone_loses_nothing(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    (place.folder / "oci").rename(place.folder / "away")
    assert "A /etc/new" in place.ok("status")
    place.refused("ci", "new", status=1)
    if (place.folder / "oci").exists():
        subprocess.run(["rm", "-r", place.folder / "oci"], check=True)
    (place.folder / "away").rename(place.folder / "oci")
    place.ok("ci", "new")
    assert place.content("new") == "changed\n"


def test_unpack_expands_what_is_missing_and_no_more(place: Place) -> None:
    place.ok("co", "base")
    place.change()
    place.ok("ci", "new")
    said = json.loads(place.ok("unpack", "--json"))
    assert [one["expanded"] for one in said] == [0, 0]
    rows = json.loads(place.ok("ls", "--json"))
    assert [(one["layers"], one["unpacked"]) for one in rows] == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mount", "base"), "lpack checkout"),
        (("chekout", "base"), "Did you mean: lpack checkout"),
        (("build",), "genoci build"),
        (("checkin", "bad/tag"), "is not a tag"),
        (("checkout",), "TAG"),
        ((), "lpack --help"),
    ],
)
def test_wrong_words_get_an_answer(plain: Place, words: tuple[str, ...], said: str) -> None:
    done = subprocess.run(
        [*_words(plain), *words],
        cwd=plain.folder,
        env=plain.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_no_such_tag(plain: Place) -> None:
    assert "base" in plain.refused("checkout", "bas", status=1)
