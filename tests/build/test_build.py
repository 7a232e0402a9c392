"""What a YAML file becomes: tags, layers, configs."""

from __future__ import annotations

import datetime
import os
import tarfile
from pathlib import Path

import pytest

from genoci.build.events import Failed, Skipped, Stepped
from genoci.errors import SpecError, UsageError
from genoci.layer.entry import Kind
from workshop import Workshop, member


def test_a_build_tags_the_name_and_a_dated_twin(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    outcome = workshop.build("a: {base: empty, expand: a.tar}")
    today = datetime.date.today().isoformat()
    assert outcome.ok
    assert set(workshop.layout.tags()) == {"a", f"a-{today}_1"}


def test_a_second_build_counts_on_and_gives_the_same_images(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    workshop.build("a: {base: empty, expand: a.tar}")
    workshop.build("a: {base: empty, expand: a.tar}")
    today = datetime.date.today().isoformat()
    tags = workshop.layout.tags()
    assert set(tags) == {"a", f"a-{today}_1", f"a-{today}_2"}
    assert len({str(descriptor.digest) for descriptor in tags.values()}) == 1


def test_no_dated_tags_makes_none(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    workshop.build("a: {base: empty, expand: a.tar}", dated_tags=False)
    assert set(workshop.layout.tags()) == {"a"}


def test_keep_thins_out_the_dated_tags_of_a_target(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    for _ in range(4):
        workshop.build("genoci: {keep: 2}\na: {base: empty, expand: a.tar}")
    today = datetime.date.today().isoformat()
    assert set(workshop.layout.tags()) == {"a", f"a-{today}_3", f"a-{today}_4"}


def test_run_changes_the_root_and_prints_all_of_its_output(
    workshop: Workshop, rootfs: Path
) -> None:
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "hello:\n  base: base\n  run: |\n    echo one; echo two >&2; printf three\n"
        "    echo hi > /etc/greeting\n"
    )
    assert outcome.ok, outcome
    assert workshop.output() == "one\ntwo\nthree"
    assert workshop.text("hello", "etc/greeting") == "hi\n"
    assert workshop.layers("hello")[:-1] == workshop.layers("base")


def test_a_target_that_changes_nothing_adds_no_layer(workshop: Workshop, rootfs: Path) -> None:
    workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "same: {base: base, run: 'true', labels: {a: b}}\n"
    )
    assert workshop.layers("same") == workshop.layers("base")
    assert workshop.image("same").labels == {"a": "b"}


def test_the_steps_run_in_their_order(workshop: Workshop, rootfs: Path) -> None:
    workshop.write("late", "late")
    workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "a:\n  base: base\n  steps:\n"
        "  - run: test ! -e /late\n"
        "  - copy: late /late\n"
        "  - run: test -e /late && rm /late\n"
        "  - run: test ! -e /late && echo done\n"
    )
    assert workshop.output() == "done\n"
    steps = [event.step for event in workshop.events if isinstance(event, Stepped)]
    assert [step.split(":")[0] for step in steps] == ["expand", "run", "copy", "run", "run"]


def test_a_failed_step_tells_the_place_the_status_and_its_last_lines(
    workshop: Workshop, rootfs: Path
) -> None:
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "bad:\n  base: base\n  run: |\n    for i in 1 2 3; do echo line $i; done\n    exit 7\n"
        "child: {base: bad, labels: {a: b}}\n"
    )
    (failure,) = outcome.failed
    assert failure.kind == "StepFailed"
    assert failure.status == 7
    assert failure.tail == ("line 1", "line 2", "line 3")
    assert "target bad" in failure.where
    assert "genoci shell --failed" in failure.mend
    assert outcome.skipped == (Skipped(target="child", because="bad"),)
    assert "bad" not in workshop.layout.tags()
    assert "base" in workshop.layout.tags()


def test_keep_going_builds_what_does_not_need_the_failed(workshop: Workshop, rootfs: Path) -> None:
    yaml = (
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "bad: {base: base, run: 'false'}\n"
        "child: {base: bad, labels: {a: b}}\n"
        "good: {base: base, labels: {a: b}}\n"
    )
    assert {event.target for event in workshop.build(yaml).skipped} == {"child", "good"}
    outcome = workshop.build(yaml, keep_going=True)
    assert {event.target for event in outcome.skipped} == {"child"}
    assert "good" in workshop.layout.tags()


def test_a_mistake_in_the_file_is_found_before_anything_is_built(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    with pytest.raises(SpecError):
        workshop.build("a: {base: empty, expand: a.tar}\nb: {base: nowhere, run: x}\n")
    assert not workshop.layout_path.exists()


def test_only_the_wanted_targets_and_what_they_stand_on_are_built(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    yaml = "a: {base: empty, expand: a.tar}\nb: {base: a, labels: {x: y}}\nc: {base: a, user: me}\n"
    workshop.build(yaml, "b", dated_tags=False)
    assert set(workshop.layout.tags()) == {"a", "b"}


def test_a_base_may_be_a_tag_of_the_layout(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    workshop.build("a: {base: empty, expand: a.tar}")
    assert workshop.build("b: {base: a, labels: {x: y}}").ok
    assert workshop.layers("b") == workshop.layers("a")


def test_copy_takes_files_directories_and_modes(workshop: Workshop) -> None:
    workshop.write("app/bin/tool", "#!/bin/sh\n", 0o755)
    workshop.write("app/data", "data", 0o640)
    os.symlink("data", workshop.folder / "app" / "link")
    workshop.write("one", "1")
    outcome = workshop.build(
        "a:\n  base: empty\n  copy:\n  - ./app /opt/app\n  - one /etc/renamed\n  - one /etc/\n"
        "  - {src: one, dest: /bin/run, mode: 0755, owner: '7:8'}\n"
    )
    assert outcome.ok, outcome
    tree = workshop.tree("a")

    def entry(path: bytes):  # type: ignore[no-untyped-def]
        node = tree.node(path)
        assert node is not None, path
        return node.entry

    assert entry(b"opt/app/bin/tool").mode == 0o755
    assert entry(b"opt/app/data").mode == 0o640
    assert entry(b"opt/app/link").link == b"data"
    assert entry(b"etc/renamed").kind is Kind.FILE
    assert entry(b"etc/one").size == 1
    assert (entry(b"bin/run").uid, entry(b"bin/run").gid, entry(b"bin/run").mode) == (7, 8, 0o755)
    assert (entry(b"opt/app/data").uid, entry(b"opt/app/data").gid) == (0, 0)
    source = (workshop.folder / "app" / "data").stat().st_mtime_ns
    assert entry(b"opt/app/data").mtime == source


def test_copy_excludes_what_matches(workshop: Workshop) -> None:
    for name in ("keep", "drop.pyc", "sub/drop.pyc", "sub/keep", ".git/config"):
        workshop.write(f"app/{name}", "x")
    workshop.build("a: {base: empty, copy: {src: app, dest: /a, exclude: ['*.pyc', .git]}}")
    tree = workshop.tree("a")
    assert sorted(tree.names(b"a")) == [b"keep", b"sub"]
    assert tree.names(b"a/sub") == [b"keep"]


def test_copy_from_takes_files_of_another_target(workshop: Workshop) -> None:
    workshop.tarball("a.tar", member("d", tarfile.DIRTYPE), ("d/x", "content"), ("y", "other"))
    workshop.build(
        "a: {base: empty, expand: a.tar}\n"
        "b:\n  base: empty\n  copy:\n  - {src: /d, dest: /e, from: a}\n"
        "  - {src: /y, dest: /z, from: a}\n"
    )
    assert workshop.text("b", "e/x") == "content"
    assert workshop.text("b", "z") == "other"


def test_a_copy_goes_where_the_links_of_the_base_lead(workshop: Workshop) -> None:
    workshop.tarball(
        "a.tar",
        member("usr", tarfile.DIRTYPE),
        member("usr/bin", tarfile.DIRTYPE),
        member("bin", tarfile.SYMTYPE, linkname="usr/bin"),
    )
    workshop.write("tool", "x")
    workshop.build("a: {base: empty, expand: a.tar}\nb: {base: a, copy: tool /bin/tool}\n")
    tree = workshop.tree("b")
    node = tree.node(b"bin")
    assert node is not None and node.entry.kind is Kind.SYMLINK
    assert tree.node(b"usr/bin/tool") is not None


def test_a_wrong_sha256_fails_the_target(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    outcome = workshop.build(f"a: {{base: empty, expand: {{src: a.tar, sha256: {'0' * 64}}}}}")
    assert "sha256" in outcome.failed[0].what
    assert workshop.layout.tags() == {}


def test_a_cut_off_tarball_fails_the_target_and_tags_nothing(workshop: Workshop) -> None:
    path = workshop.tarball("a.tar", ("hello", "w" * 5000))
    path.write_bytes(path.read_bytes()[:3000])
    outcome = workshop.build("a: {base: empty, expand: a.tar}")
    assert outcome.failed[0].kind == "ArchiveError"
    assert workshop.layout.tags() == {}


def test_expand_strips_and_moves(workshop: Workshop) -> None:
    workshop.tarball("a.tar", member("top", tarfile.DIRTYPE), ("top/x", "1"))
    workshop.build("a: {base: empty, expand: {src: a.tar, dest: /opt, strip: 1}}")
    assert workshop.text("a", "opt/x") == "1"


def test_several_tarballs_lie_one_over_the_other(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("x", "old"), ("y", "stays"))
    workshop.tarball("b.tar", ("x", "new"))
    workshop.build("a: {base: empty, expand: a.tar b.tar}")
    assert (workshop.text("a", "x"), workshop.text("a", "y")) == ("new", "stays")


def test_config_keys_change_the_config_and_nothing_else(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    workshop.build(
        "a: {base: empty, expand: a.tar, env: {A: 1, B: 2}, entrypoint: /bin/a -b, cmd: c}\n"
        "b:\n  base: a\n  entrypoint: [/x]\n  env: {B: null, C: 3}\n  workdir: /w\n"
        "  user: me\n  stopsignal: SIGINT\n  expose: [80/tcp]\n  volumes: [/v]\n"
        "  labels: {l: 1}\n  annotations: {n: 1}\n  platform: linux/arm64/v8\n"
    )
    a, b = workshop.image("a"), workshop.image("b")
    assert (a.entrypoint, a.cmd) == (("/bin/a", "-b"), ("c",))
    assert (b.entrypoint, b.cmd) == (("/x",), ())
    assert b.env == {"A": "1", "C": "3"}
    mapping = b.config_mapping()
    assert (mapping["architecture"], mapping["variant"]) == ("arm64", "v8")
    assert mapping["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert mapping["config"]["Volumes"] == {"/v": {}}
    assert mapping["config"]["StopSignal"] == "SIGINT"
    assert b.annotations == {"n": "1"}
    assert b.layers == a.layers


def test_no_path_of_the_host_is_in_the_history(workshop: Workshop, rootfs: Path) -> None:
    workshop.write("app/x", "x")
    workshop.build(
        f"a:\n  base: empty\n  steps:\n  - expand: {rootfs}\n  - copy: ./app /app\n"
        "  - run: 'true'\n"
    )
    text = workshop.image("a").config_raw.decode()
    assert str(workshop.folder) not in text
    assert str(rootfs.parent) not in text
    assert "copy: app /app" in text


def test_a_worker_that_finds_a_bug_says_so_and_fails_its_target(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("genoci.build.worker.finished", broken)
    workshop.tarball("a.tar", ("hello", "world"))
    outcome = workshop.build("a: {base: empty, expand: a.tar}")
    assert isinstance(outcome.failed[0], Failed)
    assert outcome.failed[0].kind == "RuntimeError"


def test_what_a_failed_build_left_is_kept_until_the_next_one(
    workshop: Workshop, rootfs: Path
) -> None:
    def failed() -> list[Path]:
        return list(workshop.state.glob("snapshots/*/*/kept-*"))

    base = f"base: {{base: empty, expand: {rootfs}}}\n"
    assert not workshop.build(f"{base}bad: {{base: base, run: 'touch /evidence; false'}}\n").ok
    assert len(failed()) == 1
    assert workshop.build(f"{base}good: {{base: base, run: 'true'}}\n").ok
    assert failed() == []


def test_a_state_that_can_not_be_is_told_before_anything_is_built(workshop: Workshop) -> None:
    workshop.tarball("a.tar", ("hello", "world"))
    workshop.state = workshop.write("file", "")
    with pytest.raises(UsageError, match="state"):
        workshop.build("a: {base: empty, expand: a.tar}")
    assert not workshop.layout_path.exists()
    workshop.state.unlink()


def test_output_that_is_cut_within_a_character_arrives_whole(
    workshop: Workshop, rootfs: Path
) -> None:
    workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        "t:\n  base: base\n  run: |\n    printf 'a\\303'; sleep 0.2; printf '\\244b\\377\\n'\n"
    )
    assert workshop.output() == "a\u00e4b\\xff\n"


def test_a_shell_text_may_be_longer_than_an_argument(workshop: Workshop, rootfs: Path) -> None:
    lines = "".join(f"    : {number} {'x' * 100}\n" for number in range(2000))
    outcome = workshop.build(
        f"base: {{base: empty, expand: {rootfs}}}\n"
        f"t:\n  base: base\n  run: |\n{lines}    echo end\n"
    )
    assert outcome.ok, outcome.failed
    assert workshop.output() == "end\n"
