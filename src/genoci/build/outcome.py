"""What became of a build."""

from typing import NamedTuple

from genoci.build.events import Failed, Finished, Skipped


class Outcome(NamedTuple):
    """The targets, each in one of the three, in the order in which that became known."""

    built: tuple[Finished, ...]
    failed: tuple[Failed, ...]
    skipped: tuple[Skipped, ...]

    @property
    def ok(self) -> bool:
        return not self.failed and not self.skipped
