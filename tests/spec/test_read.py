"""Good files: targets, bases, steps in their order, and the settings of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genoci.errors import LayoutError, SpecError
from genoci.spec.read import read
from genoci.spec.target import Copy, Expand, Place, Run, Spec, Target

Reader = Callable[[str], Spec]
Keys = Callable[[str], Target]


def test_the_first_example(spec: Reader, folder: Path) -> None:
    file = f"{folder}/f.yaml"
    found = spec(
        "cirros:\n"
        "  base: empty\n"
        "  expand: ./rootfs.tar.gz\n"
        "modified:\n"
        "  base: cirros\n"
        "  run: |\n"
        '    echo "Hello, world" > /hw\n'
        '  entrypoint: /bin/echo "hello world"\n'
    )
    cirros, modified = found.targets
    assert (found.path, found.keep, found.warnings) == (file, None, ())
    assert (cirros.name, cirros.base) == ("cirros", "empty")
    assert cirros.steps == (Expand((f"{folder}/rootfs.tar.gz",), Place(file, 3, 11)),)
    assert (cirros.place, cirros.base_place) == (Place(file, 1, 1), Place(file, 2, 9))
    (run,) = modified.steps
    assert isinstance(run, Run)
    assert (run.place, run.shell) == (Place(file, 6, 8), 'echo "Hello, world" > /hw\n')
    assert modified.config.given() == {"entrypoint": ("/bin/echo", "hello world")}


def test_targets_keep_the_order_of_the_file_whatever_they_stand_on(spec: Reader) -> None:
    found = spec("b: {base: a, run: x}\na: {base: empty, run: x}\n")
    assert [target.name for target in found.targets] == ["b", "a"]


@pytest.mark.parametrize("base", ["empty", "cirros", "cirros-2026-11-23_1"])
def test_a_base_is_empty_or_a_tag(spec: Reader, base: str) -> None:
    assert spec(f"a: {{base: {base}, run: x}}").targets[0].base == base


def test_the_tags_are_looked_at_only_for_a_base_that_is_no_target(folder: Path) -> None:
    def tags() -> Iterator[str]:
        raise LayoutError("looked")

    path = folder / "f.yaml"
    path.write_text("debian: {base: empty, run: x}\nb: {base: debian, run: x}\n")
    assert len(read(path, tags=tags).targets) == 2
    path.write_text("b: {base: debian, run: x}\n")
    with pytest.raises(LayoutError, match="looked"):
        read(path, tags=tags)


@pytest.mark.parametrize(
    "tags", [["t"], {"t": 1}, lambda: iter(["t"])], ids=["names", "mapping", "function"]
)
def test_tags_may_be_names_a_mapping_or_a_function(folder: Path, tags: object) -> None:
    path = folder / "f.yaml"
    path.write_text("a: {base: t, run: x}\n")
    assert read(path, tags=tags).targets[0].base == "t"  # type: ignore[arg-type]


def test_a_tag_with_a_name_that_no_target_could_have_may_be_a_base(folder: Path) -> None:
    path = folder / "f.yaml"
    path.write_text("a: {base: 'quay/fedora:41', run: x}\n")
    assert read(path, tags=["quay/fedora:41"]).targets[0].base == "quay/fedora:41"


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "_x", "9", "x" * 100, "2026-11-23", "yes", "1.0"])
def test_names_of_targets(spec: Reader, name: str) -> None:
    assert spec(f"{name}: {{base: empty, run: x}}").targets[0].name == name


def test_keys_that_begin_with_x_are_ignored_and_hold_anchors(spec: Reader) -> None:
    found = spec(
        "x-env: &env {LANG: C, TZ: UTC}\n"
        "x-odd: [1, {FROM: nowhere}]\n"
        "x-common: &common\n"
        "  base: empty\n"
        "  workdir: /srv\n"
        "a:\n"
        "  <<: *common\n"
        "  env: {<<: *env, TZ: CET}\n"
        "  workdir: /opt\n"
    )
    (target,) = found.targets
    assert target.base == "empty"
    assert target.config.given() == {"env": {"LANG": "C", "TZ": "CET"}, "workdir": "/opt"}


def test_keep_is_the_setting_of_a_file(spec: Reader) -> None:
    assert spec("genoci: {keep: 010}\na: {base: empty, run: x}\n").keep == 10


def test_settings_may_be_none(spec: Reader) -> None:
    assert spec("genoci: {}\na: {base: empty, run: x}\n").keep is None


def test_without_steps_the_order_is_expand_copy_run(target: Keys) -> None:
    steps = target("run: x\ncopy: hello.txt /\nexpand: one.tar").steps
    assert [type(step) for step in steps] == [Expand, Copy, Run]


def test_steps_have_an_order_of_their_own(target: Keys) -> None:
    steps = target("steps: [{run: x}, {copy: hello.txt /}, {run: [y, z]}, {expand: one.tar}]").steps
    assert [type(step) for step in steps] == [Run, Copy, Run, Run, Expand]


def test_a_target_may_have_config_alone(target: Keys) -> None:
    found = target("user: nobody")
    assert (found.steps, found.config.given()) == ((), {"user": "nobody"})


def test_the_places_of_a_relative_file_are_named_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "etc" / "f.yaml").write_text("a: {base: empty, copy: motd /}\n")
    monkeypatch.chdir(folder)
    (target,) = read(Path("etc/f.yaml"), tags=list).targets
    assert str(target.place) == "etc/f.yaml:1:1"
    assert target.steps[0].sources == (f"{folder}/etc/motd",)  # type: ignore[union-attr]


def test_reading_twice_gives_the_same(spec: Reader) -> None:
    text = "a: {base: empty, expand: '*.tar', env: {A: b}, run: x}\n"
    assert spec(text) == spec(text)


def test_the_annotations_of_2017_set_the_environment_and_give_a_hint(
    spec: Reader, folder: Path
) -> None:
    found = spec("a: {base: empty, annotations: [{env: A=b=c}, {env: D=}], env: {D: e}}\n")
    assert found.targets[0].config.given() == {"env": {"A": "b=c", "D": "e"}}
    assert found.warnings == (
        f"{folder}/f.yaml:1:32: `annotations: [{{env: …}}]` is the form of 2017;"
        " write `env: {A: …}`",
        f"{folder}/f.yaml:1:46: `annotations: [{{env: …}}]` is the form of 2017;"
        " write `env: {D: …}`",
    )


def test_an_error_names_what_the_layout_has(folder: Path) -> None:
    path = folder / "f.yaml"
    path.write_text("a: {base: thing, run: x}\n")
    with pytest.raises(SpecError) as caught:
        read(path, tags=[f"t{n:02}" for n in range(12)])
    assert caught.value.mend == (
        "there is no other target; the layout has `t00`, `t01`, `t02`, `t03`, `t04`, `t05`, `t06`,"
        " `t07` and 4 more; or start from nothing: `base: empty`"
    )
    with pytest.raises(SpecError) as caught:
        read(path, tags=[])
    assert caught.value.mend == (
        "there is no other target; the layout has no tags; or start from nothing: `base: empty`"
    )
