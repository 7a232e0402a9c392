"""A YAML file to a Spec: targets, with everything checked that can be checked before a build."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from genoci.spec import names
from genoci.spec.cache import read_cache
from genoci.spec.config import read_config
from genoci.spec.copy import read_copy
from genoci.spec.expand import read_expand
from genoci.spec.hook import read_hook
from genoci.spec.host import UNSEEN, Folder, Looks
from genoci.spec.install import read_install
from genoci.spec.keys import STEPS, TARGET, means, unknown
from genoci.spec.link import Tags, check_circles, check_references
from genoci.spec.nodes import Entry, Mapping, Node, Sequence, describe, is_null
from genoci.spec.problems import Mistake, Problems
from genoci.spec.run import read_run
from genoci.spec.source import read_text
from genoci.spec.target import Hook, Place, Spec, Step, Target
from genoci.spec.values import fields, integer, text, wrong_kind
from genoci.spec.wording import quoted

_SMALLEST = "for example: `hello: {base: empty, copy: hello.txt /}`"
_MOST_KEPT = 1_000_000
_Reader = Callable[[Node, Folder, Problems], Iterable[Step]]
_READERS: dict[str, _Reader] = {
    "expand": read_expand,
    "copy": read_copy,
    "install": read_install,
    "run": read_run,
}


def read(path: Path, *, tags: Tags, looks: Looks = UNSEEN) -> Spec:
    """The targets of the YAML file `path`; host files that it names are looked up, not opened.

    `tags`, the layout's (or a function that gives them), are for a `base` or `from` that is no
    target. `looks` are told all of the host that this depends on. Raises one SpecError that tells
    every mistake, the first place first; its place is the file alone if that can't be read at all.
    """
    problems = Problems()
    looks.path(os.path.abspath(path))
    file = os.fsencode(path).decode(errors="backslashreplace")
    root = _root(path, file, problems)
    keep = _settings(root, problems)
    folder = Folder(os.path.dirname(os.path.abspath(path)), looks)
    targets = _targets(root, folder, problems)
    check_references(targets, [entry.key.text for entry in root.entries], tags, problems)
    check_circles(targets, problems)
    problems.check()
    return Spec(file, tuple(targets), keep, tuple(problems.warnings))


def _root(path: Path, file: str, problems: Problems) -> Mapping:
    from genoci.spec.yaml import parse  # PyYAML takes longer to load than all else here

    try:
        root = parse(read_text(path, file), file, problems)
        if root is None or is_null(root):
            raise Mistake(Place(file, 1, 1), "the file is empty", _SMALLEST)
        if not isinstance(root, Mapping):
            what = f"the file must be a mapping of targets, not {describe(root)}"
            raise Mistake(root.place, what, _SMALLEST)
        return root
    except Mistake as mistake:
        problems.add(mistake)
        problems.check()
        raise


def _settings(root: Mapping, problems: Problems) -> int | None:
    """What `genoci:` says."""
    for entry in root.entries:
        if entry.key.text != "genoci":
            continue
        with problems.collected():
            if not isinstance(entry.value, Mapping):
                raise wrong_kind(entry.value, "genoci", "a mapping", "genoci: {keep: 5}")
            if any(field.key.text == "base" for field in entry.value.entries):
                raise Mistake(
                    entry.key.place,
                    "`genoci` can't be the name of a target",
                    "under this key are the settings of the file: `genoci: {keep: 5}`",
                )
            given = fields(entry.value, ("keep",), problems)
            if "keep" in given:
                return integer(given["keep"], "keep", least=1, most=_MOST_KEPT)
    return None


def _targets(root: Mapping, folder: Folder, problems: Problems) -> list[Target]:
    entries = [
        entry
        for entry in root.entries
        if entry.key.text != "genoci" and not entry.key.text.startswith("x-")
    ]
    if not entries:
        problems.add(Mistake(root.place, "the file has no target", _SMALLEST))
    if stray := _stray(entries):
        problems.add(
            Mistake(
                stray.key.place,
                f"`{stray.key.text}` stands where the names of targets stand",
                "a target's keys stand below its name, indented: `NAME: {base: …}`",
            )
        )
        entries = [entry for entry in entries if entry.key.text not in TARGET]
    targets: list[Target] = []
    for entry in entries:
        with problems.collected():
            targets.append(_target(entry, folder, problems))
    return targets


def _stray(entries: list[Entry]) -> Entry | None:
    """A target's key without the target around it."""
    strays = (e for e in entries if e.key.text in TARGET and not isinstance(e.value, Mapping))
    return next(strays, None)


def _target(entry: Entry, folder: Folder, problems: Problems) -> Target:
    name, node = entry.key, entry.value
    with problems.collected():
        names.check_target(name)
    if not isinstance(node, Mapping):
        is_ = "is empty" if is_null(node) else f"must be a mapping, not {describe(node)}"
        mend = "it needs a `base`, and at least one other key"
        raise Mistake(name.place, f"target {quoted(name.text)} {is_}", mend)
    given = fields(node, TARGET, problems)
    base, base_place = names.EMPTY, name.place
    with problems.collected():
        base, base_place = _base(entry, node, given)
    steps = _steps(node, given, folder, problems)
    config = read_config(given, problems)
    pre = _hooks(given, "pre", folder, problems)
    post = _hooks(given, "post", folder, problems)
    max_age = None
    if "cache" in given:
        with problems.collected():
            max_age = read_cache(given["cache"])
    return Target(name.text, base, tuple(steps), config, name.place, base_place, pre, post, max_age)


def _base(entry: Entry, node: Mapping, given: dict[str, Node]) -> tuple[str, Place]:
    name = entry.key
    if "base" in given:
        if len(node.entries) == 1:
            raise Mistake(
                name.place,
                f"target {quoted(name.text)} has nothing but a `base`",
                "add `expand`, `copy`, `install`, `run` or another key; "
                "`genoci tag` gives one more name",
            )
        base = text(given["base"], "base", example=TARGET["base"])
        return base.text, base.place
    if not any(means(other.key, "base") for other in node.entries):
        raise Mistake(
            name.place,
            f"target {quoted(name.text)} has no `base`",
            "`base: empty` starts from nothing; else name a target, or a tag in the layout",
        )
    return names.EMPTY, name.place  # an unknown key was meant, and is told


def _hooks(
    given: dict[str, Node], key: str, folder: Folder, problems: Problems
) -> tuple[Hook, ...]:
    with problems.collected():
        return tuple(read_hook(given[key], key, folder, problems)) if key in given else ()
    return ()


def _steps(node: Mapping, given: dict[str, Node], folder: Folder, problems: Problems) -> list[Step]:
    """In the order of `steps`, or else that of `_READERS`, whatever the file's order."""
    steps: list[Step] = []
    for name, reader in _READERS.items():
        if name in given:
            with problems.collected():
                steps += reader(given[name], folder, problems)
    if "steps" not in given:
        return steps
    for entry in node.entries:
        if entry.key.text in STEPS:
            what = f"`{entry.key.text}` can't stand beside `steps`"
            problems.add(
                Mistake(entry.key.place, what, f"move it into `steps`: `- {entry.key.text}: …`")
            )
    with problems.collected():
        for item in _listed_steps(given["steps"]):
            with problems.collected():
                steps += _one_step(item, folder, problems)
    return steps


def _listed_steps(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, Sequence):
        raise wrong_kind(node, "steps", "a list", TARGET["steps"])
    if not node.items:
        raise Mistake(node.place, "`steps` is an empty list", f"for example: `{TARGET['steps']}`")
    return node.items


def _one_step(item: Node, folder: Folder, problems: Problems) -> list[Step]:
    if not isinstance(item, Mapping):
        what = f"a step must be a mapping with one key, not {describe(item)}"
        raise Mistake(item.place, what, f"for example: `- {STEPS['run']}`")
    if len(item.entries) != 1:
        what = f"a step must have one key, and this one has {len(item.entries)}"
        raise Mistake(item.place, what, "begin each step with a `- ` of its own")
    entry = item.entries[0]
    if entry.key.text not in STEPS:
        raise unknown(entry.key, STEPS)
    return list(_READERS[entry.key.text](entry.value, folder, problems))
