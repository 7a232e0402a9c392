"""Strict YAML 1.2: a parser's events to nodes, without recursion and within limits.

Scalars keep the text that was written; what it means is asked later, by the core schema (nodes).
PyYAML's composer is not used: in C it recurses, so that `[[[[…` could end the process.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from genoci.spec.nodes import Entry, Mapping, Node, Scalar, Sequence
from genoci.spec.problems import Mistake, Problems
from genoci.spec.syntax import DEEPEST, explained, too_deep
from genoci.spec.target import Place
from genoci.spec.wording import did_you_mean, quoted

PURE = yaml.SafeLoader
FASTEST: Any = getattr(yaml, "CSafeLoader", PURE)

_MOST_NODES = 200_000
_NODE_LENGTH = 100  # characters of a text that count as one more node
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_STRING = "tag:yaml.org,2002:str"
_SEQUENCE = "tag:yaml.org,2002:seq"
_MAPPING = "tag:yaml.org,2002:map"


def parse(text: str, file: str, problems: Problems, *, loader: Any = FASTEST) -> Node | None:
    """The one document in `text`, its aliases and merges resolved; None: there is none.

    Duplicate keys go to `problems`; a mistake after which nothing else can be trusted is raised.
    """
    builder = _Builder(file, problems)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.feed(event)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise explained(error, text, file) from error
    return builder.root


class _Open(msgspec.Struct):
    """A sequence or mapping whose end has not come yet; children alternate key and value."""

    place: Place
    anchor: str | None
    is_mapping: bool
    nodes_before: int
    children: list[Node] = []


class _Builder:
    """Feed it a parser's events; `root` is the document when they have come to their end."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.root: Node | None = None
        self._file = file
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node | None, int]] = {}
        self._documents = 0
        self._nodes = 0

    def feed(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._end()
            case yaml.DocumentStartEvent():
                self._document(event)

    def _place(self, event: yaml.Event) -> Place:
        mark: Any = event.start_mark  # never None: both parsers mark every event
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            raise Mistake(
                self._place(event),
                "a second document begins here",
                "genoci reads one document; delete the line `---`",
            )
        if event.version is not None and tuple(event.version) != (1, 2):
            version = ".".join(map(str, event.version))
            raise Mistake(
                self._place(event),
                f"the file says that it is YAML {version}; genoci reads YAML 1.2",
                "delete the line `%YAML …`",
            )

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        place = self._place(event)
        tag = _checked_tag(event.tag, place, allowed=_STRING)
        if found := _UNUSABLE.search(event.value):
            name = f"U+{ord(found[0]):04X}"
            raise Mistake(place, f"{name} can't be in a path, a command or a name")
        plain = not event.style and tag is None
        nodes = 1 + len(event.value) // _NODE_LENGTH
        self._count(nodes, place)
        self._add(Scalar(event.value, plain, place), event.anchor, nodes=nodes)

    def _alias(self, event: yaml.AliasEvent) -> None:
        place, name = self._place(event), event.anchor or ""
        if name not in self._anchors:
            raise Mistake(
                place,
                f"there is no anchor {quoted('&' + name)} above",
                did_you_mean(
                    f"*{name}",
                    [f"*{anchor}" for anchor in self._anchors],
                    otherwise="quote the value if it is just text that begins with `*`",
                ),
            )
        node, nodes = self._anchors[name]
        if node is None:
            raise Mistake(place, f"{quoted('*' + name)} stands within its own anchor")
        self._count(nodes, place)
        self._add(node, None, nodes=nodes)

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent) -> None:
        place = self._place(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        _checked_tag(event.tag, place, allowed=_MAPPING if is_mapping else _SEQUENCE)
        if len(self._open) >= DEEPEST:
            raise too_deep(place)
        if event.anchor is not None:
            self._anchors[event.anchor] = (None, 0)
        self._open.append(_Open(place, event.anchor, is_mapping, self._nodes))
        self._count(1, place)

    def _end(self) -> None:
        top = self._open.pop()
        if top.is_mapping:
            node: Node = Mapping(self._entries(top), top.place)
        else:
            node = Sequence(tuple(top.children), top.place)
        self._add(node, top.anchor, nodes=self._nodes - top.nodes_before)

    def _add(self, node: Node, anchor: str | None, *, nodes: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, nodes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node

    def _count(self, nodes: int, place: Place) -> None:
        """Count what there would be with every alias written out: 'a billion laughs' ends here."""
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            raise Mistake(
                place,
                "up to here the file is too large",
                f"with all aliases written out it may have {_MOST_NODES} values",
            )

    def _entries(self, top: _Open) -> tuple[Entry, ...]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in zip(top.children[::2], top.children[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise Mistake(key.place, "a key must be text", "quote it if it is: '{x}': y")
            if key.text in own:
                self._problems.add(_duplicate(key, own[key.text].key))
                continue
            own[key.text] = Entry(key, value)
            if key.text == "<<" and key.plain:
                merged = _merged(value)
        if merged or ("<<" in own and own["<<"].key.plain):
            del own["<<"]
        return tuple((merged | own).values())


def _checked_tag(tag: str | None, place: Place, *, allowed: str) -> str | None:
    if tag is None or tag in ("!", allowed):
        return tag
    shown = tag.replace("tag:yaml.org,2002:", "!!")
    mend = "delete it; a value in quotes is always text"
    raise Mistake(place, f"the tag {quoted(shown)} is not understood", mend)


def _duplicate(key: Scalar, first: Scalar) -> Mistake:
    what = f"the key {quoted(key.text)} is there twice"
    return Mistake(key.place, what, f"the first is on line {first.place.line}; keep one of them")


def _merged(value: Node) -> dict[str, Entry]:
    """What `<<` brings; of several mappings the first that has a key wins."""
    sources = value.items if isinstance(value, Sequence) else (value,)
    merged: dict[str, Entry] = {}
    for source in sources:
        if not isinstance(source, Mapping):
            raise Mistake(
                source.place,
                "`<<` takes a mapping, or a list of mappings",
                "for example: `<<: *common`, with `x-common: &common {…}` at the top",
            )
        for entry in source.entries:
            merged.setdefault(entry.key.text, entry)
    return merged
