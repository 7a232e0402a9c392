"""The key `run`: scripts of the host, and shell text."""

from __future__ import annotations

from genoci.spec import names
from genoci.spec.host import Folder
from genoci.spec.keys import STEPS
from genoci.spec.nodes import Mapping, Node, Scalar, is_null
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import Run
from genoci.spec.values import fields, item_text, some_items, text

_EXAMPLE = STEPS["run"]
_FIELDS = ("script", "shell", "user", "network")


def read_run(node: Node, folder: Folder, problems: Problems) -> list[Run]:
    """The steps that a `run` stands for: one for each item of a list."""
    steps: list[Run] = []
    for item in some_items(node, "run", example=_EXAMPLE):
        with problems.collected():
            if isinstance(item, Mapping):
                steps.append(_mapping(item, folder, problems))
            else:
                steps.append(_string(item, folder))
    return steps


def _string(node: Node, folder: Folder) -> Run:
    scalar = text(item_text(node, "run", example=_EXAMPLE), "run", example=_EXAMPLE)
    line = scalar.text.strip()
    if "\n" not in line and folder.is_file(line):
        return Run(scalar.place, script=folder.file(line, scalar), implicit=line)
    return Run(scalar.place, shell=scalar.text)


def _mapping(node: Mapping, folder: Folder, problems: Problems) -> Run:
    given = fields(node, _FIELDS, problems)
    if ("script" in given) == ("shell" in given):
        have = "both `script` and `shell`" if "script" in given else "neither `script` nor `shell`"
        mend = "`{script: PATH}` is a file of the host, `{shell: TEXT}` is text for /bin/sh"
        raise Mistake(node.place, f"`run` has {have}", mend)
    script, shell, user, network = None, None, None, True
    if "script" in given:
        with problems.collected():
            path = text(given["script"], "script", example="script: ./setup.sh")
            script = folder.file(path.text, path)
    else:
        with problems.collected():
            shell = text(given["shell"], "shell", example="shell: echo hello").text
    if "user" in given:
        with problems.collected():
            user = names.user(text(given["user"], "user", example="user: nobody"), "user")
    if "network" in given:
        with problems.collected():
            network = _network(given["network"])
    return Run(node.place, script=script, shell=shell, user=user, network=network)


def _network(node: Node) -> bool:
    if isinstance(node, Scalar) and node.text == "none" and not is_null(node):
        return False
    raise Mistake(
        node.place,
        "the only `network` to choose is `none`",
        "without the key, a command has the host's network",
    )
