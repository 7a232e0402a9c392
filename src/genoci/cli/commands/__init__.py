"""The commands: a table that costs nothing to read, and one small file for each of them.

Each file has `EXAMPLES`, lines for its `--help`; `arguments(parser)`, which adds what it
understands; and `run(options, session)`, which gives the exit status.
"""

from __future__ import annotations

from collections.abc import Mapping

from genoci.cli.program import Entry

PURPOSE = "Builds OCI images from a YAML file: no daemon, no root, no other image tool."
SHORT = (("genoci FILE.yaml [TARGET…]", "short for: genoci build -f FILE.yaml [TARGET…]"),)
TABLE = {
    "build": Entry("[-f FILE] [TARGET…]", "build the targets of a YAML file"),
    "plan": Entry("[-f FILE] [TARGET…]", "say what a build would do, and why"),
    "lock": Entry("[-f FILE] [TARGET…]", "pin what is installed by name in genoci.lock"),
    "ls": Entry("", "list the tags"),
    "inspect": Entry("TAG", "show manifest, config, layers and history"),
    "diff": Entry("TAG TAG", "show what changed in files and config"),
    "tag": Entry("TAG NEW", "give an image another tag"),
    "rm": Entry("TAG…", "remove tags"),
    "config": Entry("TAG --env K=V …", "change an image's config, as the YAML keys do"),
    "unpack": Entry("TAG DIR", "write the root filesystem into a new directory"),
    "export": Entry("TAG FILE.tar[.gz|.zst]", "write the root filesystem as one tarball"),
    "shell": Entry("TAG [-- CMD…]", "look around in a throw-away copy of an image"),
    "gc": Entry("[--keep N]", "delete what no tag reaches"),
    "fsck": Entry("", "check every byte of the layout"),
    "clean": Entry("", "delete the state; the layout stays"),
    "doctor": Entry("", "show what this machine can and cannot do, and the mend"),
}
ALIASES: Mapping[str, str] = {}
FOLLOWED: tuple[str, ...] = ()


def answer(word: str) -> str:
    from genoci.cli import words

    return words.answer(word)


def otherwise(word: str) -> str:
    return f"If it is a target: genoci build {word}; if it is a file: genoci ./{word}"
