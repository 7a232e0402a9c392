"""Every error that genoci raises on purpose.

    GenociError                     exit status
    ├── UsageError                  2   the command line, the YAML, or a file that it names
    │   └── SpecError               2   … with file:line:column
    ├── BuildError                  1   a build or a check failed
    │   ├── StepFailed              1   a command of `run` ended with a status other than 0
    │   ├── ArchiveError            1   a tarball or a layer that can't be believed
    │   └── StorageError            1   the disk is full, or refuses
    ├── LayoutError                 1   the layout, or something in it, is not what it should be
    │   ├── NotFound                1   no such tag or blob
    │   └── Damaged                 1   bytes that do not have the digest they are stored under
    ├── MachineError                3   the machine lacks something
    └── Interrupted                 130

Each says what happened, where, and the mend. Foreign exceptions are translated once, where
they enter (`raise … from`); whatever is not in this tree is a bug and shows its traceback.
"""

from __future__ import annotations


class GenociError(Exception):
    """What happened; `where` it did; and the `mend`: what the reader can do about it."""

    exit_status = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.mend}" if self.mend else head


class UsageError(GenociError):
    """The command line, the YAML or a file that it names is wrong; nothing was built."""

    exit_status = 2


class SpecError(UsageError):
    """A mistake in the YAML file; `where` is `file:line:column`, both counted from 1.

    `others` are the further mistakes in the same file, in its order; `str()` shows them all.
    """

    def __init__(
        self, what: str, *, where: str = "", mend: str = "", others: tuple[SpecError, ...] = ()
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.others = others

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *map(str, self.others)])


class BuildError(GenociError):
    """A build or a check failed; `where` names the target and the step."""


class StepFailed(BuildError):
    """A command ended with `status` (128 + N: killed by signal N), having said `tail` last."""

    def __init__(
        self, what: str, *, status: int, tail: tuple[str, ...] = (), where: str = "", mend: str = ""
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.status = status
        self.tail = tail


class ArchiveError(BuildError):
    """A tarball or a layer is damaged or hostile; says the entry and the offset."""


class StorageError(BuildError):
    """The filesystem is full, or refuses to store something."""


class LayoutError(GenociError):
    """The OCI layout, or something in it, is not what it should be."""


class NotFound(LayoutError):
    """No such tag, or no such blob."""


class Damaged(LayoutError):
    """Stored bytes do not have the digest or the size that their descriptor promises."""


class MachineError(GenociError):
    """This machine lacks something, or forbids it."""

    exit_status = 3


class Interrupted(GenociError):
    """The user ended it."""

    exit_status = 130
