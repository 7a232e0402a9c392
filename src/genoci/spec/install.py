"""The key `install`: package files, addresses of them, and names of packages."""

from __future__ import annotations

import re

import msgspec

from genoci.spec import address
from genoci.spec.host import Folder
from genoci.spec.keys import STEPS
from genoci.spec.nodes import Mapping, Node, Scalar, Sequence
from genoci.spec.problems import Mistake, Problems
from genoci.spec.target import Install, Package, Place
from genoci.spec.values import fields, item_text, sha256, some_items, text, wrong_kind
from genoci.spec.wording import quoted

_EXAMPLE = STEPS["install"]
_FIELDS = ("src", "name", "sha256", "deps", "scripts")
_FILES = (".deb", ".rpm")
_ENDS = {"deps": "repo", "scripts": "skip"}  # the one value that each of these can have

_NAME = r"[A-Za-z0-9][A-Za-z0-9+._-]*"
_PACKAGE = re.compile(
    rf"{_NAME}(:[A-Za-z0-9_-]+)?"  # an architecture
    r"(=[A-Za-z0-9][A-Za-z0-9.+~^:%_-]*|/[A-Za-z0-9][A-Za-z0-9.+_-]*)?"  # a version, or a release
)


def read_install(node: Node, folder: Folder, problems: Problems) -> list[Install]:
    """The one step that an `install` stands for, whatever the form of its items."""
    packages: list[Package] = []
    if isinstance(node, Scalar):
        packages = _string(node, folder, problems)
    else:
        for item in some_items(node, "install", example=_EXAMPLE):
            with problems.collected():
                packages += _item(item, folder, problems)
    once: dict[Package, Package] = {}
    for package in packages:
        once.setdefault(msgspec.structs.replace(package, place=node.place), package)
    return [Install(tuple(once.values()), node.place)] if once else []


def _string(node: Scalar, folder: Folder, problems: Problems) -> list[Package]:
    found: list[Package] = []
    for word in _split(text(node, "install", example=_EXAMPLE), folder):
        with problems.collected():
            found += _word(word, node, folder)
    return found


def _item(node: Node, folder: Folder, problems: Problems) -> list[Package]:
    if isinstance(node, Mapping):
        return _mapping(node, folder, problems)
    scalar = text(item_text(node, "install", example=_EXAMPLE), "install", example=_EXAMPLE)
    return _word(scalar.text, scalar, folder)


def _split(scalar: Scalar, folder: Folder) -> list[str]:
    words = scalar.text.split()
    if len(words) > 1 and folder.is_file(scalar.text):
        raise Mistake(
            scalar.place,
            f"{quoted(scalar.text)} is split at its blanks",
            "for a path with blanks write a list: `install: ['a b.deb']`",
        )
    return words


def _word(word: str, by: Scalar, folder: Folder) -> list[Package]:
    """What a bare word stands for, which its look decides."""
    if address.is_one(word):
        raise _lacks_digest(address.checked(word, by.place), by.place)
    if "/" in word or word.endswith(_FILES):
        return [Package(by.place, path=path) for path in _files(word, by, folder)]
    return [Package(by.place, name=_name(word, by))]


def _files(pattern: str, by: Scalar, folder: Folder) -> list[str]:
    try:
        return folder.files(pattern, by)
    except Mistake as mistake:
        if _PACKAGE.fullmatch(pattern) and not pattern.endswith(_FILES):
            mend = f"for a package of that release: `install: {{name: {pattern}}}`"
            raise Mistake(mistake.place, mistake.what, mend) from mistake
        raise


def _name(word: str, by: Scalar) -> str:
    """A package's name, if it can be one; anything that a manager could take for more is none."""
    what = f"{quoted(word)} can't be the name of a package"
    if word.startswith("-"):
        mend = "options of a package manager are not handed on; `run` it yourself"
        raise Mistake(by.place, what, mend)
    if any(c in word for c in "*?["):
        raise Mistake(by.place, what, "for files write a `/`: `install: ./*.deb`")
    if len(word.split()) > 1:
        raise Mistake(by.place, what, "in a list each package is an item: `[curl, jq]`")
    if word.endswith(".apk"):
        kind = f"{quoted(word)} is a file; of files only `.deb` and `.rpm` are installed"
        raise Mistake(by.place, kind, "packages of Alpine are installed by name")
    name = re.split("[:=/]", word, maxsplit=1)[0]
    if name.endswith("-"):
        raise Mistake(by.place, what, "a `-` at its end would remove it; `run` does that")
    if not _PACKAGE.fullmatch(word):
        mend = "write NAME, NAME=VERSION or NAME:ARCHITECTURE, as the image's manager knows it"
        raise Mistake(by.place, what, mend)
    return word


def _mapping(node: Mapping, folder: Folder, problems: Problems) -> list[Package]:
    keys = [entry.key.text for entry in node.entries]
    if ("src" in keys) == ("name" in keys):
        have = "both `src` and `name`" if "src" in keys else "neither `src` nor `name`"
        mend = "`{src: FILE}` is a file or an address, `{name: NAME}` a package of a repository"
        raise Mistake(node.place, f"`install` has {have}", mend)
    given = fields(node, _FIELDS, problems)
    if "name" in given:
        _refuse_of_files(given)
        scalar = text(given["name"], "name", example="name: curl")
        return [Package(node.place, name=_name(scalar.text, scalar))]
    found = _sources(given["src"], folder, problems, whole=node, has_digest="sha256" in given)
    digest = None
    if "sha256" in given:
        with problems.collected():
            digest = _sha256(given["sha256"], len(found))
    deps_from_repo = _is_set(given, "deps", problems)
    skip_scripts = _is_set(given, "scripts", problems)
    return [
        msgspec.structs.replace(
            package, sha256=digest, deps_from_repo=deps_from_repo, skip_scripts=skip_scripts
        )
        for package in found
    ]


def _refuse_of_files(given: dict[str, Node]) -> None:
    why = {
        "sha256": "`genoci lock` pins what is installed by name",
        "deps": "what a package of a repository needs comes from there in any case",
        "scripts": "a package of a repository is installed with its scripts",
    }
    for key, mend in why.items():
        if key in given:
            raise Mistake(given[key].place, f"`{key}` goes with `src`, not with `name`", mend)


def _is_set(given: dict[str, Node], key: str, problems: Problems) -> bool:
    if key not in given:
        return False
    node, only = given[key], _ENDS[key]
    if isinstance(node, Scalar) and node.text == only:
        return True
    problems.add(
        Mistake(node.place, f"the only `{key}` to choose is `{only}`", "or leave the key out")
    )
    return False


def _sources(
    node: Node, folder: Folder, problems: Problems, *, whole: Mapping, has_digest: bool
) -> list[Package]:
    found: list[Package] = []
    for word, scalar in _words(node, folder):
        with problems.collected():
            if not address.is_one(word):
                found += [Package(whole.place, path=path) for path in folder.files(word, scalar)]
                continue
            shown = address.checked(word, scalar.place)
            if not has_digest:
                raise _lacks_digest(shown, scalar.place)
            found.append(Package(whole.place, url=word))
    return found


def _lacks_digest(shown: str, place: Place) -> Mistake:
    mend = f"say what it must be: `{{src: {shown}, sha256: …}}`; `sha256sum FILE` prints it"
    return Mistake(place, f"{quoted(shown)} lacks its `sha256`", mend)


def _sha256(node: Node, files: int) -> str:
    found = sha256(node)
    if files > 1:
        raise Mistake(
            node.place,
            f"`sha256` goes with one file, and `src` stands for {files}",
            "write a list, with a `{src: …, sha256: …}` for each",
        )
    return found


def _words(node: Node, folder: Folder) -> list[tuple[str, Scalar]]:
    if isinstance(node, Scalar):
        return [(w, node) for w in _split(text(node, "src", example="src: app.deb"), folder)]
    if not isinstance(node, Sequence):
        raise wrong_kind(node, "src", "a path or a list of paths", "src: app.deb")
    scalars = [item_text(i, "src") for i in some_items(node, "src", example="src: app.deb")]
    return [(scalar.text, scalar) for scalar in scalars]
