"""Documents that others wrote, some of them to do harm."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genoci.errors import LayoutError
from genoci.oci.documents import CONFIG, INDEX, MANIFEST
from genoci.oci.parse import parse_config, parse_index, parse_manifest, parse_mapping

DIGEST = "sha256:" + "a" * 64
PART = {"mediaType": CONFIG, "digest": DIGEST, "size": 1}
A_MANIFEST = {"schemaVersion": 2, "mediaType": MANIFEST, "config": PART, "layers": []}
AN_INDEX = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [PART]}
A_CONFIG = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [DIGEST]}}


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_unknown_fields_and_nulls_do_no_harm() -> None:
    manifest = parse_manifest(
        raw(A_MANIFEST | {"vendor": [1], "annotations": None, "layers": None}), where="here"
    )
    assert manifest.layers == () and manifest.annotations == {}
    inner = {"Env": None, "Cmd": None, "Labels": None, "Volumes": None, "Vendor": {"x": 1}}
    config = parse_config(raw(A_CONFIG | {"config": inner, "history": None}), where="here")
    assert config.env == config.cmd == config.history == ()
    assert parse_config(raw(A_CONFIG | {"config": None}), where="here").labels == {}


def test_docker_names_of_documents_are_understood() -> None:
    name = "application/vnd.docker.distribution.manifest"
    parse_manifest(raw(A_MANIFEST | {"mediaType": f"{name}.v2+json"}), where="here")
    parse_index(raw(AN_INDEX | {"mediaType": f"{name}.list.v2+json"}), where="here")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{",
        b"{} {}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"{}".decode().encode("utf-16"),
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"1" * 10000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
def test_what_is_no_document_is_an_error_that_says_where(text: bytes) -> None:
    with pytest.raises(LayoutError) as error:
        parse_mapping(text, where="the place")
    assert error.value.where == "the place"
    assert error.value.mend


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha512:" + "a" * 128,
        "sha256:" + "a" * 64 + "\n",
        "../" + "a" * 64,
        "sha256:" + "a" * 63 + "/",
        "x" * 10**6,
    ],
)
def test_a_digest_that_could_be_a_path_is_refused(digest: str) -> None:
    for document in (
        A_MANIFEST | {"config": PART | {"digest": digest}},
        A_MANIFEST | {"layers": [PART | {"digest": digest}]},
        A_MANIFEST | {"subject": PART | {"digest": digest}},
    ):
        with pytest.raises(LayoutError) as error:
            parse_manifest(raw(document), where="here")
        assert len(str(error.value)) < 500
    with pytest.raises(LayoutError):
        parse_index(raw(AN_INDEX | {"manifests": [PART | {"digest": digest}]}), where="here")
    with pytest.raises(LayoutError):
        parse_config(raw(A_CONFIG | {"rootfs": {"diff_ids": [digest]}}), where="here")


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"schemaVersion": "2"},
        {"mediaType": INDEX},
        {"mediaType": 7},
        {"config": None},
        {"config": []},
        {"layers": {}},
        {"layers": [None]},
        {"layers": [PART | {"size": -1}]},
        {"layers": [PART | {"size": 2**63}]},
        {"layers": [PART | {"size": 1.5}]},
        {"layers": [PART | {"mediaType": None}]},
        {"annotations": {"a": 1}},
        {"annotations": []},
        {"manifests": []},
    ],
)
def test_a_manifest_of_the_wrong_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LayoutError):
        parse_manifest(raw(A_MANIFEST | change), where="here")


def test_an_index_that_could_be_read_as_a_manifest_is_refused() -> None:
    with pytest.raises(LayoutError):
        parse_index(raw(AN_INDEX | {"layers": []}), where="here")
    with pytest.raises(LayoutError):
        parse_index(raw(A_MANIFEST), where="here")


@pytest.mark.parametrize(
    "change",
    [
        {"os": None},
        {"architecture": 386},
        {"rootfs": None},
        {"rootfs": {"diff_ids": DIGEST}},
        {"rootfs": {"diff_ids": [1]}},
        {"config": []},
        {"config": {"Env": {"A": "1"}}},
        {"config": {"Env": [1]}},
        {"config": {"Cmd": "sh"}},
        {"config": {"Labels": [""]}},
        {"config": {"Volumes": ["/x"]}},
        {"history": {}},
        {"history": ["run"]},
        {"history": [{"empty_layer": "yes"}]},
        {"created": 7},
    ],
)
def test_a_config_of_the_wrong_shape_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LayoutError):
        parse_config(raw(A_CONFIG | change), where="here")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(DIGEST),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["mediaType", "digest", "size", "layers", "config", "rootfs", "os", ""]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.sampled_from([A_MANIFEST, AN_INDEX, A_CONFIG]), st.data())
def test_no_document_gives_anything_but_a_layout_error(
    document: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([*document, "annotations", "subject", "history"]))
    text = raw(document | {name: data.draw(ANYTHING)})
    for parse in (parse_manifest, parse_index, parse_config):
        with contextlib.suppress(LayoutError):
            parse(text, where="here")


@given(st.binary(max_size=50))
def test_no_bytes_give_anything_but_a_layout_error(text: bytes) -> None:
    with contextlib.suppress(LayoutError):
        parse_mapping(text, where="here")
