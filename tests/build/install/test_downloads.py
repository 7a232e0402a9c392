"""A cache that a root's programs have written to is read without trust."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from genoci.build.install.downloads import Download, downloads, remove_others

DIGEST = hashlib.sha256(b"package").hexdigest()


def test_only_plain_files_count_and_no_link_is_followed(tmp_path: Path) -> None:
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    (cache / "repository").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "secret.rpm").write_bytes(b"package")
    (cache / "repository" / "a.rpm").write_bytes(b"package")
    (cache / "repository" / "a.xml").write_bytes(b"package")
    (cache / "linked.rpm").symlink_to(elsewhere / "secret.rpm")
    (cache / "linked").symlink_to(elsewhere)
    os.mkfifo(cache / "fifo.rpm")
    assert downloads(cache, ".rpm") == (Download("repository/a.rpm", DIGEST),)
    assert downloads(cache, ".rpm")[0].name == "a.rpm"


def test_what_is_not_wanted_is_removed_and_what_a_link_leads_to_is_not(tmp_path: Path) -> None:
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    cache.mkdir()
    elsewhere.mkdir()
    (elsewhere / "secret.rpm").write_bytes(b"other")
    (cache / "kept.rpm").write_bytes(b"package")
    (cache / "other.rpm").write_bytes(b"other")
    (cache / "linked.rpm").symlink_to(elsewhere / "secret.rpm")
    (cache / "linked").symlink_to(elsewhere)
    remove_others(cache, ".rpm", {DIGEST})
    assert sorted(path.name for path in cache.iterdir()) == ["kept.rpm", "linked"]
    assert (elsewhere / "secret.rpm").exists()
