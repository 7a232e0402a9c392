"""`lpack setup`: the filesystem that checkouts lie on, made ready."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.errors import UsageError
from genoci.settings import BTRFS, HERE, LOFILE

EXAMPLES = """
sudo lpack setup                  a btrfs in ./btrfs.img, mounted on ./btrfs; or as the config
                                  file says
sudo lpack setup --size 20G       of at most 20 GiB
"""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def arguments(parser: Parser) -> None:
    what = "how large the btrfs may grow, such as 20G; else half of what is free"
    parser.add_argument("--size", metavar="SIZE", type=_size, help=what)


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.lpack.setup import Site, set_up, use_existing

    settings, say = session.settings, session.messages.note
    if settings.config is None and settings.driver == "auto":
        settings = settings._replace(driver="btrfs", loopfile=LOFILE, btrfsmount=BTRFS)
    if settings.driver != "btrfs" or settings.btrfs is None:
        _make_directories(session)
        return 0
    if settings.lofile is None:
        use_existing(settings.btrfs.absolute(), say, session.messages.warning)
        return 0
    site = Site(
        lofile=settings.lofile.absolute(),
        mount=settings.btrfs.absolute(),
        config=(settings.config or Path(HERE)).absolute(),
        owner=_owner(),
        writes_config=settings.config is None,
    )
    set_up(site, size=options.size, say=say)
    return 0


def _make_directories(session: Session) -> None:
    from genoci.build import state

    state.make(session.settings.state)
    session.messages.note(
        f"the driver {session.settings.driver} needs nothing but {session.settings.state}, "
        "which is there"
    )


def _owner() -> tuple[int, int]:
    """For whom it is: who has called sudo, or the caller."""
    ids = [os.environ.get(name, "") for name in ("SUDO_UID", "SUDO_GID")]
    if os.geteuid() == 0 and all(re.fullmatch("[0-9]{1,9}", text) for text in ids):
        return int(ids[0]), int(ids[1])
    return os.geteuid(), os.getegid()


def _size(word: str) -> int:
    found = re.fullmatch("([0-9]{1,9})([KMGT]?)(iB|B)?", word, re.IGNORECASE)
    if not found:
        raise UsageError(f"--size can't be {word!r}", mend="A number with K, M, G or T: 20G")
    return int(found[1]) * _UNITS[found[2].upper()]
