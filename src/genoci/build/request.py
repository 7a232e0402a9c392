"""What a build is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from genoci.layer.compression import Compression
from genoci.snapshot.driver import Driver


class Request(NamedTuple):
    """What the user asks for; `epoch` is SOURCE_DATE_EPOCH in seconds.

    `jobs` targets may be built at once. `uncached` are targets that are built whatever was built
    before; without `use_cache` all are. `expect_cached`: that anything would be built is an error.
    `explain`: say why what is built is. Not `hooks`: a file whose wanted targets have any is
    refused.
    """

    file: Path
    layout: Path
    state: Path
    compression: Compression
    targets: tuple[str, ...] = ()
    driver: Driver = Driver()
    jobs: int = 1
    keep_going: bool = False
    dated_tags: bool = True
    hooks: bool = True
    epoch: int | None = None
    use_cache: bool = True
    uncached: tuple[str, ...] = ()
    expect_cached: bool = False
    explain: bool = False
