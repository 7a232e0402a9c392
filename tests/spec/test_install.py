"""The forms of `install`, `pre` and `post`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import SpecError
from genoci.spec.target import Hook, Install, Package, Target

Keys = Callable[[str], Target]
DIGEST = "0123456789abcdef" * 4


def packages(target: Target) -> tuple[Package, ...]:
    """Those of the target's one step."""
    (step,) = target.steps
    assert isinstance(step, Install)
    return step.packages


def words(folder: Path, target: Target) -> list[str]:
    """Each package as it was written, files with a `./`."""
    return [
        f"./{os.path.relpath(p.path, folder)}" if p.path else p.url or p.name or "?"
        for p in packages(target)
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("curl", ["curl"]),
        ("  curl\t jq ", ["curl", "jq"]),
        ("[curl, jq]", ["curl", "jq"]),
        ("hello.deb", ["./hello.deb"]),
        ("./hello.deb hello.rpm curl", ["./hello.deb", "./hello.rpm", "curl"]),
        ("'*.deb'", ["./a b.deb", "./hello.deb", "./world.deb"]),
        ("'./[hw]*.deb'", ["./hello.deb", "./world.deb"]),
        ("[a b.deb]", ["./a b.deb"]),
        ("./setup.sh", ["./setup.sh"]),
        ("{src: hello.deb world.deb}", ["./hello.deb", "./world.deb"]),
        ("{src: [a b.deb, '*.rpm']}", ["./a b.deb", "./hello.rpm"]),
        ("[curl, {src: hello.deb}, jq]", ["curl", "./hello.deb", "jq"]),
        ("{name: curl/bookworm-backports}", ["curl/bookworm-backports"]),
        (f"{{src: 'https://h/a', sha256: {DIGEST}}}", ["https://h/a"]),
        (f"{{src: ['HTTP://h:80/a?b=c'], sha256: {DIGEST}}}", ["HTTP://h:80/a?b=c"]),
    ],
)
def test_forms_of_install(target: Keys, folder: Path, value: str, expected: list[str]) -> None:
    assert words(folder, target(f"install: {value}")) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("g++", "libstdc++6", "python3.11", "X11", "7zip", "kernel-devel", "java-17-openjdk_x"),
        *("libc6:i386", "curl=7.88.1-10+deb12u8", "vim=2:9.0.1378-2~bpo11+1", "a:amd64=1.0"),
        *("bash-5.2.26-3.fc40.x86_64", "jq=1.7.1-r0", "zlib=1.2^20240101-1"),
    ],
)
def test_names_that_packages_have(target: Keys, name: str) -> None:
    (package,) = packages(target(f"install: {name}"))
    assert (package.name, package.path, package.url) == (name, None, None)


def test_what_is_named_twice_is_installed_once(target: Keys, folder: Path) -> None:
    found = words(folder, target("install: hello.deb curl ./[hw]*.deb curl"))
    assert found == ["./hello.deb", "curl", "./world.deb"]


def test_a_file_is_a_file_only_by_its_slash_or_its_ending(target: Keys, folder: Path) -> None:
    (folder / "curl").write_text("")
    assert words(folder, target("install: curl")) == ["curl"]
    assert words(folder, target("install: ./curl")) == ["./curl"]


def test_options_go_to_each_file_of_a_mapping(target: Keys, folder: Path) -> None:
    found = packages(target("install: {src: '[hw]*.deb', deps: repo, scripts: skip}"))
    assert [(p.deps_from_repo, p.skip_scripts) for p in found] == [(True, True)] * 2
    (plain,) = packages(target("install: hello.deb"))
    assert (plain.deps_from_repo, plain.skip_scripts, plain.sha256) == (False, False, None)


@pytest.mark.parametrize("src", ["hello.deb", "'https://example.org/x'", "'http://[::1]:80/x'"])
def test_a_digest_goes_with_a_file_or_an_address(target: Keys, src: str) -> None:
    (package,) = packages(target(f"install: {{src: {src}, sha256: 'sha256:{DIGEST.upper()}'}}"))
    assert package.sha256 == DIGEST


def test_each_install_of_steps_is_a_step(target: Keys) -> None:
    found = target("steps: [{install: [curl, jq]}, {run: x}, {install: hello.deb}]")
    sizes = [len(step.packages) if isinstance(step, Install) else 0 for step in found.steps]
    assert sizes == [2, 0, 1]


def test_install_comes_after_copy_and_before_run(target: Keys) -> None:
    found = target("run: x\ninstall: curl\ncopy: hello.txt /\nexpand: one.tar")
    kinds = [type(step).__name__ for step in found.steps]
    assert kinds == ["Expand", "Copy", "Install", "Run"]


@pytest.mark.parametrize(
    "address", ["https://u:geheim@h/a.deb", "https://h/a.deb?geheim", "x://geheim@h"]
)
def test_what_may_be_secret_in_an_address_is_in_no_message(target: Keys, address: str) -> None:
    with pytest.raises(SpecError) as caught:
        target(f"install: '{address}'")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("key", ["pre", "post"])
def test_forms_of_hooks(target: Keys, folder: Path, key: str) -> None:
    found = target(f"{key}: [setup.sh, echo a, {{script: ./setup.sh}}, {{shell: setup.sh}}]")
    hooks = {"pre": found.pre, "post": found.post}
    assert [(h.script, h.shell) for h in hooks.pop(key)] == [
        (f"{folder}/setup.sh", None),
        (None, "echo a"),
        (f"{folder}/setup.sh", None),
        (None, "setup.sh"),
    ]
    assert list(hooks.values()) == [()]


def test_hooks_stand_beside_steps_and_alone(target: Keys) -> None:
    found = target("pre: |\n    a\n    b\nsteps: [{run: x}]\npost: c")
    assert [hook.shell for hook in (*found.pre, *found.post)] == ["a\nb\n", "c"]
    alone = target("post: c")
    assert alone.steps == ()
    assert isinstance(alone.post[0], Hook)
