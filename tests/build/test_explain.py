"""Why something is built again: said so that one knows where to look."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from genoci.build.explain import reasons
from genoci.build.inputs import Inputs
from genoci.build.key import key_of
from genoci.layer.compress import Compression
from genoci.oci.documents import Platform
from genoci.oci.image import Image
from genoci.spec.read import read
from genoci.spec.target import Target


class Place:
    """Keys of targets as they were at several times, without building any."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.older: list[bytes] = []

    def target(self, yaml: str) -> Target:
        file = self.folder / "genoci.yaml"
        file.write_text(f"t:\n  base: empty\n  {yaml}\n")
        return read(file, tags=dict).targets[0]

    def why(self, yaml: str, **options: object) -> tuple[str, ...]:
        """What differs from all that was asked before."""
        target = self.target(yaml)
        image = Image.empty(Platform.host())
        given = {"compression": Compression.parse("gzip"), "epoch": None} | options
        inputs = Inputs(self.folder / "state")
        key = key_of(target, image, {}, inputs, **given)  # type: ignore[arg-type]
        told = reasons(target, str(self.folder), key, self.older)
        self.older.insert(0, key.preimage)
        return told

    def does(self, script: str) -> None:
        subprocess.run(["sh", "-ec", script], cwd=self.folder, check=True)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.does("umask 022; mkdir -p app/sub; echo 1 >app/a; echo 2 >app/sub/b; echo 3 >c; echo >s")
    return place


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("echo 9 > app/a", "copy ./app: app/a changed"),
        ("echo 9 > app/sub/b", "copy ./app: app/sub/b changed"),
        ("chmod 4755 app/a", "copy ./app: app/a has the mode 4755 and had 0644"),
        ("chmod 700 app", "copy ./app: app has the mode 0700 and had 0755"),
        ("rm -r app/sub", "copy ./app: app/sub is gone"),
        ("mkdir -p app/x/y; touch app/x/y/z", "copy ./app: app/x is new"),
        ("rm app/a; ln -s b app/a", "copy ./app: app/a is a link now"),
        ("rm app/a; mkdir app/a", "copy ./app: app/a is a folder now"),
        ("rm app/a; mkfifo app/a", "copy ./app: app/a is a FIFO now"),
        ("rm app/a; echo > app/z; echo > app/sub/b", "copy ./app: app/a is gone and 2 more"),
    ],
)
def test_the_file_is_named(place: Place, change: str, reason: str) -> None:
    assert place.why("copy: app /app") == ("it was never built",)
    place.does(change)
    assert place.why("copy: app /app") == (reason,)


def test_files_are_named_from_where_the_yaml_file_is(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    place.folder = tmp_path / "project"
    place.folder.mkdir()
    outside.write_text("1")
    place.why("copy: [. /x, ../outside /y]")
    (place.folder / "new").touch()
    outside.write_text("2")
    told = place.why("copy: [{src: ., dest: /x, exclude: genoci.yaml}, ../outside /y]")
    assert told == (
        "copy .: another exclude",
        "copy .: genoci.yaml is gone and 1 more",
        f"copy {place.folder}/../outside changed",
    )


def test_names_that_are_no_text_are_told_apart(place: Place) -> None:
    place.why("copy: app /app")
    (place.folder / "app" / os.fsdecode(b"\xff\n")).touch()
    assert place.why("copy: app /app") == ("copy ./app: app/\\xff\\n is new",)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("copy: c /c", "copy: [c /c, s /s]", ("copy ./s is new",)),
        ("copy: [c /c, s /s]", "copy: s /s", ("copy: a step is gone",)),
        ("copy: c /c", "copy: {src: [c, s], dest: /c/}", (
            "copy ./c ./s: another dest", "copy ./s is new")),
        ("copy: {src: c, dest: /c/}", "copy: {src: [c, s], dest: /c/}", ("copy ./s is new",)),
        ("copy: {src: [c, s], dest: /c/}", "copy: {src: s, dest: /c/}", ("copy: c is gone",)),
        ("copy: c /c", "run: echo", ("run is new", "copy: a step is gone")),
        ("run: echo a", "run: [echo a, echo b]", ("run 2 is new",)),
        ("run: [k, l, m]", "run: [k, m]", ("run: a step is gone",)),
        ("run: [k, l, m]", "run: [k, x, m]", ("run 2: line 1 changed",)),
        ("run: [a, s]", "run: [b, ./s]", (
            "run 1: line 1 changed", "run ./s: the script is named in another way")),
        ("run: a", "run: {shell: a, user: me}", ("run: another user",)),
        ("run: a", "run: {shell: a, network: none}", ("run: another network",)),
        ("run: s", "run: {script: s}", ("run ./s: the script is named in another way",)),
        ("pre: a\n  run: b", "pre: x\n  run: b", ("pre: line 1 changed",)),
        ("pre: a\n  run: b", "pre: a\n  post: x\n  run: b", ("post is new",)),
        ("pre: a\n  run: b", "run: b", ("pre: a step is gone",)),
        ("run: b\n  env: {A: 1, B: 2}", "run: b\n  env: {A: 2, C: 3}", (
            "env: A changed", "env: B is gone", "env: C is new")),
        ("install: a b", "install: a c", ("install c is new", "install: b is gone")),
    ],
)  # fmt: skip
def test_a_changed_definition_is_told_in_the_words_of_the_file(
    place: Place, before: str, after: str, told: tuple[str, ...]
) -> None:
    place.why(before)
    assert place.why(after) == told


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("1 2 3 4", "1 2 x 4", "line 3 changed"),
        ("1 2 3 4", "1 x y 4", "lines 2 to 3 changed"),
        ("1 2 3 4", "1 2 2b 3 4", "line 3 is new"),
        ("1 2 3 4", "1 2 a b 3 4", "lines 3 to 4 are new"),
        ("1 2 3 4", "1 2 4", "line 3 is gone"),
        ("1 2 3 4", "1", "lines 2 to 4 are gone"),
        ("1 2 3 4", "x 2 3 y", "line 1 changed and 1 more"),
        ("1 2", "a b c", "lines 1 to 3 changed"),
    ],
)
def test_lines_are_counted_as_an_editor_does(
    place: Place, before: str, after: str, told: str
) -> None:
    def text(words: str) -> str:
        return "run: |\n" + "\n".join(f"    {word}" for word in words.split())

    place.why(text(before))
    assert place.why(text(after)) == (f"run: {told}",)


def test_the_nearest_older_key_is_the_one_from_which_least_changed(place: Place) -> None:
    place.why("copy: app /app")
    place.does("for i in 1 2 3 4 5 6 7 8 9; do echo > app/n$i; done")
    place.why("copy: app /app")
    place.does("rm app/n*; echo 2 > app/a")
    assert place.why("copy: app /app") == ("copy ./app: app/a changed",)


def test_of_very_many_reasons_some_are_told(place: Place) -> None:
    place.why("run: a")
    told = place.why("run: a\n  env: {" + ", ".join(f"V{n:02}: x" for n in range(20)) + "}")
    assert told[:2] == ("env: V00 is new", "env: V01 is new")
    assert told[-1] == "and 12 more"


def test_what_is_no_preimage_of_ours_explains_nothing(place: Place) -> None:
    place.older = [b"", b"[]", b"{}", b'{"steps": 7}', b'{"steps": [7]}', b'{"steps": [{}]}']
    place.older += [b'{"steps": [{"copy": 7}]}', b'{"steps": [{"copy": [{"files": []}]}]}']
    assert place.why("copy: app /app")
    assert place.why("copy: {src: app, dest: /b}") == ("copy ./app: another dest",)


def test_what_is_like_everything_else_is_told_by_its_own_words(place: Place) -> None:
    place.why("copy: app /app")
    gzip = {"compression": Compression.parse("gzip:0")}
    assert place.why("copy: app /app", **gzip) == ("the compression changed",)
    assert place.why("copy: app /app", epoch=1) == ("SOURCE_DATE_EPOCH changed",)
    assert place.why("copy: app /app\n  platform: linux/arm64") == ("the platform changed",)
