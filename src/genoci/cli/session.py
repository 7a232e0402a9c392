"""What every command is handed besides its own arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from genoci.cli.messages import Messages
from genoci.cli.results import Results
from genoci.settings import Settings

if TYPE_CHECKING:
    from genoci.build.events import AnyEvent
    from genoci.cli.progress import Progress
    from genoci.snapshot.driver import Driver


class Session(NamedTuple):
    """Where things are, where to say things, and how: the shared options, settled."""

    settings: Settings
    results: Results
    messages: Messages
    progress_kind: str
    debug: bool

    def progress(self) -> Progress:
        """A display of events, of the kind that was asked for; to be closed by the caller."""
        from genoci.cli.progress import choose

        return choose(self.progress_kind, self.messages, debug=self.debug)

    def driver(self) -> Driver:
        """The snapshot driver to use. Raises MachineError for a btrfs that is not there yet."""
        from genoci.errors import MachineError
        from genoci.settings import is_on_btrfs
        from genoci.snapshot.driver import Driver

        settings = self.settings
        place = settings.btrfs
        if place is None:
            return Driver(settings.driver)
        if place.is_dir() and is_on_btrfs(place):
            return Driver(settings.driver, str(place.absolute()))
        if settings.config is None and is_on_btrfs(settings.state):
            return Driver(settings.driver)
        raise MachineError(
            f"there is no btrfs at {place}",
            mend="Set it up: lpack setup (as root); or take another driver: --driver overlay",
        )

    def driver_if_there(self) -> Driver:
        """The same where a btrfs that is not there does not matter."""
        from genoci.errors import MachineError
        from genoci.snapshot.driver import AUTO

        try:
            return self.driver()
        except MachineError:
            return AUTO

    def tell(self, event: AnyEvent) -> None:
        """Show what an operation warns of; for those that are no builds."""
        from genoci.build.events import Warned

        if isinstance(event, Warned):
            self.messages.warning(event.what, event.mend)
