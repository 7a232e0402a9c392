"""A place to build in: a folder for inputs, a layout, a state, and a way to look at the result."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

from genoci.build.events import AnyEvent
from genoci.build.images import Images, ListedTree
from genoci.build.schedule import Outcome, Request, build
from genoci.layer.compression import Compression
from genoci.oci.image import Image
from genoci.oci.layout import Layout


class Workshop:
    """Builds YAML text; `events` are those of the last build.

    Without the cache, unless `use_cache` is set: most tests want to see what building does.
    """

    def __init__(self, folder: Path) -> None:
        self.use_cache = False
        self.folder = folder
        self.layout_path = folder / "oci"
        self.state = folder / "state"
        self.events: list[AnyEvent] = []

    @property
    def layout(self) -> Layout:
        return Layout.at(self.layout_path)

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def tarball(self, name: str, *members: tarfile.TarInfo | tuple[str, str]) -> Path:
        """A tar of hand-made members, or of (name, content) pairs."""
        path = self.folder / name
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for member in members:
                if isinstance(member, tuple):
                    info = tarfile.TarInfo(member[0])
                    info.size = len(member[1])
                    info.mtime = 1_600_000_000
                    archive.addfile(info, io.BytesIO(member[1].encode()))
                else:
                    archive.addfile(member)
        return path

    def build(
        self,
        yaml: str,
        *targets: str,
        on_event: Callable[[AnyEvent], None] = lambda event: None,
        **options: object,
    ) -> Outcome:
        self.events = []

        def note(event: AnyEvent) -> None:
            self.events.append(event)
            on_event(event)

        request = {
            "file": self.write("genoci.yaml", yaml),
            "targets": targets,
            "layout": self.layout_path,
            "state": self.state,
            "compression": Compression.parse("gzip"),
            "use_cache": self.use_cache,
        }
        return build(Request(**(request | options)), note)  # type: ignore[arg-type]

    def image(self, tag: str) -> Image:
        return self.layout.resolve(tag)

    def layers(self, tag: str) -> list[str]:
        return [str(diff_id) for diff_id in self.image(tag).diff_ids]

    def tree(self, tag: str) -> ListedTree:
        return Images(self.layout, self.state).tree(self.image(tag))

    def text(self, tag: str, path: str) -> str:
        return b"".join(self.tree(tag).content(path.encode())).decode()

    def output(self) -> str:
        return "".join(getattr(event, "text", "") for event in self.events)


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.mtime = 1_600_000_000
    for field, value in fields.items():
        setattr(info, field, value)
    return info
