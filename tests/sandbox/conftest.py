"""Real namespaces and containers, each in a process of its own, since none is left again."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from genoci import linux
from genoci.sandbox import process, seccomp, userns

T = TypeVar("T")
BUSYBOX = Path("/bin/busybox")


class Failed(AssertionError):
    """What went wrong in the forked child, as text."""


def _apart(body: Callable[[], T]) -> T:
    """What `body` returns in a forked child; raises Failed with the text of what it raises."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            try:
                told = pickle.dumps((body(), ""))
            except BaseException:
                told = pickle.dumps((None, traceback.format_exc()))
            with open(write, "wb") as stream:
                stream.write(told)
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:
        told = stream.read()
    os.waitpid(pid, 0)
    result, error = pickle.loads(told) if told else (None, "the child was killed")
    if error:
        raise Failed(error)
    return result  # type: ignore[no-any-return]


Apart = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def apart() -> Apart:
    return _apart


@pytest.fixture
def apart_as_a_user() -> Apart:
    """The same; as root, under an id that has no name, no rights and no subordinate ids."""

    def run(body: Callable[[], T]) -> T:
        def as_user() -> T:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(4242, 4242, 4242)
                os.setresuid(4242, 4242, 4242)
                linux.prctl(linux.PR_SET_DUMPABLE, 1)  # as after an execve
            return body()

        return _apart(as_user)

    return run


class Ran(NamedTuple):
    status: int
    output: bytes
    warnings: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.output.decode()


def enter(*writable: Path, warnings: list[str] | None = None) -> None:
    """Be a worker: root of a namespace, which may write below `writable`."""
    said = [] if warnings is None else warnings
    seccomp.default_filter()
    userns.enter(userns.plan(), warn=lambda what, mend: said.append(what))
    userns.private_view(writable)


class Container:
    """Commands in one root filesystem; each call is a worker of its own."""

    def __init__(self, root: Path, binds: Mapping[Path, Path] | None = None) -> None:
        self.root = root
        self.writable: list[Path] = []  # beside the root
        self._binds = dict(binds or {})

    def __call__(self, shell: str, **more: Any) -> Ran:
        return self.run("/bin/sh", "-c", shell, **more)

    def run(self, *argv: str, **more: Any) -> Ran:
        return _apart(lambda: self.in_a_worker(*argv, **more))

    def python(self, program: str, **more: Any) -> Ran:
        """The same for the host's Python, in a root that has it."""
        return self.run(sys.base_exec_prefix + "/bin/python3", "-c", program, **more)

    def in_a_worker(
        self,
        *argv: str,
        on_output: Callable[[bytes], None] | None = None,
        before: Callable[[], object] | None = None,
        **more: Any,
    ) -> Ran:
        self.be_a_worker()
        if before is not None:
            before()
        output: list[bytes] = []
        warnings: list[str] = []
        status = process.run(
            self.command(*argv, **more),
            on_output or output.append,
            warn=lambda what, mend: warnings.append(what),
        )
        return Ran(status, b"".join(output), tuple(warnings))

    def be_a_worker(self) -> None:
        enter(self.root, *self.writable)
        root = os.fsencode(self.root)
        linux.mount(root, root, None, linux.MS_BIND | linux.MS_REC)
        for source, target in self._binds.items():
            place = self.root / target
            linux.mount(os.fsencode(source), os.fsencode(place), None, linux.MS_BIND)

    def command(self, *argv: str, **more: Any) -> process.Command:
        settings: dict[str, Any] = {"env": {"PATH": "/bin"}, **more}
        return process.Command(argv=argv, root=self.root, **settings)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    """A container whose root is nothing but busybox."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True, text=True)
    for name in set(applets.stdout.split()) - {"busybox"}:
        (root / "bin" / name).symlink_to("busybox")
    return Container(root)


@pytest.fixture
def python_container(container: Container) -> Container:
    """Busybox, and the host's /usr with its Python, mounted below the root."""
    prefix = Path(sys.base_exec_prefix)
    binds = {Path("/usr"): Path("usr"), prefix: prefix.relative_to("/")}
    for target in binds.values():
        (container.root / target).mkdir(parents=True, exist_ok=True)
    for name in ("lib", "lib64"):
        if (Path("/") / name).is_symlink():
            (container.root / name).symlink_to((Path("/") / name).readlink())
    return Container(container.root, binds)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Any:
    """No test leaves a child, or a mount."""
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
