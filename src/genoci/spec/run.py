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
    script, shell = script_or_shell(scalar, folder)
    implicit = scalar.text.strip() if script is not None else None
    return Run(scalar.place, script=script, shell=shell, implicit=implicit)


def script_or_shell(scalar: Scalar, folder: Folder) -> tuple[str | None, str | None]:
    """A script's absolute path, if the text is one line that names a file; else shell text."""
    line = scalar.text.strip()
    if "\n" not in line and folder.is_file(line):
        return folder.file(line, scalar), None
    return None, scalar.text


def _mapping(node: Mapping, folder: Folder, problems: Problems) -> Run:
    given = fields(node, _FIELDS, problems)
    script, shell = chosen(given, node, "run", folder, problems)
    user, network = None, True
    if "user" in given:
        with problems.collected():
            user = names.user(text(given["user"], "user", example="user: nobody"), "user")
    if "network" in given:
        with problems.collected():
            network = _network(given["network"])
    return Run(node.place, script=script, shell=shell, user=user, network=network)


def chosen(
    given: dict[str, Node], node: Mapping, key: str, folder: Folder, problems: Problems
) -> tuple[str | None, str | None]:
    """The script's absolute path, or the shell text, of a mapping that says which of them it is."""
    if ("script" in given) == ("shell" in given):
        have = "both `script` and `shell`" if "script" in given else "neither `script` nor `shell`"
        mend = "`{script: PATH}` is a file of the host, `{shell: TEXT}` is text for /bin/sh"
        raise Mistake(node.place, f"`{key}` has {have}", mend)
    script, shell = None, None
    if "script" in given:
        with problems.collected():
            path = text(given["script"], "script", example="script: ./setup.sh")
            script = folder.file(path.text, path)
    else:
        with problems.collected():
            shell = text(given["shell"], "shell", example="shell: echo hello").text
    return script, shell


def _network(node: Node) -> bool:
    if isinstance(node, Scalar) and node.text == "none" and not is_null(node):
        return False
    raise Mistake(
        node.place,
        "the only `network` to choose is `none`",
        "without the key, a command has the host's network",
    )
