"""What a lock file allows, held against what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genoci.build.install.apt_words import Planned
from genoci.errors import BuildError
from genoci.spec.pinned import Pinned

_MEND = "If what there is now is as good, `genoci lock` makes the lock file anew."


def preferences(pins: Sequence[Pinned]) -> bytes:
    """apt_preferences(5) under which apt-get takes the pinned versions, older ones included."""
    stanzas = [
        f"Package: {pin.name} {pin.name}:{pin.architecture}\n"
        f"Pin: version {pin.version}\nPin-Priority: 1001\n"
        for pin in pins
    ]
    return "\n".join(stanzas).encode()


def check_offered(
    offered: Mapping[tuple[str, str, str], str], pins: Sequence[Pinned], *, where: str
) -> None:
    """Raise BuildError that names every pin which is `offered` no more, or with other content."""
    wrong = []
    for pin in pins:
        digest = offered.get((pin.name, pin.version, pin.architecture))
        if digest is None:
            wrong.append(f"{_named(pin)} is gone")
        elif digest != pin.sha256:
            wrong.append(f"{_named(pin)} has the sha256 {digest}, not {pin.sha256}")
    if wrong:
        raise BuildError(
            f"the repositories do not have what the lock file says: {'; '.join(wrong)}",
            where=where,
            mend=_MEND,
        )


def check_planned(plan: Sequence[Planned], pins: Sequence[Pinned], *, where: str) -> None:
    """Raise BuildError that names every package of the plan which is no pin."""
    allowed = {(pin.name, pin.version, pin.architecture, pin.sha256) for pin in pins}
    wrong = [
        f"{one.name} {one.version} ({one.architecture})"
        for one in plan
        if (one.name, one.version, one.architecture, one.sha256) not in allowed
    ]
    if wrong:
        raise BuildError(
            f"more is needed than the lock file has: {'; '.join(wrong)}",
            where=where,
            mend="The base or the list of packages has changed since: `genoci lock` makes the "
            "lock file anew.",
        )


def _named(pin: Pinned) -> str:
    return f"{pin.name} {pin.version} ({pin.architecture})"
