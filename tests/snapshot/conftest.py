"""Snapshots as the builder makes them: by every driver, in a namespace of our own.

A driver is called what `--driver` calls it, and where it matters also by where it works: "copy on
xfs". The filesystem is then one that is mounted for the tests, otherwise that of `tmp_path`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from filesystems import DRIVERS
from genoci import linux
from genoci.layer.compression import Compression
from genoci.layer.diff import Changes, changes, settle
from genoci.layer.entry import Entry, Kind
from genoci.layer.remove import remove_below
from genoci.layer.tree import EMPTY_TREE, LiveTree, Tree
from genoci.layer.write import write_layer
from genoci.oci.digest import chain_id
from genoci.oci.documents import Platform
from genoci.oci.image import Image, Layer
from genoci.oci.layout import Layout
from genoci.sandbox import userns
from genoci.sandbox.idmap import Extent, IdMap
from genoci.snapshot.btrfs import is_btrfs, remove_snapshots
from genoci.snapshot.driver import Active, Driver, Snapshotter
from genoci.snapshot.probe import pick
from genoci.snapshot.unpack import ensure

Script = Callable[[Path], object]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that asks for `namespace` in a child process, as root of a namespace."""
    if "namespace" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    grounds = pyfuncitem.funcargs.get("grounds", {})
    failure = in_namespace(
        lambda: pyfuncitem.obj(**arguments),
        clear=pyfuncitem.funcargs.get("tmp_path"),
        grounds=grounds.values(),
    )
    if failure:
        pytest.fail(failure, pytrace=False)
    return True


def in_namespace(
    body: Callable[[], object],
    *,
    clear: Path | None,
    grounds: Iterable[Path] = (),
    idmap: IdMap | None = None,
) -> str:
    """How `body` failed; empty: it did not.

    `clear` and `grounds` are emptied: we alone can't remove what is in them.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            userns.enter(idmap or userns.plan(), warn=lambda what, mend="": None)
            try:
                body()
            finally:
                for path in {clear, *grounds} - {None}:
                    _clear(path)
        except BaseException:
            with open(write, "w", errors="backslashreplace") as told:
                told.write(traceback.format_exc())
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.close(write)
    with open(read) as told:
        failure = told.read()
    _, status = os.waitpid(pid, 0)
    return failure or ("" if status == 0 else f"the child ended with status {status}")


def _clear(path: Path) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in mounted:
        if Path(target).is_relative_to(path):
            linux.umount(os.fsencode(target), linux.MNT_DETACH)
    if is_btrfs(path):
        for snapshots in path.glob("**/snapshots/btrfs"):
            remove_snapshots(snapshots)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_below(fd)
    finally:
        os.close(fd)


@pytest.fixture
def namespace() -> None:
    """The test's body runs as root of a user namespace, in a process of its own."""


def _filesystem_of(driver: str) -> str:
    """Empty: it works wherever the other files of a test are."""
    return driver.partition(" on ")[2]


def _marked(driver: str) -> object:
    kind = _filesystem_of(driver)
    return pytest.param(driver, marks=[pytest.mark.filesystem(kind)] if kind else [])


@pytest.fixture(params=map(_marked, DRIVERS))
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def grounds(
    request: pytest.FixtureRequest, tmp_path: Path, filesystem: Callable[[str], Path]
) -> Iterator[dict[str, Path]]:
    """Where to work: a directory on each filesystem that the test may want, empty: anywhere."""
    wanted = {kind for mark in request.node.iter_markers("filesystem") for kind in mark.args}
    found = {kind: Path(tempfile.mkdtemp(dir=filesystem(kind))) for kind in sorted(wanted)}
    yield {"": tmp_path} | found
    for path in found.values():
        path.rmdir()


@dataclasses.dataclass(frozen=True)
class Built:
    """What became of a script: the image with its layer on top, and how it came to it."""

    image: Image
    entries: list[Entry]
    warnings: list[str]

    @property
    def names(self) -> list[str]:
        """The names in the layer, as `tar t` would show them."""
        return [_name_in_tar(entry) for entry in self.entries]

    @property
    def layer(self) -> Layer:
        return self.image.layers[-1]

    def __getitem__(self, name: str) -> Entry:
        return next(entry for entry in self.entries if _name_in_tar(entry) == name)


def _name_in_tar(entry: Entry) -> str:
    if not entry.path:
        return "./"
    return os.fsdecode(entry.path) + ("/" if entry.kind is Kind.DIRECTORY else "")


class Bench:
    """A layout and a state in which scripts become layers; `driver` with or without its place."""

    def __init__(self, folder: Path, driver: str) -> None:
        self.folder = folder
        self.driver = driver.partition(" on ")[0]
        self.layout = Layout.create_or_open(folder / "oci")
        self.state = folder / "state"

    @property
    def snapshots(self) -> Snapshotter:
        return self.snapshots_in(self.state)

    def snapshots_in(self, state: Path) -> Snapshotter:
        def unexpected(what: str) -> None:
            raise AssertionError(what)

        return pick(Driver(self.driver), state, "map", warn=unexpected)

    def build(
        self,
        script: Script,
        *,
        on: Built | None = None,
        epoch: int | None = None,
        calm: bool = True,
        state: Path | None = None,
    ) -> Built:
        """Run `script` on a root, make a layer of what it did, and commit.

        `calm`: directories that were there before get the times back that they had.
        """
        image = on.image if on is not None else Image.empty(Platform.parse("linux/amd64"))
        warnings: list[str] = []
        snapshots = self.snapshots_in(state or self.state)
        with snapshots.prepare(image.chain_id) as active:
            with _calm(active.root) if calm else contextlib.nullcontext():
                script(active.root)
            with compared(active, warnings.append, epoch=epoch) as found:
                written = write_layer(self.layout, found, compression=Compression("none"))
            if written is not None:
                settle(active.root, found)
                active.commit(chain_id(image.chain_id, written.layer.diff_id))
                image = image.append(written.layer, created=0, created_by="test")
        return Built(image, [change.entry for change in found], warnings)

    def changed_names(self, active: Active) -> list[bytes]:
        with compared(active, print) as found:
            return [change.entry.path for change in found]

    def tree(self, built: Built, state: Path | None = None) -> dict[bytes, object]:
        """All that can be told of the snapshot of `built`."""
        snapshots = self.snapshots_in(state or self.state)
        with snapshots.prepare(built.image.chain_id) as active:
            assert active.parent is not None
            return self.tree_at(active.parent)

    def tree_at(self, root: Path) -> dict[bytes, object]:
        with LiveTree(root) as tree:
            return described(tree)

    def extracted(self, built: Built) -> dict[bytes, object]:
        """The same of what the layers of `built` are extracted to, by somebody else."""
        other = self.folder / "other"
        ensure(built.image, self.snapshots_in(other), self.layout, warn=lambda what: None)
        return self.tree(built, other)


@contextlib.contextmanager
def compared(
    active: Active, warn: Callable[[str], None], *, epoch: int | None = None
) -> Iterator[Changes]:
    """What differs from the parent, as long as both trees are open."""
    with contextlib.ExitStack() as stack:
        before: Tree = EMPTY_TREE
        if active.parent is not None:
            before = stack.enter_context(LiveTree(active.parent))
        after = stack.enter_context(LiveTree(active.root))
        yield changes(before, after, active.candidates(), epoch=epoch, warn=warn)


def described(tree: LiveTree) -> dict[bytes, object]:
    """Everything about every path: metadata, content, and which other names it has."""
    links = {path: sorted(paths) for paths in tree.groups().values() for path in paths}
    found: dict[bytes, object] = {}
    for path in [b"", *tree.paths()]:
        node = tree.node(path)
        assert node is not None
        content = b"".join(tree.content(path)) if node.entry.kind is Kind.FILE else b""
        entry = msgspec.structs.replace(node.entry, path=path)
        found[path] = (entry, content, links.get(path, [path]))
    return found


@contextlib.contextmanager
def _calm(root: Path) -> Iterator[None]:
    times = {path: os.lstat(path).st_mtime_ns for path in [root, *_directories(root)]}
    yield
    for path, mtime in times.items():
        if path.is_dir() and not path.is_symlink() and os.lstat(path).st_mtime_ns != mtime:
            os.utime(path, ns=(mtime, mtime))


def _directories(root: Path) -> Iterator[Path]:
    for folder, names, _ in os.walk(root):
        for name in names:
            if not Path(folder, name).is_symlink():
                yield Path(folder, name)


@pytest.fixture
def bench(grounds: dict[str, Path], driver: str, namespace: None) -> Bench:
    return Bench(grounds[_filesystem_of(driver)], driver)


@pytest.fixture
def make_bench(grounds: dict[str, Path]) -> Callable[[str], Bench]:
    """New benches of given drivers, apart from each other."""
    numbers = itertools.count()

    def make(driver: str) -> Bench:
        folder = grounds[_filesystem_of(driver)] / str(next(numbers))
        folder.mkdir()
        return Bench(folder, driver)

    return make


@pytest.fixture
def bench_of(make_bench: Callable[[str], Bench], namespace: None) -> Callable[[str], Bench]:
    return make_bench


@pytest.fixture
def in_single_id_namespace(tmp_path: Path) -> Callable[[Callable[[], object]], str]:
    """Runs a function where nobody has an id but the caller; how it failed, if it did."""
    own = Extent(0, os.getuid(), 1), Extent(0, os.getgid(), 1)
    idmap = IdMap("single", (own[0],), (own[1],))
    return lambda body: in_namespace(body, clear=tmp_path, idmap=idmap)


@pytest.fixture
def in_a_namespace() -> Callable[[Callable[[], object]], str]:
    """Runs a function as root of a namespace, in a process of its own; how it failed, if it did.

    For tests that prepare something outside, as real root.
    """
    return lambda body: in_namespace(body, clear=None)


@pytest.fixture
def fresh_bench(bench_of: Callable[[str], Bench], driver: str) -> Callable[[], Bench]:
    return lambda: bench_of(driver)
