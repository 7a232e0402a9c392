"""`genoci inspect`: an image's manifest, config, layers and history."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from genoci.cli import text
from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.oci.documents import Descriptor
from genoci.oci.image import Image
from genoci.oci.layout import Layout

EXAMPLES = """
genoci inspect app
genoci inspect app --json | jq .config.config.Env
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("tag", metavar="TAG", help="of several platforms, this machine's")
    parser.add_json("all of it, manifest and config as they are stored")


def run(options: argparse.Namespace, session: Session) -> int:
    layout = Layout.at(session.settings.layout)
    manifest = layout.resolve_descriptor(options.tag)
    image = layout.image(manifest.digest)
    if options.json:
        session.results.document(_document(options.tag, layout, manifest, image))
    else:
        lines = [options.tag, *_facts(manifest, image), "", *_layers(image)]
        lines += ["", *_history(image)] if image.history else []
        session.results.lines([text.one_line(line) for line in lines])
    return 0


def _facts(manifest: Descriptor, image: Image) -> Iterator[str]:
    config = image.config
    size = sum(layer.descriptor.size for layer in image.layers)
    facts: list[tuple[str, list[str]]] = [
        ("digest", [str(manifest.digest)]),
        ("platform", [str(image.platform)]),
        ("created", [image.created or "not said"]),
        ("size", [f"{text.size(size)} in {text.count(len(image.layers), 'layer')}"]),
        ("entrypoint", [shlex.join(config.entrypoint)]),
        ("cmd", [shlex.join(config.cmd)]),
        ("env", list(config.env)),
        ("workdir", [config.workdir]),
        ("user", [config.user]),
        ("stopsignal", [config.stopsignal]),
        ("volumes", [" ".join(config.volumes)]),
        ("expose", [" ".join(config.expose)]),
        ("labels", _pairs(config.labels)),
        ("annotations", _pairs(image.annotations)),
    ]
    for name, values in facts:
        for number, value in enumerate(value for value in values if value):
            yield f"  {'' if number else name:<12} {value}"


def _pairs(mapping: Any) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(mapping.items())]


def _layers(image: Image) -> Iterator[str]:
    yield "layers, the lowest first"
    for layer in image.layers:
        kind = layer.descriptor.media_type.rpartition(".tar")[2].lstrip("+") or "tar"
        size = text.size(layer.descriptor.size)
        yield f"  {layer.descriptor.digest}  {size:>8}  {kind}"
        yield f"    unpacked {layer.diff_id}"
    if not image.layers:
        yield "  none"


def _history(image: Image) -> Iterator[str]:
    yield "history"
    for entry in image.history:
        what = entry.created_by or entry.comment or "not said"
        note = "  (no layer)" if entry.empty_layer else ""
        yield f"  {(entry.created or '?')[:19]:<19}  {what}{note}"


def _document(tag: str, layout: Layout, manifest: Descriptor, image: Image) -> dict[str, Any]:
    import json

    config = image.config_mapping()
    return {
        "tag": tag,
        "digest": str(manifest.digest),
        "manifest": json.loads(layout.blobs.read(manifest)),
        "config": config,
        "layers": [
            layer.descriptor.to_mapping() | {"diffID": str(layer.diff_id)} for layer in image.layers
        ],
        "history": config.get("history", []),
    }
