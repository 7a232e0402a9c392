"""All cases, each with the filesystem that it works on."""

from __future__ import annotations

from collections.abc import Callable

from bench.case import Case, Place
from bench.cases import base, cached, large, many

CASES: dict[Callable[[Place], Case], str] = {
    base.cold_base: "ext4",
    base.first_run: "ext4",
    base.unpack: "ext4",
    cached.changed_line: "ext4",
    cached.nothing_changed: "ext4",
    cached.many_unchanged: "ext4",
    cached.many_tags: "ext4",
    many.made_by_run: "ext4",
    many.one_changed_overlay: "ext4",
    many.one_changed_btrfs: "btrfs",
    many.one_changed_copy: "ext4",
    large.two_heavy_targets: "ext4",
    large.eight_gigabytes: "ext4",
}
