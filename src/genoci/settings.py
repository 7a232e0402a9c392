"""Where things are and what the environment asks for: option > environment > default."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from genoci.errors import UsageError

_LATEST = 253402300799  # the last second that RFC 3339 can write: 9999-12-31T23:59:59Z


class Settings(NamedTuple):
    """`layout` and `state` as the user named them; `epoch` is SOURCE_DATE_EPOCH in seconds."""

    layout: Path
    state: Path
    epoch: int | None = None


def settle(
    environment: Mapping[str, str], *, layout: str | None = None, state: str | None = None
) -> Settings:
    """The settings of this call; `layout` and `state` are the options' values, if given.

    Raises UsageError for a value that can't be meant. Touches no file.
    """
    return Settings(
        layout=_layout(environment, layout),
        state=_state(environment, state),
        epoch=source_date_epoch(environment),
    )


def source_date_epoch(environment: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH as the reproducible-builds specification defines it; None: not set."""
    text = environment.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,12}", text) or int(text) > _LATEST:
        raise UsageError(
            f"{text!r} is no time: seconds since 1970, in decimal, are needed",
            where="SOURCE_DATE_EPOCH",
            mend="For instance SOURCE_DATE_EPOCH=$(git log -1 --format=%ct); or unset it.",
        )
    return int(text)


def _layout(environment: Mapping[str, str], option: str | None) -> Path:
    if option is not None:
        return _path("--layout", option)
    if environment.get("GENOCI_LAYOUT"):
        return _path("GENOCI_LAYOUT", environment["GENOCI_LAYOUT"])
    return Path("oci")


def _state(environment: Mapping[str, str], option: str | None) -> Path:
    if option is not None:
        return _path("--state", option)
    if environment.get("GENOCI_STATE"):
        return _path("GENOCI_STATE", environment["GENOCI_STATE"])
    # The XDG base directory specification: a relative path is invalid and to be ignored.
    data = environment.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):
        return Path(data) / "genoci"
    return _home(environment) / ".local" / "share" / "genoci"


def _home(environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME", "")
    if os.path.isabs(home):
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError as error:
        raise UsageError(
            "there is no home directory to keep the state in",
            where="HOME",
            mend="Set HOME or GENOCI_STATE, or name a directory: --state DIR",
        ) from error


def _path(name: str, text: str) -> Path:
    if not text:
        raise UsageError("the directory's name is empty", where=name)
    if "\0" in text:
        raise UsageError("the directory's name holds a null character", where=name)
    return Path(text)
