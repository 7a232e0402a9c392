"""The keys that change an image's config: `entrypoint`, `env`, `labels`, …"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

from genoci.spec import names
from genoci.spec.keys import TARGET
from genoci.spec.nodes import Entry, Mapping, Node, Scalar, Sequence, describe, is_null
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import ConfigChange
from genoci.spec.values import item_text, items, text, words, wrong_kind
from genoci.spec.wording import did_you_mean, quoted

_PORT = re.compile(r"([0-9]{1,5})(/(?:tcp|udp|sctp))?")
_REAL_TIME = re.compile(r"SIGRTM(?:IN(?:\+(?:[1-9]|[12][0-9]|30))?|AX(?:-(?:[1-9]|[12][0-9]|30))?)")
_SIGNALS = tuple(s.name for s in signal.Signals if not s.name.startswith("SIGRT"))
_LAST_SIGNAL = 64

Values = dict[str, str | None]


def read_config(given: dict[str, Node], problems: Problems) -> ConfigChange:
    """What those of a target's keys say that belong to the config."""
    values: dict[str, Any] = {}
    for key, reader in _READERS.items():
        if key in given:
            with problems.collected():
                values[key] = reader(given[key], key)
    for key in ("labels", "env"):
        if key in given:
            values[key] = _pairs(given[key], key, problems)
    if "annotations" in given:
        annotations, env = _annotations(given["annotations"], problems)
        values["annotations"] = annotations
        values["env"] = env | values.get("env", {})
    return ConfigChange(**values)


def _arguments(node: Node, key: str) -> tuple[str, ...]:
    if isinstance(node, Sequence):
        return tuple(item_text(item, key, example=TARGET[key]).text for item in node.items)
    if is_null(node):
        raise Mistake(node.place, f"`{key}` has no value", f"`{key}: []` clears the base's")
    if not isinstance(node, Scalar):
        raise wrong_kind(node, key, "text or a list", TARGET[key])
    split = words(node, key)
    if not split:
        raise Mistake(node.place, f"`{key}` is empty", f"`{key}: []` clears the base's")
    return tuple(split)


def _workdir(node: Node, key: str) -> str:
    scalar = text(node, key, example=TARGET[key])
    if not scalar.text.startswith("/"):
        what = f"`{key}` must be a whole path, not {quoted(scalar.text)}"
        raise Mistake(scalar.place, what, f"write `{key}: {_absolute(scalar.text)}`")
    return scalar.text


def _absolute(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".", "..", "~")]
    return "/" + "/".join(parts) if path.isprintable() and len(path) < 60 else "/…"


def _user(node: Node, key: str) -> str:
    return names.user(text(node, key, example=TARGET[key]), key)


def _platform(node: Node, key: str) -> str:
    return names.platform(text(node, key, example=TARGET[key]))


def _stopsignal(node: Node, key: str) -> str:
    scalar = text(node, key, example=TARGET[key])
    name = scalar.text
    number = scalar.integer if name.isascii() and name.isdigit() else None
    if name in _SIGNALS or _REAL_TIME.fullmatch(name):
        return name
    if number is not None and 0 < number <= _LAST_SIGNAL:
        return name
    whole = f"SIG{name.upper().removeprefix('SIG')}"
    mend = did_you_mean(whole, _SIGNALS, otherwise=f"for example: `{TARGET[key]}`")
    raise Mistake(scalar.place, f"there is no signal {quoted(name)}", mend)


def _volumes(node: Node, key: str) -> tuple[str, ...]:
    return tuple(_volume(item, key) for item in _items(node, key, "/data: {}"))


def _items(node: Node, key: str, compose: str) -> tuple[Node, ...]:
    """The items of a list that an image's config, and a compose file, would have as a mapping."""
    if is_null(node):
        raise Mistake(node.place, f"`{key}` has no value", f"`{key}: []` clears the base's")
    if isinstance(node, Mapping):
        mend = f"write `{TARGET[key]}` instead of `{{{compose}}}`"
        raise Mistake(node.place, f"`{key}` must be a list, not a mapping", mend)
    return items(node, key)


def _volume(node: Node, key: str) -> str:
    path = item_text(node, key, example=TARGET[key])
    if ":" in path.text:
        raise Mistake(
            path.place,
            f"{quoted(path.text)} names a place outside the image",
            "an image only says where its volumes are; what is mounted there, its user says",
        )
    parts = path.text.split("/")
    if not path.text.startswith("/") or ".." in parts or not any(parts):
        what = f"a volume must be a whole path below `/`, not {quoted(path.text)}"
        raise Mistake(path.place, what, f"for example: `{TARGET[key]}`")
    return path.text


def _expose(node: Node, key: str) -> tuple[str, ...]:
    return tuple(_port(item, key) for item in _items(node, key, "80/tcp: {}"))


def _port(node: Node, key: str) -> str:
    port = item_text(node, key, example=TARGET[key])
    if ":" in port.text:
        inner = port.text.rpartition(":")[2]
        raise Mistake(
            port.place,
            f"{quoted(port.text)} names a port outside the image",
            f"an image only says on which port it listens: {quoted(inner)}",
        )
    found = _PORT.fullmatch(port.text)
    if found is None or not 0 < int(found[1]) < 1 << 16:
        what = f"a port must be a number from 1 to 65535, not {quoted(port.text)}"
        raise Mistake(port.place, what, f"for example: `{TARGET[key]}`")
    return port.text


def _pairs(node: Node, key: str, problems: Problems) -> Values:
    """A mapping of names to values, where null deletes; `env` may be a list of `K=V` too."""
    values: Values = {}
    if isinstance(node, Mapping):
        for entry in node.entries:
            with problems.collected():
                values[_checked_name(entry.key, entry.key.text, key)] = _value(entry, key)
    elif isinstance(node, Sequence) and key == "env":
        for item in node.items:
            with problems.collected():
                name, value = _assignment(item)
                values[name] = value
    else:
        with problems.collected():
            raise wrong_kind(node, key, "a mapping", TARGET[key])
    return values


def _value(entry: Entry, key: str) -> str | None:
    if is_null(entry.value):
        return None
    if isinstance(entry.value, Scalar):
        return entry.value.text  # as it was written: `A: 010` is "010", `A: yes` is "yes"
    name = f"{key}: {entry.key.text}"
    raise Mistake(entry.value.place, f"{quoted(name)} must be text, not {describe(entry.value)}")


def _checked_name(by: Scalar, name: str, key: str) -> str:
    if not name.strip():
        raise Mistake(by.place, f"a name in `{key}` is empty")
    if key == "env" and ("=" in name or any(c.isspace() for c in name)):
        raise Mistake(
            by.place,
            f"a variable can't have the name {quoted(name)}",
            f"for example: `{TARGET['env']}` or `env: [LANG=C.UTF-8]`",
        )
    return name


def _assignment(node: Node) -> tuple[str, str]:
    """An item `K=V` of a list."""
    mend = "write `NAME=VALUE`, or a mapping: `env: {NAME: VALUE}`"
    if not isinstance(node, Scalar):
        raise Mistake(node.place, f"an item of `env` must be text, not {describe(node)}", mend)
    name, equals, value = node.text.partition("=")
    if not equals:
        raise Mistake(node.place, f"{quoted(node.text)} is no `NAME=VALUE`", mend)
    return _checked_name(node, name, "env"), value


def _annotations(node: Node, problems: Problems) -> tuple[Values, Values]:
    """The annotations, and the environment that the form of 2017 sets: `[{env: K=V}]`."""
    if not isinstance(node, Sequence):
        return _pairs(node, "annotations", problems), {}
    env: Values = {}
    for item in node.items:
        with problems.collected():
            if not isinstance(item, Mapping) or [e.key.text for e in item.entries] != ["env"]:
                raise wrong_kind(node, "annotations", "a mapping", TARGET["annotations"])
            name, value = _assignment(item.entries[0].value)
            env[name] = value
            problems.warnings.append(
                f"{item.place}: `annotations: [{{env: …}}]` is the form of 2017;"
                f" write `env: {{{name}: …}}`"
            )
    return {}, env


_READERS: dict[str, Callable[[Node, str], object]] = {
    "entrypoint": _arguments,
    "cmd": _arguments,
    "workdir": _workdir,
    "user": _user,
    "stopsignal": _stopsignal,
    "volumes": _volumes,
    "expose": _expose,
    "platform": _platform,
}
