"""What is built twice, and what is not: as users see it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genoci.build.events import Finished, Output, Started, Warned
from genoci.build.operations import fsck
from genoci.build.request import Request
from genoci.build.schedule import plan
from genoci.errors import BuildError
from genoci.layer.compression import Compression
from genoci.oci.cache import is_cache_entry
from genoci.oci.gc import collect
from genoci.oci.index import read_index
from workshop import Workshop

TWO = """
base:
  base: empty
  copy: app /app
next:
  base: base
  copy: hello /
  env: {A: b}
"""


@pytest.fixture
def workshop(workshop: Workshop) -> Workshop:
    workshop.use_cache = True
    return workshop


@pytest.fixture
def inputs(workshop: Workshop) -> Workshop:
    workshop.write("app/main.py", "1")
    workshop.write("app/sub/other", "2")
    workshop.write("hello", "hello")
    return workshop


def cached(workshop: Workshop) -> dict[str, bool]:
    return {e.target: e.cached for e in workshop.events if isinstance(e, Finished)}


def built(workshop: Workshop) -> list[str]:
    return [name for name, was in cached(workshop).items() if not was]


def why(workshop: Workshop, yaml: str, **options: object) -> dict[str, tuple[str, ...]]:
    """What `plan` says; "cached" for what is."""
    request = Request(
        file=workshop.write("genoci.yaml", yaml),
        layout=workshop.layout_path,
        state=workshop.state,
        compression=Compression.parse("gzip"),
        **options,  # type: ignore[arg-type]
    )
    decided = plan(request, lambda event: None)
    return {t.name: ("cached",) if it.result is not None else it.reasons for t, it in decided}


def test_what_did_not_change_is_not_built_again(inputs: Workshop) -> None:
    first = inputs.build(TWO)
    assert built(inputs) == ["base", "next"]
    second = inputs.build(TWO)
    assert built(inputs) == []
    assert [it.digest for it in second.built] == [it.digest for it in first.built]
    assert [it.tags[1].rpartition("_")[2] for it in second.built] == ["2", "2"]


def test_the_times_of_inputs_do_not_count(inputs: Workshop) -> None:
    inputs.build(TWO)
    os.utime(inputs.folder / "app" / "main.py", (1, 1))
    inputs.build(TWO)
    assert built(inputs) == []


def test_comments_order_and_the_place_in_the_file_do_not_count(inputs: Workshop) -> None:
    inputs.build(TWO)
    turned = """
# a comment
next:
  env: {A: b}
  copy: [hello /]
  base: base
x: {base: empty, copy: hello /x}
base:
  copy: {src: app, dest: /app}
  base: empty
"""
    inputs.build(turned, "next")
    assert built(inputs) == []


def test_a_target_of_another_name_takes_the_same_layer(inputs: Workshop) -> None:
    inputs.build("one: {base: empty, copy: app /app}")
    inputs.build("two: {base: empty, copy: app /app}")
    assert built(inputs) == []
    assert inputs.layers("one") == inputs.layers("two")


def test_a_folder_that_was_moved_with_its_file_is_not_built_again(
    inputs: Workshop, tmp_path: Path
) -> None:
    inputs.build(TWO)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (inputs.folder / "app").rename(elsewhere / "app")
    (inputs.folder / "hello").rename(elsewhere / "hello")
    (elsewhere / "other.yaml").write_text(TWO)
    inputs.build(
        TWO.replace("app /app", "elsewhere/app /app").replace("hello /", "elsewhere/hello /")
    )
    assert built(inputs) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("echo 9 > app/main.py", "copy ./app: app/main.py changed"),
        ("chmod 700 app/main.py", "copy ./app: app/main.py has the mode 0700 and had 0644"),
        ("chmod 700 app/sub", "copy ./app: app/sub has the mode 0700 and had 0755"),
        ("chmod 700 app", "copy ./app: app has the mode 0700 and had 0755"),
        ("rm app/sub/other", "copy ./app: app/sub/other is gone"),
        ("touch app/new", "copy ./app: app/new is new"),
        ("mkdir app/new app/also", "copy ./app: app/also is new and 1 more"),
        ("rm app/main.py; ln -s 1 app/main.py", "copy ./app: app/main.py is a link now"),
        ("mv app/main.py app/renamed", "copy ./app: app/main.py is gone and 1 more"),
    ],
)
def test_a_changed_input_is_found_and_named(inputs: Workshop, change: str, reason: str) -> None:
    inputs.build(TWO)
    subprocess.run(["sh", "-c", change], cwd=inputs.folder, check=True)
    assert why(inputs, TWO) == {"base": (reason,), "next": ("base: base is built first",)}
    inputs.build(TWO)
    assert "base" in built(inputs)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("copy: hello /", "copy: hello /there/", "copy ./hello: another dest"),
        ("copy: hello /", "copy: {src: hello, dest: /, mode: 0600}", "copy ./hello: another mode"),
        ("copy: hello /", "copy: {src: hello, dest: /, owner: 1:1}", "copy ./hello: another owner"),
        ("copy: hello /", "copy: [hello /, hello /twice]", "copy ./hello is new"),
        ("expand: a.tar", "expand: {src: a.tar, strip: 1}", "expand ./a.tar: another strip"),
        ("expand: a.tar", "expand: b.tar", "expand ./b.tar changed"),
    ],
)
def test_a_changed_definition_is_named(
    inputs: Workshop, before: str, after: str, reason: str
) -> None:
    inputs.tarball("a.tar", ("x/a", "a"))
    inputs.tarball("b.tar", ("x/b", "b"))
    inputs.build(f"t: {{base: empty, {before}}}")
    assert why(inputs, f"t: {{base: empty, {after}}}") == {"t": (reason,)}
    inputs.build(f"t: {{base: empty, {after}}}")
    assert built(inputs) == ["t"]


def test_the_lines_of_a_run_that_changed_are_named(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"""
base: {{base: empty, expand: {rootfs}}}
t:
  base: base
  run: |
    echo one > /one
    echo two > /two
    echo three > /three
"""
    workshop.build(yaml)
    assert why(workshop, yaml)["t"] == ("cached",)
    assert why(workshop, yaml.replace("two > /two", "2 > /two"))["t"] == ("run: line 2 changed",)
    assert why(workshop, yaml.replace("    echo three > /three\n", ""))["t"] == (
        "run: line 3 is gone",
    )


def test_a_script_counts_by_its_content(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"""
base: {{base: empty, expand: {rootfs}}}
t: {{base: base, run: ./setup.sh}}
"""
    script = workshop.write("setup.sh", "echo 1 > /a\necho 2 > /b\n")
    workshop.build(yaml)
    script.write_text("echo 1 > /a\necho 3 > /b\n")
    assert why(workshop, yaml)["t"] == ("run ./setup.sh: line 2 changed",)
    workshop.build(yaml)
    assert workshop.text("t", "b") == "3\n"


def test_what_a_command_sees_of_the_config_counts_and_the_rest_does_not(
    workshop: Workshop, rootfs: Path
) -> None:
    yaml = f"""
base: {{base: empty, expand: {rootfs}, env: {{A: "1"}}}}
t: {{base: base, run: echo $A > /a, labels: {{l: "1"}}}}
"""
    workshop.build(yaml)
    assert why(workshop, yaml.replace('l: "1"', 'l: "2"'))["t"] == ("cached",)
    other = yaml.replace('A: "1"', 'A: "2"')
    assert why(workshop, other) == {"base": ("cached",), "t": ("env: A changed",)}
    workshop.build(other.replace('l: "1"', 'l: "2"'))
    assert workshop.text("t", "a") == "2\n"
    assert workshop.image("t").labels == {"l": "2"}


def test_a_label_is_applied_to_a_cached_layer(inputs: Workshop) -> None:
    inputs.build(TWO)
    inputs.build(TWO.replace("env: {A: b}", "labels: {x: y}"))
    assert built(inputs) == []
    assert inputs.image("next").labels == {"x": "y"}
    assert inputs.image("next").env == {}


def test_going_back_to_an_older_state_hits(inputs: Workshop) -> None:
    for content, expected in (("A", ["base", "next"]), ("B", ["base", "next"]), ("A", [])):
        inputs.write("app/main.py", content)
        inputs.build(TWO)
        assert built(inputs) == expected


def test_an_unchanged_child_of_an_identical_parent_hits(inputs: Workshop) -> None:
    inputs.build(TWO)
    inputs.build(TWO, uncached=("base",))
    assert cached(inputs) == {"base": False, "next": True}


def test_without_the_cache_all_is_built(inputs: Workshop) -> None:
    inputs.build(TWO)
    inputs.build(TWO, use_cache=False)
    assert built(inputs) == ["base", "next"]


@pytest.mark.usefixtures("epoch")
def test_the_epoch_and_the_compression_count(inputs: Workshop) -> None:
    inputs.build(TWO, epoch=1_700_000_000)
    assert why(inputs, TWO, epoch=1_600_000_000)["base"] == ("SOURCE_DATE_EPOCH changed",)
    inputs.build(TWO, epoch=1_700_000_000, compression=Compression.parse("gzip:1"))
    assert built(inputs) == []
    inputs.build(TWO, epoch=1_700_000_000, compression=Compression.parse("zstd"))
    assert built(inputs) == ["base", "next"]


def test_what_changes_nothing_is_remembered_too(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"""
base: {{base: empty, expand: {rootfs}}}
t: {{base: base, run: "true"}}
"""
    workshop.build(yaml)
    workshop.build(yaml)
    assert built(workshop) == []
    assert workshop.layers("t") == workshop.layers("base")


def test_copying_from_an_image_counts_its_content(inputs: Workshop) -> None:
    yaml = """
origin: {base: empty, copy: app /app}
t: {base: empty, copy: {from: origin, src: /app/main.py, dest: /}}
"""
    inputs.build(yaml)
    assert why(inputs, yaml)["t"] == ("cached",)
    inputs.write("app/main.py", "changed")
    assert why(inputs, yaml)["t"] == ("copy: origin is built first",)
    inputs.build(yaml)
    assert built(inputs) == ["origin", "t"]
    assert inputs.text("t", "main.py") == "changed"


def test_a_missing_layer_is_a_miss_said_aloud(inputs: Workshop) -> None:
    inputs.build(TWO)
    layer = inputs.image("base").layers[0].descriptor.digest
    inputs.layout.blobs.remove(layer)
    outcome = inputs.build(TWO)
    assert outcome.ok
    assert "base" in built(inputs)
    said = [event.what for event in inputs.events if isinstance(event, Warned)]
    assert any("base is damaged" in what for what in said)
    assert fsck(inputs.layout, print) == []


def test_a_damaged_layer_is_built_again_and_replaced(inputs: Workshop) -> None:
    inputs.build(TWO)
    inputs.build(TWO)
    assert built(inputs) == []
    blob = inputs.layout.blobs.path(inputs.image("base").layers[0].descriptor.digest)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(content)
    inputs.build(TWO)
    assert built(inputs) == ["base"]
    assert fsck(inputs.layout, print) == []


def test_a_target_may_refuse_the_cache_or_outlive_it(
    inputs: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = """
never: {base: empty, copy: hello /, cache: never}
week: {base: empty, copy: hello /w, cache: 1w}
"""
    inputs.build(yaml)
    inputs.build(yaml)
    assert cached(inputs) == {"never": False, "week": True}
    later = time.time() + 8 * 86400
    monkeypatch.setattr("genoci.build.plan.time.time", lambda: later)
    assert why(inputs, yaml) == {
        "never": ("cache: never",),
        "week": ("it is older than its `cache` allows",),
    }
    inputs.build(yaml)
    assert cached(inputs) == {"never": False, "week": False}


def test_expecting_everything_cached_builds_nothing_else(inputs: Workshop) -> None:
    with pytest.raises(BuildError, match="2 of 2 targets would be built") as error:
        inputs.build(TWO, expect_cached=True)
    assert error.value.mend.splitlines() == [
        "base: it was never built",
        "next: base: base is built first",
    ]
    assert inputs.layout.tags() == {}
    inputs.build(TWO)
    assert inputs.build(TWO, expect_cached=True).ok


def test_explaining_tells_why_while_it_builds(inputs: Workshop) -> None:
    inputs.build(TWO)
    inputs.write("app/main.py", "changed")
    inputs.build(TWO, explain=True)
    because = {e.target: e.because for e in inputs.events if isinstance(e, Started)}
    assert because == {
        "base": ("copy ./app: app/main.py changed",),
        "next": ("base: base changed",),
    }


def test_gc_drops_what_no_tag_reaches_and_keeps_what_one_does(inputs: Workshop) -> None:
    import datetime

    inputs.build(TWO, dated_tags=False)
    inputs.write("hello", "changed")
    inputs.build(TWO, dated_tags=False)
    entries = [e for e in read_index(inputs.layout.index_path).entries if is_cache_entry(e)]
    assert len(entries) == 3
    report = collect(inputs.layout, today=datetime.date(2026, 11, 23))
    assert report.bytes > 0
    entries = [e for e in read_index(inputs.layout.index_path).entries if is_cache_entry(e)]
    assert len(entries) == 2
    inputs.build(TWO, dated_tags=False)
    assert built(inputs) == []
    assert fsck(inputs.layout, print) == []
    inputs.layout.untag(["base", "next"])
    collect(inputs.layout, today=datetime.date(2026, 11, 23))
    assert list(inputs.layout.blobs.digests()) == []


def test_an_input_that_changes_during_the_build_is_not_remembered(
    workshop: Workshop, rootfs: Path
) -> None:
    """Its key was that of what it held before; what was built is not."""
    yaml = f"""
t:
  base: empty
  steps:
    - expand: {rootfs}
    - run: echo running
    - copy: late /
"""
    late = workshop.write("late", "before")

    def change(event: object) -> None:
        if isinstance(event, Output):
            late.write_text("after")

    workshop.build(yaml, on_event=change)
    late.write_text("before")
    workshop.build(yaml)
    assert built(workshop) == ["t"]
    assert workshop.text("t", "late") == "before"


_BUILD = """
import sys
import time
from pathlib import Path
from genoci.build.schedule import Request, build
from genoci.layer.compression import Compression
folder = Path(sys.argv[1])
request = Request(file=folder / "genoci.yaml", layout=folder / "oci", state=folder / "state",
                  compression=Compression.parse("gzip"))
outcome = build(request, lambda event: None)
assert outcome.ok
print(*(finished.cached for finished in outcome.built))
"""


def test_of_many_who_build_the_same_at_once_one_does(workshop: Workshop, rootfs: Path) -> None:
    yaml = f"""
base: {{base: empty, expand: {rootfs}}}
t: {{base: base, run: head -c 8 /dev/urandom > /random}}
"""
    workshop.write("genoci.yaml", yaml)
    command = [sys.executable, "-c", _BUILD, workshop.folder]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    told = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * 5
    assert sum(words.count("False") for words in told) == 2
    assert not list((workshop.state / "building").iterdir())


def test_the_layout_stays_what_other_tools_know(inputs: Workshop) -> None:
    inputs.build(TWO)
    listed = subprocess.run(
        ["umoci", "ls", "--layout", inputs.layout_path], check=True, capture_output=True, text=True
    )
    assert "next" in listed.stdout.split()
    subprocess.run(["umoci", "gc", "--layout", inputs.layout_path], check=True)
    inputs.build(TWO)
    assert built(inputs) == []
    target = f"oci:{inputs.folder}/copy:next"
    source = f"oci:{inputs.layout_path}:next"
    subprocess.run(["skopeo", "copy", "--quiet", source, target], check=True)
