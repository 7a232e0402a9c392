"""Where things are and what is asked for: option > environment > config file > default."""

import os
import pwd
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from genoci.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from genoci.config_file import ConfigFile

HERE = "atom_config.yaml"
"""The config file in the working directory; it wins over the one in the home directory."""

LOFILE, BTRFS = "btrfs.img", "btrfs"
"""What `lpack setup` makes where no other names are given: a file, and where it is mounted."""

_LATEST = 253402300799  # the last second that RFC 3339 can write: 9999-12-31T23:59:59Z


class Settings(NamedTuple):
    """What this call goes by. Directories and files as the user named them, once as text: a build
    with nothing to do has no other use for `pathlib`, which takes as long to load as all of genoci.

    `epoch` is SOURCE_DATE_EPOCH in seconds, `driver` the snapshot driver's name.
    """

    layoutdir: str
    statedir: str
    epoch: int | None = None
    driver: str = "auto"
    btrfsmount: str | None = None
    loopfile: str | None = None
    configfile: str | None = None

    @property
    def layout(self) -> "Path":
        return _as_path(self.layoutdir)

    @property
    def state(self) -> "Path":
        return _as_path(self.statedir)

    @property
    def btrfs(self) -> "Path | None":
        """For the driver btrfs, the directory on such a filesystem."""
        return _as_path(self.btrfsmount) if self.btrfsmount is not None else None

    @property
    def lofile(self) -> "Path | None":
        """The file that the btrfs is kept in, if it is one that `lpack setup` makes."""
        return _as_path(self.loopfile) if self.loopfile is not None else None

    @property
    def config(self) -> "Path | None":
        """The config file that was read."""
        return _as_path(self.configfile) if self.configfile is not None else None


def _as_path(text: str) -> "Path":
    from pathlib import Path

    return Path(text)


def settle(
    environment: Mapping[str, str],
    *,
    layout: str | None = None,
    state: str | None = None,
    driver: str | None = None,
) -> Settings:
    """The settings of this call; `layout`, `state` and `driver` are the options, if given.

    Reads the config file, if there is one. Raises UsageError for a value that can't be meant.
    """
    epoch = source_date_epoch(environment)
    path = config_path(environment)
    file = _read(path, environment) if path else None
    name = driver or (file and _driver(file)) or "auto"
    lofile, btrfs = (_text(file.lofile) if file else None), None
    if name == "btrfs":
        lofile, btrfs = _btrfs(file)
    return Settings(
        layoutdir=_layout(environment, layout, file),
        statedir=_state(environment, state, file),
        epoch=epoch,
        driver=name,
        btrfsmount=btrfs,
        loopfile=lofile,
        configfile=path,
    )


def _text(path: "Path | None") -> str | None:
    return None if path is None else str(path)


def config_path(environment: Mapping[str, str]) -> str | None:
    """The config file: the first that exists, and no other; None: there is none."""
    if os.path.lexists(HERE):
        return HERE
    folder = environment.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):
        home = _home_if_any(environment)
        if home is None:
            return None
        folder = os.path.join(home, ".config")
    path = os.path.join(folder, "atom", "config.yaml")
    return path if os.path.lexists(path) else None


def _read(path: str, environment: Mapping[str, str]) -> "ConfigFile":
    from genoci.config_file import read_config_file  # a YAML parser, for those who have a file

    home = _home_if_any(environment)
    return read_config_file(_as_path(path), None if home is None else _as_path(home))


def _driver(file: "ConfigFile") -> str | None:
    if file.driver is None and (file.lofile or file.btrfsmount):
        return "btrfs"
    return file.driver


def _btrfs(file: "ConfigFile | None") -> tuple[str | None, str]:
    """The file to be mounted, if there is to be one, and the directory on a btrfs."""
    if file is not None and file.lofile:
        return str(file.lofile), _text(file.btrfsmount) or BTRFS
    if file is not None and file.btrfsmount and is_on_btrfs(file.btrfsmount):
        return None, str(file.btrfsmount)
    return LOFILE, BTRFS


def is_on_btrfs(path: "Path") -> bool:
    """Whether `path`, or what would hold it if it does not exist, lies on a btrfs."""
    from genoci import linux

    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return linux.filesystem_magic(os.fsencode(there)) == linux.BTRFS_MAGIC


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


def _layout(environment: Mapping[str, str], option: str | None, file: "ConfigFile | None") -> str:
    if option is not None:
        return _path("--layout", option)
    if environment.get("GENOCI_LAYOUT"):
        return _path("GENOCI_LAYOUT", environment["GENOCI_LAYOUT"])
    return (_text(file.layoutdir) if file else None) or "oci"


def _state(environment: Mapping[str, str], option: str | None, file: "ConfigFile | None") -> str:
    if option is not None:
        return _path("--state", option)
    if environment.get("GENOCI_STATE"):
        return _path("GENOCI_STATE", environment["GENOCI_STATE"])
    if file and file.statedir:
        return str(file.statedir)
    # The XDG base directory specification: a relative path is invalid and to be ignored.
    data = environment.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):
        return os.path.join(data, "genoci")
    return os.path.join(_home(environment), ".local", "share", "genoci")


def _home(environment: Mapping[str, str]) -> str:
    home = environment.get("HOME", "")
    if os.path.isabs(home):
        return home
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError as error:
        raise UsageError(
            "there is no home directory to keep the state in",
            where="HOME",
            mend="Set HOME or GENOCI_STATE, or name a directory: --state DIR",
        ) from error


def _home_if_any(environment: Mapping[str, str]) -> str | None:
    try:
        return _home(environment)
    except UsageError:
        return None


def _path(name: str, text: str) -> str:
    if not text:
        raise UsageError("the directory's name is empty", where=name)
    if "\0" in text:
        raise UsageError("the directory's name holds a null character", where=name)
    return text
