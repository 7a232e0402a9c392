"""What a target's layer depends on, as a document; its digest is the layer's key.

All that can change the layer is in it, and nothing else: not the times of inputs, not where files
lie, not who builds, on which driver, or for what name. The config keys are not, except those that
a command sees: they are applied anew to what the key leads to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec

from genoci.build.inputs import Inputs
from genoci.build.ownership import excluded
from genoci.layer.compression import Compression
from genoci.layer.entry import FORMAT
from genoci.oci.digest import Digest
from genoci.oci.documents import DOCUMENT_LIMIT
from genoci.oci.image import Image
from genoci.spec.pinned import Pinned
from genoci.spec.target import Copy, Expand, Hook, Install, Run, Step, Target


class Key(msgspec.Struct, frozen=True, dict=True):
    """`document` has JSON's types; equal documents have equal digests.

    `taken` tells files from what they were at another time, though their content be the same.
    """

    document: Mapping[str, Any]
    taken: int = 0

    @cached_property
    def preimage(self) -> bytes:
        return _encoded(self.document)

    @cached_property
    def digest(self) -> Digest:
        return Digest("sha256", hashlib.sha256(self.preimage).hexdigest())


def key_of(
    target: Target,
    base: Image,
    images: Mapping[str, Image],
    inputs: Inputs,
    *,
    compression: Compression,
    epoch: int | None,
    pins: tuple[Pinned, ...] | None = None,
) -> Key:
    """The key of a target on `base`; `images` are those that it copies from, by name.

    Reads what host files it has to, the first time. Raises BuildError for one that can't be read.
    """
    inputs.taken()
    document: dict[str, Any] = {
        "format": FORMAT,
        "base": str(base.chain_id) if base.chain_id else None,
        "steps": [_step(step, images, inputs) for step in target.steps],
    }
    if target.steps or target.pre or target.post:  # else there is no layer, whatever these are
        document["platform"] = str(base.configure(**target.config.given()).platform)
        document["compression"] = [compression.algorithm, compression.effective_level]
        document["epoch"] = epoch
    if any(isinstance(step, Run | Install) for step in target.steps):
        document["env"] = base.configure(env=target.config.env).env
        document["workdir"] = base.workdir
    if any(isinstance(step, Install) for step in target.steps) and pins is not None:
        document["pins"] = msgspec.to_builtins(pins)
    for name, hooks in (("pre", target.pre), ("post", target.post)):
        if hooks:
            document[name] = [_command(hook, inputs) for hook in hooks]
            document["target"] = target.name  # hooks are told it
    # A hook may write what is then copied, and the same each time.
    return Key(_bounded(document), 0 if target.pre or target.post else inputs.taken())


def _bounded(document: dict[str, Any]) -> dict[str, Any]:
    """The document, or what stands for it and can be stored: without the lists, or no more at all.

    What is left out is what changes in it can be told by, and nothing that it is told from others.
    """
    if len(_encoded(document)) <= DOCUMENT_LIMIT:
        return document
    shorter: dict[str, Any] = _without_lists(document)
    if len(_encoded(shorter)) <= DOCUMENT_LIMIT:
        return shorter
    return {"sha256": hashlib.sha256(_encoded(shorter)).hexdigest()}


def _without_lists(value: Any) -> Any:
    if isinstance(value, dict):
        kept = value.keys() - {"files"} if "tree" in value else value.keys()
        return {name: _without_lists(value[name]) for name in kept}
    return [_without_lists(one) for one in value] if isinstance(value, list) else value


def _encoded(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(document, order="sorted")


def _step(step: Step, images: Mapping[str, Image], inputs: Inputs) -> dict[str, Any]:
    match step:
        case Expand():
            sources = [inputs.content(path) for path in step.sources]
            document = {"expand": sources, "dest": step.dest, "strip": step.strip}
            return document | _unless_as_expected(step.sha256, sources)
        case Copy():
            return _copy(step, images, inputs)
        case Install():
            return {"install": [_package(package, inputs) for package in step.packages]}
        case Run():
            about = {"user": step.user, "network": step.network, "implicit": step.implicit}
            return _command(step, inputs) | about


def _copy(step: Copy, images: Mapping[str, Image], inputs: Inputs) -> dict[str, Any]:
    folders_only = step.image is None and all(map(os.path.isdir, step.sources))
    document: dict[str, Any] = {
        "dest": step.dest.rstrip("/") or "/" if folders_only else step.dest,
        "mode": step.mode,
        "owner": step.owner or "0:0",
        "exclude": sorted(set(step.exclude)),
    }
    if step.image is not None:
        chain_id = images[step.image].chain_id
        return document | {"copy": list(step.sources), "from": str(chain_id) if chain_id else None}
    return document | {"copy": [_source(path, step, inputs) for path in step.sources]}


def _source(path: str, step: Copy, inputs: Inputs) -> dict[str, Any]:
    if os.path.isdir(path):
        return inputs.directory(path, lambda name: excluded(name, step.exclude), mode=step.mode)
    return inputs.file(path, mode=step.mode) | {"name": os.path.basename(path)}


def _package(package: Any, inputs: Inputs) -> dict[str, Any]:
    document = {
        "deps_from_repo": package.deps_from_repo,
        "skip_scripts": package.skip_scripts,
    }
    if package.path is not None:
        content = inputs.content(package.path)
        return document | {"sha256": content} | _unless_as_expected(package.sha256, [content])
    if package.url is not None:
        return document | {"sha256": package.sha256}
    return document | {"name": package.name}


def _command(command: Run | Hook, inputs: Inputs) -> dict[str, Any]:
    if command.script is None:
        return {"run": command.shell}
    content, text = inputs.script(command.script)
    return {"script": content, "run": text}


def _unless_as_expected(sha256: str | None, found: list[str]) -> dict[str, str]:
    """The digest that the file is to have, if it has another: then it can't be built."""
    return {} if sha256 is None or found == [sha256] else {"sha256 expected": sha256}
