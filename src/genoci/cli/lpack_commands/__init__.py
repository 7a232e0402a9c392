"""The commands of `lpack`: a table that costs nothing to read, and one small file for each."""

from __future__ import annotations

from genoci.cli.program import Entry

PURPOSE = "Changes one image by hand: out with checkout, in again as a new layer with checkin."
SHORT: tuple[tuple[str, str], ...] = ()
TABLE = {
    "setup": Entry("[--size SIZE]", "make the filesystem ready that checkouts lie on"),
    "unsetup": Entry("[-f]", "unmount and destroy what setup made"),
    "unpack": Entry("", "expand every layer of the layout that is not expanded yet"),
    "checkout": Entry("TAG", "have the root filesystem of an image, to change it (co)"),
    "checkin": Entry("[NEWTAG] [--keep]", "make of what was changed a layer and a tag (ci)"),
    "abort": Entry("[-f]", "throw the checkout away"),
    "status": Entry("", "show which tag is out, and what has changed since"),
    "ls": Entry("", "list the tags, and whether they are unpacked"),
    "chroot": Entry("[CMD…]", "open a shell in the checkout, confined as `run` is"),
    "unshare": Entry("[CMD…]", "run a command of this machine that sees the checkout"),
}
ALIASES = {"co": "checkout", "ci": "checkin"}
FOLLOWED = ("chroot", "unshare")


def answer(word: str) -> str:
    from genoci.cli.words import of_lpack

    return of_lpack(word)


def otherwise(word: str) -> str:
    from genoci.cli import commands

    return f"genoci has it: genoci {word}" if word in commands.TABLE else ""
