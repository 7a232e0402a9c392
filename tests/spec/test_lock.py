"""The lock file: what is read, what is refused, and what it must cover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genoci.errors import SpecError
from genoci.spec.lock import Lock, Locked, as_line, beside, check_covers, read_lock
from genoci.spec.pinned import Pinned
from genoci.spec.target import Spec

DIGEST = "0123456789abcdef" * 4
JQ = Pinned("deb", "jq", "1.6-2", "amd64", DIGEST, "http://h/jq.deb")
WHOLE = f"""\
# Written by hand
version: 1
files:
  "f.yaml":
    targets:
      app:
        names: [jq, curl]
        packages:
          - "deb jq 1.6-2 amd64 {DIGEST} http://h/jq.deb"
          - deb libonig5 6.9 amd64 {DIGEST} -
    urls:
      "https://h/a.deb": {DIGEST}
  g.yaml: {{}}
"""


def read(folder: Path, text: str) -> dict[str, Lock] | None:
    path = folder / "genoci.lock"
    path.write_text(text)
    return read_lock(path)


def test_a_lock_file_lies_beside_the_yaml_and_may_be_missing(tmp_path: Path) -> None:
    assert beside(tmp_path / "f.yaml") == tmp_path / "genoci.lock"
    assert read_lock(tmp_path / "genoci.lock") is None


def test_a_lock_file(tmp_path: Path) -> None:
    onig = Pinned("deb", "libonig5", "6.9", "amd64", DIGEST, "-")
    assert read(tmp_path, WHOLE) == {
        "f.yaml": Lock({"app": Locked(("jq", "curl"), (JQ, onig))}, {"https://h/a.deb": DIGEST}),
        "g.yaml": Lock(),
    }


def test_a_package_is_one_line() -> None:
    assert as_line(JQ) == f"deb jq 1.6-2 amd64 {DIGEST} http://h/jq.deb"


@pytest.mark.parametrize("field", ["a b", "", "a\nb", "\x1b[31m", "\xe4"])
def test_a_package_that_is_no_line(field: str) -> None:
    with pytest.raises(ValueError, match="deb"):
        as_line(Pinned("deb", "jq", field, "amd64", DIGEST, "-"))


PACKAGE = "version: 1\nfiles: {f: {targets: {a: {packages: [%s]}}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "genoci.lock:1:1: this is no lock file"),
        ("[]", "genoci.lock:1:1: this is no lock file"),
        ("<<<<<<< HEAD\nversion: 1\n", "genoci.lock:1:1: this line has no `: `"),
        ("files: {}", "genoci.lock:1:1: this genoci reads lock files of version 1"),
        ("version: 2\nfiles: {}", "genoci.lock:1:10: this genoci reads lock files of version 1"),
        ("version: 1\nfile: {}", "genoci.lock:2:1: there is no key `file` here"),
        ("version: 1\nfiles: []", "genoci.lock:2:8: `files` must be a mapping, not a list"),
        ("version: 1\nfiles: {f: []}", "genoci.lock:2:12: a mapping is needed here"),
        ("version: 1\nfiles: {f: {url: {}}}", "genoci.lock:2:13: there is no key `url` here"),
        ("version: 1\nfiles: {f: {}, f: {}}", "genoci.lock:2:16: the key `f` is there twice"),
        (
            "version: 1\nfiles: {f: {targets: {a: {}, a: {}}}}",
            "genoci.lock:2:30: the key `a` is there twice",
        ),
        ("version: 1\nfiles: {f: {urls: {x: 12}}}", "genoci.lock:2:23: `sha256` must be 64"),
        ("version: 1\nfiles: {f: {targets: {a: x}}}", "genoci.lock:2:26: a mapping is needed"),
        (
            "version: 1\nfiles: {f: {targets: {a: {names: x}}}}",
            "genoci.lock:2:34: `names` must be a list, not text",
        ),
        (PACKAGE % "deb jq", "genoci.lock:2:38: `deb jq` is not `MANAGER NAME VERSION"),
        (PACKAGE % f"deb jq 1  amd64 {DIGEST}", "genoci.lock:2:38: "),
        (PACKAGE % '"deb jq 1\\n amd64 0 -"', "genoci.lock:2:38: "),
        (PACKAGE % "deb jq 1 amd64 123 -", "genoci.lock:2:38: `sha256` must be 64"),
        (PACKAGE % "[]", "genoci.lock:2:38: `packages` must be text, not a list"),
        (
            PACKAGE % f"deb jq 1 amd64 {DIGEST} a, deb jq 1 amd64 {DIGEST} b",
            "genoci.lock:2:121: `jq` is there twice",
        ),
        ("version: 1\nversion: 1\n", "genoci.lock:2:1: the key `version` is there twice"),
    ],
)
def test_a_lock_file_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_all_its_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, "version: 1\nfiles:\n  f: {x: 1}\n  g: {urls: {a: b, c: d}}\n")
    assert len(caught.value.others) == 2


def covered(spec: Spec, lock: Lock) -> str:
    """What is told of the file's targets; "" if the lock covers them."""
    try:
        check_covers(lock, spec.targets, "f.yaml")
    except SpecError as error:
        return str(error)
    return ""


Reader = Callable[[str], Spec]
LOCK = Lock({"a": Locked(("curl", "jq"), (JQ,))}, {"https://h/a": DIGEST})


@pytest.mark.parametrize(
    "install",
    [
        "install: jq curl",
        "install: jq",
        "install: hello.deb jq",
        "install: {src: hello.deb, deps: repo}",
        "steps: [{install: jq}, {run: x}, {install: curl}]",
        f"install: {{src: 'https://h/a', sha256: {DIGEST}}}",
        f"install: {{src: 'https://h/other', sha256: {DIGEST}}}",
    ],
)
def test_what_a_lock_covers(spec: Reader, install: str) -> None:
    assert covered(spec(f"a: {{base: debian, {install}}}"), LOCK) == ""


def test_a_target_that_installs_nothing_by_name_needs_no_entry(spec: Reader) -> None:
    found = spec("b: {base: debian, install: hello.deb}\nc: {base: debian, run: x}")
    assert covered(found, Lock()) == ""


@pytest.mark.parametrize(
    ("install", "message"),
    [
        ("install: jq wget", "f.yaml:1:28: `wget` of target `a` is not in genoci.lock\n"),
        ("install: jq=1.7", "f.yaml:1:28: `jq=1.7` of target `a` is not in genoci.lock\n"),
        (
            f"install: {{src: 'https://h/a', sha256: {DIGEST[::-1]}}}",
            f"f.yaml:1:28: the `sha256` is {DIGEST[::-1]}, and genoci.lock says {DIGEST}\n",
        ),
    ],
)
def test_what_a_lock_does_not_cover(spec: Reader, folder: Path, install: str, message: str) -> None:
    told = covered(spec(f"a: {{base: debian, {install}}}"), LOCK).replace(f"{folder}/", "")
    assert told == f"{message}  `genoci lock -f f.yaml` pins what is newest now"


def test_a_target_without_an_entry_is_not_covered(spec: Reader) -> None:
    assert "`jq` of target `b`" in covered(spec("b: {base: debian, install: jq}"), LOCK)
    deps = spec("b: {base: debian, install: {src: hello.deb, deps: repo}}")
    assert "what target `b` needs of repositories" in covered(deps, LOCK)
