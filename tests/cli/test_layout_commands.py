from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.oci.layout import Layout

GENOCI = (sys.executable, "-m", "genoci")
Genoci = Callable[..., subprocess.CompletedProcess[str]]
OnTerminal = Callable[..., tuple[int, str]]


def test_ls_is_a_line_of_tag_and_digest_for_each_tag(genoci: Genoci, layout: Layout) -> None:
    ended = genoci("ls")
    tags = layout.tags()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        f"{tag} {tags[tag].digest}" for tag in ("app", "app-2026-11-23_1", "bare")
    ]


def test_ls_on_a_terminal_has_columns(on_a_terminal: OnTerminal, layout: Layout) -> None:
    status, shown = on_a_terminal("ls")
    header, app, _, bare = shown.splitlines()
    assert status == 0
    assert header.split() == ["TAG", "DIGEST", "SIZE", "CREATED", "PLATFORM"]
    digest = str(layout.tags()["app"].digest)[:19]
    assert app.split() == ["app", digest, "1.0", "kB", "2023-11-14", "22:13", "linux/amd64"]
    assert bare.index("linux") == header.index("PLATFORM")


def test_ls_as_json_is_an_array(genoci: Genoci, layout: Layout) -> None:
    rows = json.loads(genoci("ls", "--json").stdout)
    assert [row["tag"] for row in rows] == ["app", "app-2026-11-23_1", "bare"]
    assert rows[0] == {
        "tag": "app",
        "digest": str(layout.tags()["app"].digest),
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "size": 1024,
        "created": "2023-11-14T22:13:20Z",
        "platform": "linux/amd64",
    }


def test_ls_counts_as_people_do(genoci: Genoci, layout: Layout) -> None:
    app = layout.tags()["app"]
    layout.tag({f"app-2026-11-23_{n}": app for n in (2, 9, 10)})
    tags = [line.split()[0] for line in genoci("ls").stdout.splitlines()]
    assert tags[1:5] == [f"app-2026-11-23_{n}" for n in (1, 2, 9, 10)]


def test_ls_lists_a_tag_whose_image_is_damaged(
    genoci: Genoci, layout: Layout, on_a_terminal: OnTerminal
) -> None:
    layout.blobs.path(layout.tags()["bare"].digest).write_bytes(b"{}")
    assert genoci("ls").stdout.count("\n") == 3
    assert json.loads(genoci("ls", "--json").stdout)[2]["size"] is None
    assert on_a_terminal("ls")[1].splitlines()[3].split()[2:] == ["?", "?", "?"]


def test_ls_of_an_empty_layout_is_empty(genoci: Genoci, place: Path) -> None:
    Layout.create_or_open(place / "oci")
    assert genoci("ls").stdout == ""
    assert json.loads(genoci("ls", "--json").stdout) == []


def test_without_a_layout_the_error_tells_how_to_get_one(genoci: Genoci) -> None:
    for line in (["ls"], ["inspect", "a"], ["rm", "a"], ["gc"], ["tag", "a", "b"]):
        ended = genoci(*line)
        assert ended.returncode == 1
        assert "there is no OCI layout" in ended.stderr and "--layout" in ended.stderr


def test_inspect_shows_config_layers_and_history(genoci: Genoci, layout: Layout) -> None:
    shown = genoci("inspect", "app").stdout
    assert "entrypoint   /bin/echo 'a b'\n" in shown
    assert "env          PATH=/bin\n" in shown and "\n               LANG=C\n" in shown
    assert "size         1.0 kB in 1 layer\n" in shown
    assert "2023-11-14T22:13:20  run: make\n" in shown
    assert "cmd" not in shown


def test_inspect_as_json_has_the_documents_as_they_are_stored(
    genoci: Genoci, layout: Layout
) -> None:
    shown = json.loads(genoci("inspect", "app", "--json").stdout)
    stored = layout.blobs.path(layout.tags()["app"].digest).read_bytes()
    assert shown["manifest"] == json.loads(stored)
    assert shown["digest"] == str(layout.tags()["app"].digest)
    assert shown["config"]["config"]["Entrypoint"] == ["/bin/echo", "a b"]
    assert shown["layers"][0]["diffID"] == shown["config"]["rootfs"]["diff_ids"][0]
    assert shown["history"][0]["created_by"] == "run: make"


def test_what_an_image_says_can_not_rule_the_terminal(
    on_a_terminal: OnTerminal, layout: Layout, genoci: Genoci
) -> None:
    genoci("config", "app", "--label", "evil=\x1b]0;title\x07\x1b[2Jtext\nsecond: line")
    shown = on_a_terminal("inspect", "app")[1]
    assert "\x1b" not in shown and "\x07" not in shown
    assert "text\\nsecond: line" in shown


def test_tag_gives_an_image_another_tag_and_moves_it(genoci: Genoci, layout: Layout) -> None:
    digest = layout.tags()["app"].digest
    assert genoci("tag", "app", "stable").stdout == f"stable {digest}\n"
    assert layout.tags()["stable"].digest == digest
    moved = genoci("tag", "bare", "stable", "--json")
    assert json.loads(moved.stdout) == {
        "tag": "stable",
        "digest": str(layout.tags()["bare"].digest),
    }


def test_a_bad_new_tag_is_a_usage_error(genoci: Genoci, layout: Layout) -> None:
    before = layout.tags()
    assert genoci("tag", "app", "-x").returncode == 2
    assert genoci("tag", "app", "a b").returncode == 2
    assert genoci("tag", "app", "empty").returncode == 2
    assert layout.tags() == before


def test_an_unknown_tag_is_told_with_near_misses(genoci: Genoci, layout: Layout) -> None:
    for line in (
        ["inspect", "ap"],
        ["tag", "ap", "x"],
        ["rm", "ap"],
        ["config", "ap", "--cmd", "x"],
    ):
        ended = genoci(*line)
        assert ended.returncode == 1
        assert "there is no tag 'ap'" in ended.stderr and "Did you mean app" in ended.stderr


def test_rm_removes_all_of_the_tags_or_none(genoci: Genoci, layout: Layout) -> None:
    digest = layout.tags()["bare"].digest
    assert genoci("rm", "bare", "nope").returncode == 1
    assert "bare" in layout.tags()
    assert genoci("rm", "bare", "bare").stdout == f"bare {digest}\n"
    assert "bare" not in layout.tags()
    assert layout.has(digest)


def test_gc_drops_what_no_tag_reaches_and_says_so(genoci: Genoci, layout: Layout) -> None:
    genoci("rm", "bare")
    tried = genoci("gc", "--dry-run", "--json")
    ended = genoci("gc")
    report = json.loads(tried.stdout)
    assert report["dryRun"] and report["tags"] == [] and report["bytes"] > 0
    assert ended.stdout.splitlines() == [f"blob {digest}" for digest in report["blobs"]]
    assert ended.stderr.startswith("dropped 0 tags and ")
    assert genoci("gc").stderr.startswith("nothing to drop\nevery tag stays")
    assert genoci("gc", "--keep", "3").stderr == "nothing to drop\n"
    assert genoci("gc", "--progress", "quiet").stderr == ""


def test_gc_thins_out_dated_tags_when_asked(genoci: Genoci, layout: Layout) -> None:
    app = layout.tags()["app"]
    layout.tag({f"app-2001-01-0{n}_1": app for n in (1, 2, 3)})
    assert genoci("gc", "--keep", "1").stdout.splitlines() == [
        f"tag app-2001-01-0{n}_1" for n in (3, 2, 1)
    ]
    assert sorted(layout.tags()) == ["app", "app-2026-11-23_1", "bare"]


def config_of(layout: Layout, tag: str) -> dict[str, object]:
    found = layout.resolve(tag).config_mapping()["config"]
    assert isinstance(found, dict)
    return found


def test_config_changes_what_its_options_name_and_nothing_else(
    genoci: Genoci, layout: Layout
) -> None:
    line = "config app --env DEBUG=1 --env LANG- --label a=b --label=c= --expose 80/tcp --expose 53"
    line += " --volume /data --user nobody --workdir /srv --stopsignal 9"
    ended = genoci(*line.split(), "--cmd", "hello 'big world'")
    assert ended.stdout == f"app {layout.tags()['app'].digest}\n"
    assert config_of(layout, "app") == {
        "Entrypoint": ["/bin/echo", "a b"],
        "Cmd": ["hello", "big world"],
        "Env": ["PATH=/bin", "DEBUG=1"],
        "Labels": {"a": "b", "c": ""},
        "ExposedPorts": {"80/tcp": {}, "53": {}},
        "Volumes": {"/data": {}},
        "User": "nobody",
        "WorkingDir": "/srv",
        "StopSignal": "9",
    }
    assert layout.tags()["app-2026-11-23_1"] != layout.tags()["app"]


def test_config_takes_lists_as_the_yaml_keys_do(genoci: Genoci, layout: Layout) -> None:
    genoci("config", "app", "--entrypoint", "[/bin/sh, '-c', \"a b\"]", "--expose", "[80, 81/udp]")
    config = config_of(layout, "app")
    assert config["Entrypoint"] == ["/bin/sh", "-c", "a b"]
    assert config["ExposedPorts"] == {"80": {}, "81/udp": {}}
    genoci("config", "app", "--entrypoint", "[]", "--expose", "[]")
    assert not {"Entrypoint", "ExposedPorts"} & config_of(layout, "app").keys()


def test_config_changes_the_platform_and_annotations(genoci: Genoci, layout: Layout) -> None:
    genoci("config", "app", "--platform", "linux/arm/v7", "--annotation", "a.b=c d")
    image = layout.resolve("app")
    assert str(image.platform) == "linux/arm/v7"
    assert image.annotations == {"a.b": "c d"}


@pytest.mark.parametrize(
    ("words", "where", "what", "mend"),
    [
        (["--env", "X"], "--env", "'X' is no NAME=VALUE", "--env LANG-"),
        (["--env", "=x"], "--env", "empty", ""),
        (["--env", "-"], "--env", "'-' is no NAME=VALUE", ""),
        (["--user", "a b"], "--user", "neither USER nor USER:GROUP", "--user nobody"),
        (["--workdir", "srv"], "--workdir", "whole path", "--workdir /srv"),
        (["--stopsignal", "TERM"], "--stopsignal", "no signal", "SIGTERM"),
        (["--expose", "http"], "--expose", "number from 1 to 65535", "--expose 80/tcp"),
        (["--expose", "80", "--expose", "0"], "--expose", "number from 1 to 65535", ""),
        (["--volume", "data"], "--volume", "below `/`", "--volume /data"),
        (["--platform", "linux/x86_64"], "--platform", "no architecture", "amd64"),
        (["--entrypoint", "a 'b"], "--entrypoint", "never closed", ""),
        (["--entrypoint", ""], "--entrypoint", "is empty", "--entrypoint '[]'"),
        (["--cmd", "[a, b"], "--cmd", "", ""),
    ],
)
def test_config_refuses_what_the_yaml_reader_refuses(
    words: list[str], where: str, what: str, mend: str, genoci: Genoci, layout: Layout
) -> None:
    before = layout.tags()
    ended = genoci("config", "app", *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {where}: ") and what in ended.stderr
    assert mend in ended.stderr
    assert layout.tags() == before


def test_config_heeds_source_date_epoch(genoci: Genoci, layout: Layout) -> None:
    genoci("config", "app", "--cmd", "x", env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert layout.resolve("app").created == "2001-09-09T01:46:40Z"


def test_of_many_changes_at_once_none_is_lost(
    layout: Layout, place: Path, environment: dict[str, str]
) -> None:
    changes = [
        subprocess.Popen(
            [*GENOCI, "config", "app", "--label", f"n{n}=x"],
            cwd=place,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for n in range(8)
    ]
    assert [change.wait() for change in changes] == [0] * 8
    assert set(layout.resolve("app").labels) == {f"n{n}" for n in range(8)}
