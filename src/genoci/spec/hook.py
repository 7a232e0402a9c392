"""The keys `pre` and `post`: hooks, which run on the host."""

from __future__ import annotations

from genoci.spec.host import Folder
from genoci.spec.keys import TARGET
from genoci.spec.nodes import Mapping, Node
from genoci.spec.problems import Mistake, Problems
from genoci.spec.run import chosen, script_or_shell
from genoci.spec.target import Hook
from genoci.spec.values import fields, item_text, some_items, text

_FIELDS = ("script", "shell")
_OF_RUN = {
    "user": "a hook runs on the host, with your own rights; `run` can have a `user`",
    "network": "a hook runs on the host, with its network; `run` can do without",
}


def read_hook(node: Node, key: str, folder: Folder, problems: Problems) -> list[Hook]:
    """The processes that `key`, which is `pre` or `post`, stands for: one for each item."""
    hooks: list[Hook] = []
    for item in some_items(node, key, example=TARGET[key]):
        with problems.collected():
            if isinstance(item, Mapping):
                hooks.append(_mapping(item, key, folder, problems))
            else:
                scalar = text(item_text(item, key, example=TARGET[key]), key, example=TARGET[key])
                script, shell = script_or_shell(scalar, folder)
                hooks.append(Hook(scalar.place, script=script, shell=shell))
    return hooks


def _mapping(node: Mapping, key: str, folder: Folder, problems: Problems) -> Hook:
    own = [entry for entry in node.entries if entry.key.text not in _OF_RUN]
    for entry in node.entries:
        if entry not in own:
            what = f"`{entry.key.text}` does not belong in `{key}`"
            problems.add(Mistake(entry.key.place, what, _OF_RUN[entry.key.text]))
    given = fields(Mapping(tuple(own), node.place), _FIELDS, problems)
    script, shell = chosen(given, node, key, folder, problems)
    return Hook(node.place, script=script, shell=shell)
