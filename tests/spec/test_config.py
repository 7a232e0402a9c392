"""The keys that change an image's config."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genoci.spec.target import Target

Keys = Callable[[str], Target]


@pytest.mark.parametrize("key", ["entrypoint", "cmd"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/bin/sh", ("/bin/sh",)),
        ('/bin/echo "hello world" it\\\'s', ("/bin/echo", "hello world", "it's")),
        ("'echo # $HOME *'", ("echo", "#", "$HOME", "*")),
        ("[/bin/sh, -c, echo a  b]", ("/bin/sh", "-c", "echo a  b")),
        ("[sleep, 010, true, 1.50, '']", ("sleep", "010", "true", "1.50", "")),
        ("5", ("5",)),
        ("[]", ()),
    ],
)
def test_arguments(target: Keys, key: str, value: str, expected: tuple[str, ...]) -> None:
    assert target(f"{key}: {value}").config.given() == {key: expected}


@pytest.mark.parametrize("key", ["env", "labels", "annotations"])
def test_values_are_kept_as_they_are_written(target: Keys, key: str) -> None:
    found = target(f"{key}: {{A: 010, B: yes, C: 1.0, D: True, E: 0x1F, F: a b, G: '', h.i-j: k}}")
    assert found.config.given() == {
        key: {
            **{"A": "010", "B": "yes", "C": "1.0", "D": "True", "E": "0x1F", "F": "a b", "G": ""},
            "h.i-j": "k",
        }
    }


@pytest.mark.parametrize("null", ["", "~", "null"])
@pytest.mark.parametrize("key", ["env", "labels", "annotations"])
def test_null_deletes(target: Keys, key: str, null: str) -> None:
    assert target(f"{key}: {{A: {null}}}").config.given() == {key: {"A": None}}


def test_names_may_look_like_numbers(target: Keys) -> None:
    assert target("labels: {1: a, true: b, null: c}").config.labels == {
        "1": "a",
        "true": "b",
        "null": "c",
    }


def test_env_may_be_a_list_whose_last_item_wins(target: Keys) -> None:
    found = target("env: [A=1, 'B=c d=e', C=, A=2]")
    assert found.config.given() == {"env": {"A": "2", "B": "c d=e", "C": ""}}


def test_an_empty_mapping_changes_nothing(target: Keys) -> None:
    assert target("env: {}").config.given() == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("workdir", "/"),
        ("workdir", "/srv/a b"),
        *(("user", value) for value in ("nobody", "0", "1000:1000", "www-data:33")),
        *(("stopsignal", v) for v in ("SIGTERM", "SIGKILL", "9", "64", "SIGRTMIN", "SIGRTMAX")),
        *(("stopsignal", value) for value in ("SIGRTMIN+3", "SIGRTMAX-14")),
        *(("platform", value) for value in ("linux/386", "linux/amd64", "linux/arm64/v8")),
        *(("platform", value) for value in ("linux/arm/v7", "linux/s390x", "freebsd/arm64")),
    ],
)
def test_texts(target: Keys, key: str, value: str) -> None:
    assert target(f"{key}: {value}").config.given() == {key: value}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("volumes", "/data", ("/data",)),
        ("volumes", "[/data, /var/lib/x y]", ("/data", "/var/lib/x y")),
        ("volumes", "[]", ()),
        ("expose", "80", ("80",)),
        ("expose", "[80, 443/tcp, 53/udp, 9899/sctp, 65535]", None),
        ("expose", "[]", ()),
    ],
)
def test_lists(target: Keys, key: str, value: str, expected: tuple[str, ...] | None) -> None:
    if expected is None:
        expected = ("80", "443/tcp", "53/udp", "9899/sctp", "65535")
    assert target(f"{key}: {value}").config.given() == {key: expected}


@pytest.mark.parametrize("signal", ["SIGRTMIN+0", "SIGRTMIN+31", "SIGFOO", "0", "65", "0x9", "٣"])
def test_other_signals_are_errors(target: Keys, signal: str) -> None:
    with pytest.raises(Exception, match="there is no signal"):
        target(f"stopsignal: {signal}")


@pytest.mark.parametrize("port", ["0", "65536", "80/xyz", "8000-8010", "-1", "0x50", "1.5", "''"])
def test_other_ports_are_errors(target: Keys, port: str) -> None:
    with pytest.raises(Exception, match="a port must be a number from 1 to 65535"):
        target(f"expose: {port}")
