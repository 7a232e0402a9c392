"""The key `cache`: how long a target's layer lasts although nothing changed."""

from __future__ import annotations

import re

from genoci.spec.keys import TARGET
from genoci.spec.nodes import Node
from genoci.spec.problems import Mistake
from genoci.spec.values import text
from genoci.spec.wording import quoted

_AGE = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def read_cache(node: Node) -> int:
    """Seconds; 0 for `never`."""
    scalar = text(node, "cache", example=TARGET["cache"])
    if scalar.text == "never":
        return 0
    found = _AGE.fullmatch(scalar.text)
    if found is None or not int(found[1]):
        raise Mistake(
            scalar.place,
            f"`cache` must be `never` or an age, not {quoted(scalar.text)}",
            "an age is a number and a unit, s, m, h, d or w: `cache: 12h`",
        )
    return int(found[1]) * _SECONDS[found[2]]
