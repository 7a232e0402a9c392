"""`genoci plan`: what a build would do, and why; nothing is built."""

from __future__ import annotations

import argparse
import os

from genoci.cli.commands import build
from genoci.cli.parser import Parser
from genoci.cli.session import Session
from genoci.cli.text import columns, one_line

EXAMPLES = """
genoci plan -f images.yaml             each target: cached, or built because …
genoci plan app --json                 one target and what it stands on, for programs
"""


def arguments(parser: Parser) -> None:
    build.selection(parser)
    parser.add_json("a list with a document for each target")


def run(options: argparse.Namespace, session: Session) -> int:
    from genoci.build.schedule import plan
    from genoci.build.words import hook_line

    decided = plan(build.request_of(options, session), session.tell)
    folder = os.path.dirname(os.path.abspath(options.file or build.DEFAULT_FILE))
    hooks = [
        {"target": target.name, "place": str(hook.place), "hook": hook_line(key, hook, folder)}
        for target, _ in decided
        for key, of in (("pre", target.pre), ("post", target.post))
        for hook in of
    ]
    if options.json:
        session.results.document(
            [
                {
                    "target": target.name,
                    "cached": it.result is not None,
                    "because": it.reasons,
                    "hooks": [hook for hook in hooks if hook["target"] == target.name],
                }
                for target, it in decided
            ]
        )
        return 0
    for hook in hooks:
        line = f"runs on this machine: {hook['place']}: target {hook['target']}, {hook['hook']}"
        session.results.line(one_line(line))
    rows = [
        (target.name, "cached" if it.result is not None else f"built: {'; '.join(it.reasons)}")
        for target, it in decided
    ]
    for line in columns(rows):
        session.results.line(one_line(line))
    return 0
