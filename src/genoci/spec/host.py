"""Host paths that a YAML file names: found before anything is built, or a Mistake."""

from __future__ import annotations

import os
import stat
from typing import Protocol

import msgspec

from genoci.spec.nodes import Scalar
from genoci.spec.problems import Mistake
from genoci.spec.wording import near, quoted, suggested

_MAGIC = "*?["


class Looks(Protocol):
    """Is told all that answers depend on."""

    def path(self, path: str) -> None:
        """What is at `path`; to be told before it is looked at."""

    def pattern(self, folder: str, pattern: str, found: list[str]) -> None:
        """Which paths match, in `folder`; in their order."""


class Unseen:
    """For those who need not know what was looked at."""

    def path(self, path: str) -> None:
        pass

    def pattern(self, folder: str, pattern: str, found: list[str]) -> None:
        pass


UNSEEN = Unseen()


class Folder(msgspec.Struct, frozen=True):
    """The YAML file's folder, `path` absolute: what its relative paths are relative to."""

    path: str
    looks: Looks = UNSEEN

    def is_file(self, path: str) -> bool:
        """Whether `path` is a regular file; what can't be looked at is none."""
        full = os.path.join(self.path, path)
        self.looks.path(full)
        try:
            return stat.S_ISREG(os.stat(full).st_mode)
        except (OSError, ValueError):
            return False

    def file(self, path: str, by: Scalar) -> str:
        """The absolute path of a regular file that can be read; `by` names it."""
        _refuse_address(path, by)
        return self._checked(path, by, folders=False)

    def files(self, pattern: str, by: Scalar) -> list[str]:
        """The absolute paths of the regular files that `pattern` stands for, sorted by bytes."""
        return [self._checked(p, by, folders=False) for p in self._expanded(pattern, by)]

    def files_and_folders(self, pattern: str, by: Scalar) -> list[str]:
        """As `files`, with folders."""
        return [self._checked(p, by, folders=True) for p in self._expanded(pattern, by)]

    def _expanded(self, pattern: str, by: Scalar) -> list[str]:
        _refuse_address(pattern, by)
        if not any(c in pattern for c in _MAGIC) or self._is_there(pattern):
            return [pattern]
        if "**" in pattern:
            raise Mistake(
                by.place,
                f"`**` in {quoted(pattern)} is not understood",
                "write `*/*`, or name the folder, which is taken with all below it",
            )
        import glob

        found = sorted(glob.glob(pattern, root_dir=self.path), key=os.fsencode)
        self.looks.pattern(self.path, pattern, found)
        if not found:
            mend = "`*` matches neither `/` nor a dot at the beginning of a name"
            raise Mistake(by.place, f"no file matches {quoted(pattern)}", mend)
        for path in found:
            if any("\ud800" <= c <= "\udfff" for c in path):  # how Python shows stray bytes
                what = f"{quoted(pattern)} matches {quoted(path)}, which is not UTF-8"
                raise Mistake(
                    by.place, what, "`copy` the folder that it is in: all names work there"
                )
        return found

    def _is_there(self, path: str) -> bool:
        try:
            return os.path.lexists(os.path.join(self.path, path))
        except ValueError:
            return False

    def _checked(self, path: str, by: Scalar, *, folders: bool) -> str:
        full = os.path.join(self.path, path)
        self.looks.path(full)
        try:
            mode = os.stat(full).st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._missing(path, by) from error
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise Mistake(by.place, f"{quoted(path)} can't be read: {why}") from error
        if stat.S_ISDIR(mode) and not folders:
            raise Mistake(by.place, f"{quoted(path)} is a folder; a file is needed")
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise Mistake(by.place, f"{quoted(path)} is neither a file nor a folder")
        if not os.access(full, os.R_OK):
            raise Mistake(by.place, f"{quoted(path)} can't be read: Permission denied")
        parts = [part for part in full.split("/") if part not in ("", ".")]
        return "/" + "/".join(parts)

    def _missing(self, path: str, by: Scalar) -> Mistake:
        if os.path.islink(os.path.join(self.path, path)):
            return Mistake(by.place, f"{quoted(path)} is a link that leads nowhere")
        if path.startswith("~"):
            return Mistake(
                by.place,
                f"there is no file {quoted(path)}",
                "`~` is not expanded; write the whole path, or one relative to the YAML file",
            )
        parent, name = self._first_missing(path)
        try:
            beside = sorted(os.listdir(os.path.join(self.path, parent)))
        except NotADirectoryError:
            return Mistake(by.place, f"{quoted(parent)} is a file; a folder is needed")
        except OSError:
            beside = []
        missing = os.path.join(parent, name)
        noun = "file" if missing.rstrip("/") == path.rstrip("/") else "folder"
        mend = suggested(
            [os.path.join(parent, other) for other in near(name, beside)],
            otherwise="" if path.startswith("/") else "it is looked for beside the YAML file",
        )
        return Mistake(by.place, f"there is no {noun} {quoted(missing)}", mend)

    def _first_missing(self, path: str) -> tuple[str, str]:
        """The longest part of `path` that is there, and the name after it."""
        missing = path.rstrip("/")
        while True:
            parent, _, name = missing.rpartition("/")
            parent = parent or ("/" if missing.startswith("/") else "")
            if not parent or parent == "/" or self._is_there(parent):
                return parent, name
            missing = parent


def _refuse_address(path: str, by: Scalar) -> None:
    if "://" in path:
        raise Mistake(
            by.place,
            f"{quoted(path)} is an address; files of this machine are needed",
            "download it first: `curl -LO ADDRESS`",
        )
