"""Strict YAML 1.2, with libyaml and with the parser for machines that lack it."""

from __future__ import annotations

from typing import Any

import pytest

from genoci.errors import SpecError
from genoci.spec.nodes import Mapping, Node, Scalar, Sequence
from genoci.spec.problems import Problems
from genoci.spec.yaml import FASTEST, PURE, parse

both = pytest.mark.parametrize("loader", [FASTEST, PURE], ids=["libyaml", "pure"])


def load(text: str, loader: Any = FASTEST) -> Node:
    problems = Problems()
    root = parse(text, "f.yaml", problems, loader=loader)
    problems.check()
    assert root is not None
    return root


def plain(node: Node) -> object:
    """The node as lists, dictionaries and texts."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {entry.key.text: plain(entry.value) for entry in node.entries}


def scalar(text: str, loader: Any = FASTEST) -> Scalar:
    root = load(f"- {text}\n", loader)
    assert isinstance(root, Sequence)
    (item,) = root.items
    assert isinstance(item, Scalar)
    return item


def test_libyaml_is_there_so_that_both_parsers_are_tested() -> None:
    assert FASTEST is not PURE


@both
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((text, "null") for text in ("", "~", "null", "Null", "NULL")),
        *((text, "boolean") for text in ("true", "True", "TRUE", "false", "False", "FALSE")),
        *((text, "integer") for text in ("0", "-1", "+1", "010", "0o10", "0xfF", "00")),
        *((text, "float") for text in ("1.5", ".5", "1.", "1e3", "-.inf", ".NaN", "+12.3E-4")),
        *((text, "string") for text in ("yes", "no", "on", "off", "y", "n", "Yes", "NO", "oN")),
        *((text, "string") for text in ("1_000", "0b1", "190:20:30", "0o8", "0xg", "-0o7")),
        *((text, "string") for text in ("2001-12-14", "=", "tRue", "nULL", "1.2.3", ".")),
        *((text, "string") for text in ("'1'", '"1"', "''", '"null"', "'true'", "!!str 1")),
    ],
)
def test_a_scalar_is_what_the_core_schema_says(text: str, kind: str, loader: Any) -> None:
    assert scalar(text, loader).kind == kind


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 10), ("0o10", 8), ("0x10", 16), ("-010", -10), ("+7", 7), ("00", 0), ("0", 0)],
)
def test_a_leading_zero_is_not_octal(text: str, value: int) -> None:
    assert scalar(text).integer == value


@pytest.mark.parametrize("text", ["'1'", "1.0", "true", "x", "", "9" * 5000])
def test_what_is_no_integer_has_no_integer_value(text: str) -> None:
    assert scalar(text).integer is None


@both
@pytest.mark.parametrize("text", ["010", "yes", "1.50", "0x1F", "True", "12:30:45", "1_000"])
def test_a_scalar_keeps_its_text_as_it_was_written(text: str, loader: Any) -> None:
    assert scalar(text, loader).text == text


@both
def test_every_node_knows_its_line_and_column(loader: Any) -> None:
    root = load("a:\n  - ä: [x, y]\n    z: 1\n", loader)
    assert isinstance(root, Mapping)
    (top,) = root.entries
    assert isinstance(top.value, Sequence)
    (inner,) = top.value.items
    assert isinstance(inner, Mapping)
    places = [top.key.place, top.value.place, inner.entries[0].value.place]
    assert [str(p) for p in places] == ["f.yaml:1:1", "f.yaml:2:3", "f.yaml:2:8"]
    assert str(inner.entries[1].value.place) == "f.yaml:3:8"


@both
@pytest.mark.parametrize(
    "text",
    ["{a: 1, a: 2}", "a: 1\nb: 2\n'a': 3", 'a: {b: 1, "b": 2}', "1: a\n'1': b", "~: a\n~: b"],
)
def test_a_key_that_is_there_twice_is_an_error(text: str, loader: Any) -> None:
    with pytest.raises(SpecError, match="is there twice"):
        load(text, loader)


@both
def test_an_alias_is_what_its_anchor_is(loader: Any) -> None:
    assert plain(load("a: &x [1, {b: c}]\nd: *x\n", loader)) == {
        "a": ["1", {"b": "c"}],
        "d": ["1", {"b": "c"}],
    }


@both
def test_an_anchor_that_is_set_again_counts_from_there_on(loader: Any) -> None:
    assert plain(load("[&x 1, *x, &x 2, *x]", loader)) == ["1", "1", "2", "2"]


@both
def test_a_merge_brings_what_the_mapping_itself_lacks(loader: Any) -> None:
    text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: own}\n"
    root = plain(load(text, loader))
    assert isinstance(root, dict)
    assert root["z"] == {"a": "own", "b": "2", "c": "4"}


@both
def test_a_merge_of_a_merge_brings_both(loader: Any) -> None:
    text = "x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y}\n"
    root = plain(load(text, loader))
    assert isinstance(root, dict)
    assert root["z"] == {"a": "1", "b": "2"}


@both
def test_a_merge_key_in_quotes_is_a_key(loader: Any) -> None:
    assert plain(load('{"<<": x}', loader)) == {"<<": "x"}


@both
@pytest.mark.parametrize("text", ["{<<: x}", "{<<: [{a: b}, x]}", "{<<: }"])
def test_a_merge_of_anything_else_is_an_error(text: str, loader: Any) -> None:
    with pytest.raises(SpecError, match="takes a mapping"):
        load(text, loader)


@both
@pytest.mark.parametrize(
    "tag",
    ["!!python/object:os.system", "!!python/name:os.system", "!mine", "!!int", "!!binary", "!!set"],
)
def test_a_tag_is_an_error(tag: str, loader: Any) -> None:
    with pytest.raises(SpecError, match="tag"):
        scalar(f"{tag} 1", loader)


@both
def test_the_tags_of_text_lists_and_mappings_are_understood(loader: Any) -> None:
    root = load("!!map {a: !!seq [!!str 1, ! 2]}", loader)
    assert plain(root) == {"a": ["1", "2"]}
    assert scalar("! 12", loader).kind == "string"


@both
def test_several_documents_are_an_error(loader: Any) -> None:
    with pytest.raises(SpecError, match="a second document begins here"):
        load("a: b\n---\nc: d\n", loader)


@both
@pytest.mark.parametrize("text", ["---\na: b\n", "a: b\n...\n", "%YAML 1.2\n---\na: b\n"])
def test_one_document_may_be_marked(text: str, loader: Any) -> None:
    assert plain(load(text, loader)) == {"a": "b"}


@both
@pytest.mark.parametrize("text", ["", "\n\n", "# comment\n"])
def test_no_document_is_nothing(text: str, loader: Any) -> None:
    assert parse(text, "f.yaml", Problems(), loader=loader) is None


@both
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[\n", "- - "])
def test_deep_nesting_is_an_error(opening: str, loader: Any) -> None:
    with pytest.raises(SpecError, match="nested more than 50 deep"):
        load(opening * 50_000, loader)


@both
def test_a_billion_laughs_are_an_error(loader: Any) -> None:
    lines = ["a0: &a0 [ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(SpecError, match="too large"):
        load("\n".join(lines), loader)


@both
def test_a_billion_merges_are_an_error(loader: Any) -> None:
    lines = ["a0: &a0 {k0: ha}"]
    lines += [
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: 1}}" for n in range(1, 12)
    ]
    with pytest.raises(SpecError, match="too large"):
        load("\n".join(lines), loader)


def test_a_huge_text_that_is_repeated_by_aliases_is_an_error() -> None:
    with pytest.raises(SpecError, match="too large"):
        load(f"- &a {'x' * 1_000_000}\n" + "- *a\n" * 100)


@both
@pytest.mark.parametrize("text", ["&a [*a]", "&a {b: *a}", "&a [&b [*a]]", "a: &a\n  <<: *a\n"])
def test_a_cycle_of_aliases_is_an_error(text: str, loader: Any) -> None:
    with pytest.raises(SpecError, match="stands within its own anchor"):
        load(text, loader)


@both
@pytest.mark.parametrize("text", ["[a]: b", "{a: b}: c", "? [a]\n: b", "? {a: b}\n: c"])
def test_a_key_that_is_no_text_is_an_error(text: str, loader: Any) -> None:
    with pytest.raises(SpecError, match="a key must be text"):
        load(text, loader)


@both
@pytest.mark.parametrize("text", [r'"\0"', r'"a\x00b"', r'"\ud800"', r'"\U00110000"', r'"\q"'])
def test_an_escape_that_gives_no_usable_text_is_an_error(text: str, loader: Any) -> None:
    with pytest.raises(SpecError):
        scalar(text, loader)


@both
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n\tb: c\n", 2),
        ("a:\n  b: c\n\td: e\n", 3),
        ("a: b: c\n", 1),
        ("a:\n  b\n  c: d\n", 2),
        ("a: 'x\nb: c\n", 1),
        ("a: [b\nc: d\n", 2),
        ("a: {b: c\nd: e\n", 2),
        ("a: 'b' c\n", 1),
        ("a:\n    b: c\n  d: e\n", 3),
        ("a:\n  - b\n  c: d\n", 3),
        ("a:\n  b: c\n  - d\n", 3),
        ("a: @b\n", 1),
        ("a: |b\n", 1),
        ("a: - b\n", 1),
        ("a: ]\n", 1),
        ("%YAML 2.0\n---\na: b\n", 1),
        ("a: !x!y z\n", 1),
        ('a: "b\n---\nc"\n', 2),
        (": a\n", 1),
        ("a: * b\n", 1),
    ],
)
def test_both_parsers_tell_the_line_of_a_syntax_error(text: str, line: int, loader: Any) -> None:
    with pytest.raises(SpecError) as caught:
        load(text, loader)
    assert caught.value.where.split(":")[:2] == ["f.yaml", str(line)]
    assert "can't be read" not in caught.value.what
