"""`genoci config`: an image's config changed, by options named as the YAML keys."""

from __future__ import annotations

import argparse
from typing import Any

from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.errors import LayoutError, SpecError, UsageError
from genoci.oci.layout import Layout
from genoci.spec.config import read_config
from genoci.spec.nodes import Entry, Mapping, Node, Scalar, Sequence
from genoci.spec.problems import Problems
from genoci.spec.target import Place

EXAMPLES = """
genoci config app --env LANG=C.UTF-8 --env DEBUG-     set one variable, delete another
genoci config app --entrypoint '/bin/echo "hello world"' --cmd '[]'
genoci config app --entrypoint '[/bin/echo, hello world]'
genoci config app --label version=2 --expose 80/tcp --volume /data --user nobody
"""
# Each option: its key in the YAML, and an example for whoever got it wrong.
_PAIRS = {"--env": "env", "--label": "labels", "--annotation": "annotations"}
_LISTS = {"--volume": "volumes", "--expose": "expose"}
_COMMANDS = {"--entrypoint": "entrypoint", "--cmd": "cmd"}
_WORDS = {
    "--workdir": "workdir",
    "--user": "user",
    "--stopsignal": "stopsignal",
    "--platform": "platform",
}
_OPTION = {key: option for option, key in (_PAIRS | _LISTS | _COMMANDS | _WORDS).items()}
_MENDS = {
    "env": "for example: --env LANG=C.UTF-8, or to delete it: --env LANG-",
    "labels": "for example: --label version=2, or to delete it: --label version-",
    "annotations": "for example: --annotation a.b=c, or to delete it: --annotation a.b-",
    "volumes": "for example: --volume /data; none at all: --volume '[]'",
    "expose": "for example: --expose 80/tcp; none at all: --expose '[]'",
    "entrypoint": "for example: --entrypoint '/bin/echo hello'; none: --entrypoint '[]'",
    "cmd": "for example: --cmd 'hello world'; none: --cmd '[]'",
    "workdir": "for example: --workdir /srv",
    "user": "for example: --user nobody, --user 1000:1000",
    "stopsignal": "for example: --stopsignal SIGTERM",
    "platform": "for example: --platform linux/arm64",
}


def arguments(parser: Parser) -> None:
    parser.add_argument("tag", metavar="TAG", help="moves to the changed image")
    add = parser.add_argument_group("what to change, as the YAML keys do").add_argument
    for option, key in _PAIRS.items():
        names = dict.fromkeys((option, f"--{key}"))
        what = "set; NAME- deletes; may come several times"
        add(*names, dest=key, metavar="NAME=VALUE", action="append", help=what)
    for option, key in _COMMANDS.items():
        what = "split as a shell would, or a list: '[a, b]'; '[]' clears"
        add(option, dest=key, metavar="COMMAND", help=what)
    for option, key in _LISTS.items():
        names = dict.fromkeys((option, f"--{key}"))
        what = "replaces what was there; may come several times; '[]' clears"
        add(*names, dest=key, metavar="ITEM", action="append", help=what)
    for option, key in _WORDS.items():
        add(option, dest=key, metavar=key.upper())
    parser.add_json()


def run(options: argparse.Namespace, session: Session) -> int:
    change = _change(options)
    if not change:
        raise UsageError(
            "nothing is to be changed",
            mend=f"For example: genoci config {options.tag} --env LANG=C.UTF-8; "
            "all that can be: genoci config --help",
        )
    epoch = session.settings.epoch
    layout = Layout.at(session.settings.layout)
    # Reading, changing and tagging are one, so that of two changes at once none is lost.
    with layout.holding(shared=True), layout.editing_index() as index:
        before = layout.resolve_descriptor(options.tag)
        if index.tags().get(options.tag) != before:
            raise LayoutError(
                f"{options.tag!r} is an image for several platforms; one is needed to change it",
                mend="skopeo copy takes one out of it.",
            )
        image = layout.image(before.digest).configure(
            created=None if epoch is None else epoch * 10**9,
            created_by="genoci: config",
            **change,
        )
        descriptor = layout.write_image(image)
        layout.write_index(index.with_tags({options.tag: descriptor}))
    if options.json:
        session.results.document({"tag": options.tag, "digest": str(descriptor.digest)})
    else:
        session.results.line(f"{options.tag} {descriptor.digest}")
    return 0


def _change(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say, checked by the same rules as the YAML keys."""
    nodes: dict[str, Node] = {}
    for key in _PAIRS.values():
        if getattr(options, key):
            nodes[key] = _pairs(key, getattr(options, key))
    for key in _LISTS.values():
        if getattr(options, key):
            nodes[key] = _listed(key, getattr(options, key))
    for key in (*_COMMANDS.values(), *_WORDS.values()):
        if getattr(options, key) is not None:
            nodes[key] = _value(key, getattr(options, key))
    problems = Problems()
    try:
        change = read_config(nodes, problems)
        problems.check()
    except SpecError as error:
        raise _as_an_option(error) from error
    return change.given()


def _pairs(key: str, words: list[str]) -> Mapping:
    place = _place(key)
    pairs: dict[str, Scalar] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            pairs[name] = Scalar(value, False, place)
        elif name.endswith("-") and len(name) > 1:
            pairs[name[:-1]] = Scalar("", True, place)  # YAML's null
        else:
            raise UsageError(
                f"{word!r} is no NAME=VALUE", where=_OPTION[key], mend=_capital(_MENDS[key])
            )
    entries = (Entry(Scalar(name, False, place), value) for name, value in pairs.items())
    return Mapping(tuple(entries), place)


def _listed(key: str, words: list[str]) -> Node:
    if len(words) == 1:
        return _value(key, words[0])
    return Sequence(tuple(Scalar(word, False, _place(key)) for word in words), _place(key))


def _value(key: str, word: str) -> Node:
    """Text as it is; a list only where brackets say so."""
    if not word.startswith("[") or key in _WORDS.values():
        return Scalar(word, key == "stopsignal", _place(key))  # which may be a number
    from genoci.spec.yaml import parse

    problems = Problems()
    try:
        node = parse(word, _OPTION[key], problems)
        problems.check()
    except SpecError as error:
        raise _as_an_option(error) from error
    return node if isinstance(node, Sequence) else Scalar(word, False, _place(key))


def _place(key: str) -> Place:
    return Place(_OPTION[key], 1, 1)


def _as_an_option(error: SpecError) -> UsageError:
    """The YAML reader's error, in the words of the command line."""
    option = error.where.partition(":")[0]
    key = next(key for key, name in _OPTION.items() if name == option)
    mend = error.mend if error.mend and f"{key}:" not in error.mend else _MENDS[key]
    return UsageError(error.what, where=option, mend=_capital(mend))


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
