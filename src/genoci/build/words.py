"""Steps and hooks in words: as a line of progress, in an error, in an image's history."""

from __future__ import annotations

import os

from genoci.fetch.address import shown
from genoci.spec.target import Copy, Expand, Hook, Install, Package, Run, Step


def fetches(step: Install) -> bool:
    """Whether something is looked for by name: what only a package manager can do."""
    return any(one.name is not None or one.deps_from_repo for one in step.packages)


def description(step: Step, folder: str) -> str:
    """The step in one piece, with host paths as the YAML file's folder sees them."""
    return _readable(_description(step, folder))


def _description(step: Step, folder: str) -> str:
    match step:
        case Expand():
            return f"expand: {' '.join(seen_from(folder, path) for path in step.sources)}"
        case Copy():
            sources = step.sources
            if step.image is None:
                sources = tuple(seen_from(folder, path) for path in sources)
            origin = f" (from {step.image})" if step.image else ""
            return f"copy{origin}: {' '.join(sources)} {step.dest}"
        case Install():
            return f"install: {' '.join(named(folder, one) for one in step.packages)}"
        case Run():
            return f"run: {seen_from(folder, step.script) if step.script else step.shell}"


def hook_description(key: str, hook: Hook, folder: str) -> str:
    """The same for a hook of `key`, which is `pre` or `post`."""
    words = seen_from(folder, hook.script) if hook.script else hook.shell
    return _readable(f"{key}: {words}")


def hook_line(key: str, hook: Hook, folder: str) -> str:
    """The first line of that."""
    return first_line(hook_description(key, hook, folder))


def named(folder: str, package: Package) -> str:
    """What the YAML file calls the package."""
    if package.path is not None:
        return seen_from(folder, package.path)
    return shown(package.url) if package.url is not None else package.name or ""


def _readable(text: str) -> str:
    """The text with what is no character of it (names are bytes) as escapes."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def first_line(text: str) -> str:
    """The first line of a description, cut where a terminal's might end."""
    first, *more = text.strip().splitlines() or [""]
    return first if len(first) <= 72 and not more else first[:71] + "…"


def seen_from(folder: str, path: str) -> str:
    """A host path as the YAML file's folder sees it; what lies outside, by its name alone."""
    inside = os.path.relpath(path, folder)
    return os.path.basename(path) if inside.startswith("..") else inside


def path_from(folder: str, path: str) -> str:
    """The same as a path that leads there, and can't be taken for anything but a path."""
    inside = os.path.relpath(path, folder)
    if inside.startswith(".."):
        return path
    return inside if inside == "." else f"./{inside}"
