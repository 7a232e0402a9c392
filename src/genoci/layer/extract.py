"""A layer, or a plain tarball, into a live root."""

from __future__ import annotations

from collections.abc import Iterable

from genoci.layer.entry import OPAQUE, WHITEOUT, Kind, split
from genoci.layer.member import Placeable, below, refuse_whiteout, stripped
from genoci.layer.metadata import Owners, Warn
from genoci.layer.named_errors import errors_of
from genoci.layer.placing import Devices, Placing
from genoci.layer.whiteout import hidden_name, is_aufs

__all__ = ["Devices", "Owners", "expand", "extract_layer"]


def extract_layer(
    members: Iterable[Placeable], root_fd: int, *, owners: Owners, devices: Devices, warn: Warn
) -> None:
    """Apply one layer to the root of the layers below it (layer.md, 'Applying Changesets').

    Nobody else may change the root meanwhile. Raises ArchiveError for what can't be applied,
    StorageError when the disk refuses; the root is then half done, and the caller's to discard.
    """
    with Placing(root_fd, owners, devices, warn) as placing:
        for member in members:
            entry = member.entry
            placing.see(entry)
            with errors_of(entry):
                if is_aufs(entry.path):
                    continue
                parent, name = split(entry.path)
                if name == OPAQUE:
                    placing.hide_below(parent)
                elif name.startswith(WHITEOUT):
                    placing.hide(parent, hidden_name(name))
                else:
                    placing.put(entry, member)


def expand(
    members: Iterable[Placeable],
    root_fd: int,
    *,
    dest: bytes,
    strip: int,
    warn: Warn,
    owners: Owners = Owners.KEEP,
    devices: Devices = Devices.PLACEHOLDER,
) -> None:
    """Unpack a plain tarball at `dest`, over what is there.

    A link that leads to a directory stays where the archive has a directory, and what the archive
    has below it goes where the link leads. A whiteout is an error. Otherwise as `extract_layer`.
    """
    with Placing(root_fd, owners, devices, warn) as placing:
        for member in members:
            entry = stripped(member.entry, strip)
            if entry is None:
                continue
            placing.see(entry)
            with errors_of(entry):
                refuse_whiteout(entry)
                entry = below(dest, entry)
                if entry.kind is Kind.DIRECTORY and placing.is_link_to_directory(entry.path):
                    continue
                placing.put(entry, member)
