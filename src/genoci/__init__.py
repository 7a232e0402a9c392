"""Builds OCI images from a YAML file: no daemon, no root, no other image tool.

The public names: `Request`, which `genoci.build.schedule.build` takes, and its `Outcome`; `read`,
which gives a `Spec`; `Layout` and `Image`; and the errors, of which `GenociError` is the root
(`genoci.errors`). Each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genoci.errors import GenociError

if TYPE_CHECKING:
    from genoci.build.outcome import Outcome
    from genoci.build.request import Request
    from genoci.oci.image import Image
    from genoci.oci.layout import Layout
    from genoci.spec.read import read
    from genoci.spec.target import Spec

__all__ = ["GenociError", "Image", "Layout", "Outcome", "Request", "Spec", "read"]

_HOMES = {
    "Image": "genoci.oci.image",
    "Layout": "genoci.oci.layout",
    "Outcome": "genoci.build.outcome",
    "Request": "genoci.build.request",
    "Spec": "genoci.spec.target",
    "read": "genoci.spec.read",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genoci' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
