"""What a YAML file says, as values: targets, their steps, and what they change in the config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where something stands in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Expand(msgspec.Struct, frozen=True, tag="expand"):
    """Unpack tarballs, one over the other, at `dest` (clean, "" is the root).

    `sources` are absolute host paths, globs already expanded and sorted. `sha256` (hexadecimal)
    goes with exactly one source. `strip` leading components are dropped from every name.
    """

    sources: tuple[str, ...]
    place: Place
    sha256: str | None = None
    dest: str = ""
    strip: int = 0


class Copy(msgspec.Struct, frozen=True, tag="copy"):
    """Copy host files, or with `image` paths of another target's image, to `dest`.

    `sources` are absolute host paths (globs expanded, at least one), or, with `image`, patterns
    inside it. `dest` is as written, a trailing slash included, but begins with `/` and is clean.
    `mode` is applied to files (and not to directories) when given; `owner` is a user or
    "user:group", as numbers or names of the image's passwd. `image_place`: where `image` is named.
    """

    sources: tuple[str, ...]
    dest: str
    place: Place
    image: str | None = None
    mode: int | None = None
    owner: str | None = None
    exclude: tuple[str, ...] = ()
    image_place: Place | None = None


class Run(msgspec.Struct, frozen=True, tag="run"):
    """One process in the container: a host `script`, or `shell` text; exactly one is set.

    `implicit` says that the YAML did not tell which of the two it is: a one-line string that
    happened to name a host file. If the image has that path too, the build refuses it.
    """

    place: Place
    script: str | None = None
    shell: str | None = None
    user: str | None = None
    network: bool = True
    implicit: str | None = None


class Package(msgspec.Struct, frozen=True):
    """One item of `install`: one of `path` (absolute, of the host), `url` and `name` is set.

    `sha256` (hexadecimal) is there for every `url`. `deps_from_repo`: what a file depends on may
    be fetched by the image's own package manager. `skip_scripts`: where its maintainer scripts
    can't run, do without them.
    """

    place: Place
    path: str | None = None
    url: str | None = None
    name: str | None = None
    sha256: str | None = None
    deps_from_repo: bool = False
    skip_scripts: bool = False


class Install(msgspec.Struct, frozen=True, tag="install"):
    """Install packages as one batch: they may need each other, in any order."""

    packages: tuple[Package, ...]
    place: Place


class Hook(msgspec.Struct, frozen=True):
    """One process on the host side: a host `script`, or `shell` text; exactly one is set."""

    place: Place
    script: str | None = None
    shell: str | None = None


Step = Expand | Copy | Install | Run


class ConfigChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a target changes in the image's config; UNSET means: as the base has it.

    In `env`, `labels` and `annotations` a None value deletes the name.
    """

    entrypoint: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    cmd: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    env: Mapping[str, str | None] = {}
    labels: Mapping[str, str | None] = {}
    annotations: Mapping[str, str | None] = {}
    workdir: str | msgspec.UnsetType = msgspec.UNSET
    user: str | msgspec.UnsetType = msgspec.UNSET
    stopsignal: str | msgspec.UnsetType = msgspec.UNSET
    volumes: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    expose: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    platform: str | msgspec.UnsetType = msgspec.UNSET

    def given(self) -> dict[str, Any]:
        """Only the fields that change something, by name."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {n: v for n, v in fields.items() if v is not msgspec.UNSET and v != {}}


class Target(msgspec.Struct, frozen=True):
    """One layer on a base, and one image. `pre` and `post` run on the host, around the steps.

    A layer that was built `max_age` seconds ago or longer is built again; None: it lasts.
    """

    name: str
    base: str
    steps: tuple[Step, ...]
    config: ConfigChange
    place: Place
    base_place: Place
    pre: tuple[Hook, ...] = ()
    post: tuple[Hook, ...] = ()
    max_age: int | None = None


class Spec(msgspec.Struct, frozen=True):
    """A whole file. `targets` are in the file's order; `keep` is `genoci: {keep: N}`."""

    path: str
    targets: tuple[Target, ...]
    keep: int | None = None
    warnings: tuple[str, ...] = ()
