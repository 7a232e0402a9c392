"""Images as values, and their configs: changed, never losing what genoci does not know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genoci.errors import UsageError
from genoci.oci.digest import Digest, chain_id
from genoci.oci.documents import Descriptor, Platform
from genoci.oci.image import Image, Layer

VENDOR = {
    "created": "2020-01-01T00:00:00Z",
    "author": "somebody",
    "architecture": "amd64",
    "os": "linux",
    "os.version": "10",
    "variant": "v2",
    "docker_version": "24",
    "x-vendor": {"b": 1, "a": [1.5, 12345678901234567890123, None, "ü"]},
    "config": {
        "Env": ["PATH=/bin", "A=1", "broken", "A=2"],
        "Entrypoint": ["/old"],
        "Cmd": ["arg"],
        "Healthcheck": {"Test": ["CMD", "true"]},
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/bash"],
        "ArgsEscaped": True,
        "Labels": {"one": "1", "two": "2"},
        "Volumes": {"/v": {}},
        "ExposedPorts": {"80/tcp": {}},
        "WorkingDir": "/w",
        "User": "u",
        "StopSignal": "SIGINT",
        "Vendor": {"deep": True},
    },
    "rootfs": {"type": "layers", "diff_ids": [], "vendor": 1},
    "history": [],
}


def vendor(**change: Any) -> Image:
    return Image(json.dumps(VENDOR | change).encode(), annotations={"a": "1", "b": "2"})


def a_layer(text: str = "x") -> Layer:
    blob = Descriptor("application/vnd.oci.image.layer.v1.tar", Digest.of(text.encode()), 1)
    return Layer(blob, Digest.of(text.encode() * 2))


def execution(image: Image) -> dict[str, Any]:
    inner = json.loads(image.config_raw)["config"]
    assert isinstance(inner, dict)
    return inner


def test_the_empty_image_has_nothing_and_is_from_1970() -> None:
    image = Image.empty(Platform("linux", "arm64", "v8"))
    assert (image.layers, image.chain_id, image.env) == ((), None, {})
    assert image.platform == Platform("linux", "arm64", "v8")
    assert (image.created, image.created_ns) == ("1970-01-01T00:00:00Z", 0)


def test_a_layer_is_appended_with_its_history_and_the_old_image_stays_as_it_was() -> None:
    base = Image.empty(Platform("linux", "amd64"))
    one = base.append(a_layer("1"), created=10**9, created_by="first")
    two = one.append(a_layer("2"), created=2 * 10**9, created_by="second")
    assert base.layers == () and base.history == ()
    assert two.diff_ids == (a_layer("1").diff_id, a_layer("2").diff_id) == two.config.diff_ids
    assert two.chain_id == chain_id(a_layer("1").diff_id, a_layer("2").diff_id)
    assert [entry.created_by for entry in two.history] == ["first", "second"]
    assert two.created == two.history[1].created == "1970-01-01T00:00:02Z"


def test_everything_unknown_stays_when_a_layer_is_appended_and_the_config_changed() -> None:
    image = vendor().append(a_layer(), created=0, created_by="x").configure(env={"B": "3"})
    after = json.loads(image.config_raw)
    for name in ("author", "os.version", "variant", "docker_version", "x-vendor"):
        assert after[name] == VENDOR[name]
    assert after["rootfs"]["vendor"] == 1
    for name in ("Healthcheck", "OnBuild", "Shell", "ArgsEscaped", "Vendor", "Entrypoint", "Cmd"):
        assert after["config"][name] == VENDOR["config"][name]  # type: ignore[index]


def test_the_environment_keeps_the_order_of_the_base_and_new_names_come_last() -> None:
    image = vendor().configure(env={"Z": "26", "A": "new", "PATH": None, "GONE": None, "B": ""})
    assert execution(image)["Env"] == ["A=new", "broken", "Z=26", "B="]
    assert image.env == {"A": "new", "broken": "", "Z": "26", "B": ""}


def test_of_a_name_that_stands_twice_in_the_environment_the_last_counts() -> None:
    assert vendor().env["A"] == "2"
    assert execution(vendor().configure(env={"B": "1"}))["Env"][:4] == VENDOR["config"]["Env"]  # type: ignore[index]


@pytest.mark.parametrize("name", ["", "A=B", "A\0"])
def test_what_can_not_be_a_variable_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        vendor().configure(env={name: "x"})


def test_labels_and_annotations_are_merged_and_null_deletes() -> None:
    image = vendor().configure(
        labels={"two": None, "three": "3"}, annotations={"a": None, "c": "3"}
    )
    assert image.labels == {"one": "1", "three": "3"}
    assert image.annotations == {"b": "2", "c": "3"}
    assert "Labels" not in execution(vendor().configure(labels={"one": None, "two": None}))


def test_a_new_entrypoint_clears_an_inherited_cmd() -> None:
    image = vendor().configure(entrypoint=("/new",))
    assert (image.entrypoint, image.cmd) == (("/new",), ())
    assert "Cmd" not in execution(image)


def test_a_cmd_that_comes_with_the_entrypoint_stays() -> None:
    image = vendor().configure(entrypoint=("/new",), cmd=("x", "y"))
    assert (image.entrypoint, image.cmd) == (("/new",), ("x", "y"))
    assert vendor().configure(cmd=("x",)).entrypoint == ("/old",)


def test_an_empty_entrypoint_clears_both() -> None:
    image = vendor().configure(entrypoint=())
    assert "Entrypoint" not in execution(image) and "Cmd" not in execution(image)


def test_volumes_and_ports_replace_those_of_the_base_in_order() -> None:
    image = vendor().configure(volumes=("/z", "/a"), expose=("90/udp", "443"))
    assert list(execution(image)["Volumes"]) == ["/a", "/z"]
    assert execution(image)["ExposedPorts"] == {"443": {}, "90/udp": {}}
    cleared = execution(vendor().configure(volumes=(), expose=()))
    assert "Volumes" not in cleared and "ExposedPorts" not in cleared


def test_plain_fields_are_set_and_cleared() -> None:
    image = vendor().configure(workdir="/new", user="1:1", stopsignal="SIGHUP")
    assert (image.workdir, image.user, image.config.stopsignal) == ("/new", "1:1", "SIGHUP")
    cleared = execution(vendor().configure(workdir="", user="", stopsignal=""))
    assert not {"WorkingDir", "User", "StopSignal"} & cleared.keys()


def test_a_platform_replaces_all_that_told_the_old_one() -> None:
    after = json.loads(vendor().configure(platform="linux/arm64").config_raw)
    assert (after["architecture"], after.get("variant")) == ("arm64", None)
    assert after["os.version"] == "10"
    other = json.loads(vendor().configure(platform="windows/amd64/v3").config_raw)
    assert (other["os"], other["variant"]) == ("windows", "v3")
    assert "os.version" not in other


def test_an_unknown_field_is_a_bug_of_the_caller() -> None:
    with pytest.raises(TypeError):
        vendor().configure(entry_point=("/x",))


def test_what_changes_nothing_returns_the_same_bytes() -> None:
    raw = json.dumps(VENDOR, indent=4).encode()
    image = Image(raw)
    assert image.configure(created=5, created_by="x", user="u", labels={"one": "1"}) == image
    assert image.configure().config_raw == raw


def test_created_is_written_even_if_nothing_else_changes() -> None:
    without = {name: value for name, value in VENDOR.items() if name != "created"}
    image = Image(json.dumps(without).encode())
    assert image.created is None and image.created_ns is None
    assert image.configure().created == "1970-01-01T00:00:00Z"
    assert image.configure(created=10**9).created == "1970-01-01T00:00:01Z"


def test_without_a_time_of_its_own_a_change_has_the_base_s() -> None:
    image = vendor().configure(user="x", created_by="me")
    assert image.created == image.history[-1].created == "2020-01-01T00:00:00Z"
    nonsense = vendor(created="yesterday").configure(user="x")
    assert nonsense.created == "1970-01-01T00:00:00Z"


def test_a_change_of_the_config_alone_is_an_empty_layer_of_the_history() -> None:
    entry = vendor().configure(created=0, created_by="config", user="x").history[-1]
    assert (entry.empty_layer, entry.created_by) == (True, "config")


def test_a_change_that_comes_with_a_layer_has_no_second_entry() -> None:
    image = vendor().append(a_layer(), created=0, created_by="layer")
    image = image.configure(created=0, created_by="config", user="x")
    assert [entry.created_by for entry in image.history] == ["layer"]
    image = image.configure(created=0, created_by="later", user="y")
    assert [entry.created_by for entry in image.history] == ["layer", "later"]


def test_annotations_alone_are_no_change_of_the_config() -> None:
    image = vendor().configure(annotations={"c": "3"})
    assert image.config_raw == vendor().config_raw
    assert image.annotations == {"a": "1", "b": "2", "c": "3"}


def with_layers(count: int, history: Any) -> Image:
    layers = tuple(a_layer(str(number)) for number in range(count))
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
    mapping = VENDOR | {"rootfs": rootfs, "history": history}
    return Image(json.dumps(mapping).encode(), layers)


@pytest.mark.parametrize(
    ("count", "history"),
    [
        (2, None),
        (2, []),
        (3, [{"created_by": "a"}]),
        (1, [{"created_by": "a"}, {"created_by": "b"}, {"created_by": "c"}]),
        (1, [{"created_by": "a", "empty_layer": True}, {"created_by": "b"}]),
        (0, [{"created_by": "a"}]),
    ],
)
def test_whatever_the_history_of_the_base_each_layer_has_one_entry(
    count: int, history: Any
) -> None:
    base = with_layers(count, history)
    for image in (
        base.append(a_layer("new"), created=0, created_by="mine"),
        base.configure(user="x", created_by="mine"),
    ):
        assert sum(not entry.empty_layer for entry in image.history) == len(image.layers)
        assert image.history[-1].created_by == "mine"


def test_what_is_unknown_in_the_history_of_the_base_stays() -> None:
    old = {"created_by": "a", "author": "b", "x-vendor": [1]}
    image = with_layers(1, [old]).append(a_layer("new"), created=0, created_by="mine")
    assert json.loads(image.config_raw)["history"][0] == old


def test_the_same_config_has_the_same_bytes_in_whatever_order_it_was_said() -> None:
    backwards = json.dumps(dict(reversed(VENDOR.items()))).encode()
    one = Image(json.dumps(VENDOR).encode()).configure(labels={"x": "1", "y": "2"})
    other = Image(backwards).configure(labels={"y": "2", "x": "1"})
    assert one.config_raw == other.config_raw
    assert b" " not in one.config_raw.replace(b"RUN x", b"").replace(b"a layer", b"")
