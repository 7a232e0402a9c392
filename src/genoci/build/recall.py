"""A build with nothing to do, known for one by the trace of the last: nothing is read or planned.

What is loaded here is loaded by every build, and is kept short: neither the YAML parser nor the
codecs of documents are needed to say that nothing changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from genoci import files
from genoci.build import trace
from genoci.build.events import AnyEvent, Finished, Started, Warned
from genoci.build.outcome import Outcome
from genoci.build.trace import Asked, Trace
from genoci.oci import append, locks


def recall(
    asked: Asked, on_event: Callable[[AnyEvent], None], *, dated_tags: bool
) -> Outcome | None:
    """Tag and tell what `schedule.build` would, if the last build's trace says what that is.

    None, and nothing is done, if it does not: then it is for `schedule.build`.
    """
    last = trace.standing(asked)
    tags = _tagged(asked, last, dated_tags=dated_tags) if last else None
    if last is None or tags is None:
        return None
    for warning in last.warnings:
        on_event(Warned(target="", what=warning))
    built: list[Finished] = []
    for number, image in enumerate(last.images, 1):
        on_event(Started(target=image.name, number=number, total=len(last.images)))
        told = Finished(target=image.name, tags=tags[image.name], digest=image.digest, cached=True)
        built.append(told)
        on_event(told)
    return Outcome(tuple(built), (), ())


def _tagged(asked: Asked, last: Trace, *, dated_tags: bool) -> Mapping[str, tuple[str, ...]] | None:
    """Tag the images as NAME and NAME-DATE_N; None if that takes more than appending to the index.

    NAME stands for the image already, since the index is what it was.
    """
    if not dated_tags:
        return {image.name: (image.name,) for image in last.images}
    date = time.strftime("%Y-%m-%d")
    if last.numbers is None or last.date != date:
        return None
    numbers = {name: number + 1 for name, number in last.numbers.items()}
    try:
        appended = _appended(asked, last, numbers)
    except OSError:  # `schedule.build` will meet it again, and tell
        return None
    return {name: (name, f"{name}-{date}_{n}") for name, n in numbers.items()} if appended else None


def _appended(asked: Asked, last: Trace, numbers: Mapping[str, int]) -> bool:
    """Append the dated tags to the index, if that is still what it was. Raises OSError."""
    busy, editing, index = (
        os.path.join(asked.layout, name) for name in (locks.BUSY, locks.INDEX, "index.json")
    )
    with files.lock(busy, shared=True), files.lock(editing):
        with trace.opened(index) as stream:
            content = stream.read()
            if trace.stamp(stream.fileno(), content) != last.index_file:
                return False
        tags = [
            (f"{name}-{last.date}_{numbers[name]}", media_type, digest, size)
            for name, media_type, digest, size in last.images
        ]
        content = append.with_tags(content, tags)
        files.write(index, content)
        with trace.opened(index) as stream:
            made = trace.stamp(stream.fileno(), content)
    trace.save(asked, last._replace(index_file=made, numbers=numbers))
    return True
