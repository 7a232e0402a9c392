"""Whatever a file holds, reading it gives a Spec or an error of ours, with its place."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genoci.errors import GenociError, SpecError
from genoci.spec.keys import TARGET
from genoci.spec.read import read
from genoci.spec.target import Spec

# A busy machine is no mistake: no deadlines.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_PLACE = re.compile(r"f\.yaml(:[1-9][0-9]*:[1-9][0-9]*)?")


def check(content: bytes) -> Spec | None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "f.yaml"
        path.write_bytes(content)
        (Path(name) / "hello.txt").write_text("")
        try:
            return read(path, tags=lambda: ["debian"])
        except GenociError as error:
            assert isinstance(error, SpecError)
            for one in (error, *error.others):
                assert _PLACE.fullmatch(one.where.removeprefix(f"{name}/"))
                assert one.what and one.what.isprintable()
                assert one.mend.isprintable()
            return None


@patient
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
def test_any_bytes(content: bytes) -> None:
    check(content)


_WORDS = [
    *TARGET,
    *("empty", "debian", "a", "b", "src", "dest", "from", "mode", "owner", "script", "shell"),
    *("hello.txt", "hello.txt /", "*.txt", "0755", "010", "yes", "null", "~", "true", "''", '"'),
    *("x-a", "genoci", "keep", "3", "<<", "!!str", "!x", "%YAML 1.2\n---\n", "...", "\\", "'"),
]
_MARKS = [
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "|\n",
    "#",
    "\t",
]
_PIECES = st.sampled_from(_WORDS + _MARKS + [": ", "\n  ", "\n"] * 5)


@patient
@given(st.lists(_PIECES | st.text(max_size=3), max_size=40).map("".join))
@example("a: &a {base: empty, <<: *a}")
@example("'': {'': }")
@example("a: {base: empty, expand: ''}")
def test_any_words_of_ours(text: str) -> None:
    check(text.encode(errors="surrogatepass"))


_SCALARS = st.sampled_from([*_WORDS[:-12], "''", "null", "1", "010", "-1", "'a b c'", "'\"'"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(_SCALARS, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f"{k}: {v}" for k, v in d.items()) + "}"
        ),
    ),
    max_leaves=8,
)
_KEYS = st.dictionaries(st.sampled_from([*TARGET, "install", "FROM", "x"]), _VALUES, max_size=6)


@patient
@given(st.dictionaries(st.sampled_from(["a", "b", "genoci", "x-a", "empty"]), _KEYS, max_size=3))
def test_any_values_for_our_keys(targets: dict[str, dict[str, str]]) -> None:
    lines: list[str] = []
    for name, keys in targets.items():
        lines += [f"{name}:", *(f"  {key}: {value}" for key, value in keys.items())]
    check("\n".join(lines).encode())


_NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
_OUTSIDE_YAML = "\u2028\u2029\ufeff\ufffe\uffff"
_TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=_OUTSIDE_YAML), max_size=20
)


@patient
@given(st.dictionaries(_NAMES, _TEXTS, max_size=5))
def test_any_text_in_quotes_comes_out_as_it_went_in(env: dict[str, str]) -> None:
    quoted = ", ".join(
        f"{name}: '{text.replace(chr(39), chr(39) * 2)}'" for name, text in env.items()
    )
    spec = check(f"a: {{base: empty, env: {{{quoted}}}}}".encode())
    assert spec is not None
    assert spec.targets[0].config.env == env
