"""The forms of `expand`, `copy` and `run`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import SpecError
from genoci.spec.target import Copy, Expand, Run, Target

Keys = Callable[[str], Target]


def expands(target: Target) -> list[Expand]:
    return [step for step in target.steps if isinstance(step, Expand)]


def copies(target: Target) -> list[Copy]:
    return [step for step in target.steps if isinstance(step, Copy)]


def runs(target: Target) -> list[Run]:
    return [step for step in target.steps if isinstance(step, Run)]


def names(folder: Path, sources: tuple[str, ...]) -> list[str]:
    """Absolute sources as they are named below the folder."""
    return [os.path.relpath(source, folder) for source in sources]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("one.tar", [["one.tar"]]),
        ("  ./one.tar\t.//two.tar ", [["one.tar", "two.tar"]]),
        ("two.tar one.tar", [["two.tar", "one.tar"]]),
        ("'*.tar'", [["a b.tar", "one.tar", "two.tar"]]),
        ("'[ot]*.tar rootfs*'", [["one.tar", "two.tar", "rootfs.tar.gz"]]),
        ("[a b.tar, one.tar]", [["a b.tar", "one.tar"]]),
        ("[one.tar, '*.gz']", [["one.tar", "rootfs.tar.gz"]]),
        ("{src: one.tar two.tar}", [["one.tar", "two.tar"]]),
        ("{src: [a b.tar]}", [["a b.tar"]]),
        ("[one.tar, {src: two.tar}, a b.tar]", [["one.tar"], ["two.tar"], ["a b.tar"]]),
    ],
)
def test_forms_of_expand(target: Keys, folder: Path, value: str, expected: list[list[str]]) -> None:
    assert [names(folder, e.sources) for e in expands(target(f"expand: {value}"))] == expected


def test_sources_are_absolute_and_without_dots(target: Keys, folder: Path) -> None:
    (step,) = expands(target(f"expand: [./one.tar, etc/../two.tar, {folder}/one.tar]"))
    assert step.sources == (f"{folder}/one.tar", f"{folder}/etc/../two.tar", f"{folder}/one.tar")


def test_a_file_whose_name_is_a_pattern_is_that_file(target: Keys, folder: Path) -> None:
    (folder / "[o]ne.tar").write_text("")
    (step,) = expands(target("expand: '[o]ne.tar'"))
    assert names(folder, step.sources) == ["[o]ne.tar"]


@pytest.mark.parametrize("prefix", ["", "sha256:"])
@pytest.mark.parametrize("digit", ["a", "A", "1"])
def test_a_sha256_is_lower_case_hexadecimal(target: Keys, prefix: str, digit: str) -> None:
    (step,) = expands(target(f"expand: {{src: one.tar, sha256: {prefix}{digit * 64}}}"))
    assert step.sha256 == digit.lower() * 64


@pytest.mark.parametrize(
    ("dest", "clean"),
    [("/", ""), ("opt", "opt"), ("/opt/", "opt"), ("/a/./b//../c/", "a/c"), (".", "")],
)
def test_the_dest_of_expand_is_clean(target: Keys, dest: str, clean: str) -> None:
    (step,) = expands(target(f"expand: {{src: one.tar, dest: {dest}}}"))
    assert step.dest == clean


def test_strip_is_a_number(target: Keys) -> None:
    (step,) = expands(target("expand: {src: one.tar, strip: 010}"))
    assert step.strip == 10


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hello.txt /etc/", [(["hello.txt"], "/etc/")]),
        ("hello.txt etc/greeting", [(["hello.txt"], "/etc/greeting")]),
        ("etc /etc", [(["etc"], "/etc")]),
        ("etc/ /", [(["etc"], "/")]),
        (". /srv", [(["."], "/srv")]),
        ("\"'a b.tar' '/x y'\"", [(["a b.tar"], "/x y")]),
        ("a\\ b.tar /x", [(["a b.tar"], "/x")]),
        ("'*.txt /'", [(["hello.txt"], "/")]),
        ("'etc/* /etc/'", [(["etc/motd"], "/etc/")]),
        ("[hello.txt /a, setup.sh /b]", [(["hello.txt"], "/a"), (["setup.sh"], "/b")]),
        ("{src: hello.txt, dest: /a}", [(["hello.txt"], "/a")]),
        ("{src: a b.tar, dest: a b}", [(["a b.tar"], "/a b")]),
        ("{src: [hello.txt, '*.sh'], dest: /a/}", [(["hello.txt", "setup.sh"], "/a/")]),
        ("[hello.txt /a, {src: etc, dest: b}]", [(["hello.txt"], "/a"), (["etc"], "/b")]),
    ],
)
def test_forms_of_copy(
    target: Keys, folder: Path, value: str, expected: list[tuple[list[str], str]]
) -> None:
    found = copies(target(f"copy: {value}"))
    assert [(names(folder, c.sources), c.dest) for c in found] == expected


@pytest.mark.parametrize(
    ("dest", "clean"),
    [
        *[("/", "/"), (".", "/"), ("./", "/"), ("a/..", "/"), ("//", "/")],
        *[("a", "/a"), ("/a/", "/a/"), ("a//b/./c", "/a/b/c"), ("a/.", "/a/"), ("a/../b/", "/b/")],
    ],
)
def test_the_dest_of_copy_is_clean_and_keeps_its_slash(target: Keys, dest: str, clean: str) -> None:
    (step,) = copies(target(f"copy: hello.txt {dest}"))
    assert step.dest == clean


@pytest.mark.parametrize("mode", ["0755", "755", "'0755'", "'755'", "0o755", "00755"])
def test_a_mode_is_octal_however_it_is_written(target: Keys, mode: str) -> None:
    (step,) = copies(target(f"copy: {{src: hello.txt, dest: /, mode: {mode}}}"))
    assert step.mode == 0o755


@pytest.mark.parametrize(("mode", "value"), [("0", 0), ("7777", 0o7777), ("4755", 0o4755)])
def test_a_mode_may_have_the_high_bits(target: Keys, mode: str, value: int) -> None:
    (step,) = copies(target(f"copy: {{src: hello.txt, dest: /, mode: {mode}}}"))
    assert step.mode == value


@pytest.mark.parametrize("owner", ["1000:1000", "0", "www-data", "www-data:33", "4294967294:0"])
def test_an_owner_is_a_user_or_a_user_and_a_group(target: Keys, owner: str) -> None:
    (step,) = copies(target(f"copy: {{src: hello.txt, dest: /, owner: {owner}}}"))
    assert step.owner == owner


def test_exclude_is_a_pattern_or_several(target: Keys) -> None:
    (one,) = copies(target("copy: {src: etc, dest: /, exclude: '*.o'}"))
    (two,) = copies(target("copy: {src: etc, dest: /, exclude: ['*.o', .git/]}"))
    assert (one.exclude, two.exclude) == (("*.o",), ("*.o", ".git/"))


def test_what_is_copied_from_an_image_stays_a_pattern(target: Keys) -> None:
    (step,) = copies(target("copy: {from: cirros, src: [/etc/*, 'no such'], dest: /}"))
    assert (step.image, step.sources) == ("cirros", ("/etc/*", "no such"))
    assert step.image_place is not None
    assert (step.image_place.line, step.image_place.column) == (3, 16)


def test_shell_text_is_kept_whole(target: Keys) -> None:
    found = target("run: |\n    a  b\n\n      'c\nenv: {}")
    assert [(r.shell, r.script) for r in runs(found)] == [("a  b\n\n  'c\n", None)]


def test_each_item_of_a_run_is_a_process(target: Keys) -> None:
    found = runs(target("run: [echo a, {shell: echo b, user: nobody, network: none}]"))
    assert [(r.shell, r.user, r.network) for r in found] == [
        ("echo a", None, True),
        ("echo b", "nobody", False),
    ]


@pytest.mark.parametrize("path", ["setup.sh", "./setup.sh", "a b.tar"])
def test_a_line_that_is_the_path_of_a_file_is_a_script(
    target: Keys, folder: Path, path: str
) -> None:
    (step,) = runs(target(f"run: {path}"))
    assert (step.script, step.shell) == (str(folder / path), None)
    assert step.implicit == path


def test_a_script_may_stand_after_a_bar(target: Keys, folder: Path) -> None:
    (step,) = runs(target("run: |\n    ./setup.sh"))
    assert (step.script, step.implicit) == (f"{folder}/setup.sh", "./setup.sh")


def test_a_script_that_is_called_one_is_not_implicit(target: Keys, folder: Path) -> None:
    (step,) = runs(target("run: {script: setup.sh}"))
    assert (step.script, step.shell, step.implicit) == (f"{folder}/setup.sh", None, None)


@pytest.mark.parametrize(
    "text", ["etc", "pipe", "lost", "loop", ".", "/", "setup.sh x", "no such", "x" * 5000, "true"]
)
def test_a_line_that_is_no_regular_file_is_shell_text(target: Keys, text: str) -> None:
    (step,) = runs(target(f"run: {text}"))
    assert (step.script, step.shell, step.implicit) == (None, text, None)


def test_two_lines_are_shell_text_even_if_each_is_a_file(target: Keys) -> None:
    (step,) = runs(target("run: |\n    setup.sh\n    setup.sh"))
    assert step.shell == "setup.sh\nsetup.sh\n"


def test_shell_text_that_is_called_so_is_never_a_script(target: Keys) -> None:
    (step,) = runs(target("run: {shell: setup.sh}"))
    assert (step.script, step.shell) == (None, "setup.sh")


def test_a_name_that_is_not_utf_8_is_refused_where_a_pattern_meets_it(
    target: Keys, folder: Path
) -> None:
    (folder / os.fsdecode(b"etc/\xff")).write_text("")
    assert len(copies(target("copy: etc /etc"))) == 1
    with pytest.raises(SpecError, match="is not UTF-8"):
        target("copy: 'etc/* /etc/'")


def test_a_file_that_may_not_be_read_is_an_error_for_an_ordinary_user(
    target: Keys, folder: Path
) -> None:
    (folder / "one.tar").chmod(0)
    if os.access(folder / "one.tar", os.R_OK):  # root, who may read everything
        assert len(expands(target("expand: one.tar"))) == 1
        return
    with pytest.raises(SpecError, match=r"`one\.tar` can't be read: Permission denied"):
        target("expand: one.tar")
