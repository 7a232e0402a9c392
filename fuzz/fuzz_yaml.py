"""Fuzzes the YAML reader: any bytes give a Spec, or an error of ours with a place.

    python fuzz/fuzz_yaml.py -atheris_runs=100000 [CORPUS]

The mistakes of tests/spec are the seeds; what is found goes to CORPUS, if one is given.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["genoci.spec", "yaml"]):
    import genoci.spec.yaml  # noqa: F401  (read loads it lazily, when nothing is instrumented)
    from genoci.errors import SpecError
    from genoci.spec.order import order
    from genoci.spec.read import read

_CASE = re.compile(r"^=== .*\n", re.MULTILINE)
_PLACE = re.compile(r"f\.yaml(:[1-9][0-9]*:[1-9][0-9]*)?")


def check(folder: Path, content: bytes) -> None:
    """Read `content` as a file of `folder`; raise for whatever a user should never see."""
    if b"/*" in content or b"/?" in content or b"/[" in content:
        return  # a pattern may walk all of this machine, as it should
    path = folder / "f.yaml"
    path.write_bytes(content)
    try:
        spec = read(path, tags=lambda: ["debian", "cirros-2026-11-23_1"])
    except SpecError as error:
        for one in (error, *error.others):
            where = one.where.removeprefix(f"{folder}/")
            assert _PLACE.fullmatch(where), f"a place that is none: {where!r}"
            assert one.what and one.what.isprintable(), f"a bad message: {one.what!r}"
            assert one.mend.isprintable(), f"a bad mend: {one.mend!r}"
    else:
        assert len(order(spec, [])) == len(spec.targets) > 0


def seeds(folder: Path) -> None:
    """Every text of the table of mistakes, as a file of its own."""
    table = Path(__file__).parent.parent / "tests" / "spec" / "mistakes.txt"
    for number, body in enumerate(_CASE.split(table.read_text())[1:]):
        (folder / f"{number:03}").write_text(body.partition(">>>\n")[0])


def fuzz(folder: Path, seed: Path) -> None:
    """Never comes back: libFuzzer ends the process, without Python's clearing up."""
    flags = [word for word in sys.argv[1:] if word.startswith("-")]
    corpora = [word for word in sys.argv[1:] if not word.startswith("-")]
    arguments = [sys.argv[0], *flags, *corpora, str(seed)]
    atheris.Setup(arguments, lambda data: check(folder, data))
    atheris.Fuzz()


def main() -> int:
    with contextlib.ExitStack() as stack:
        made = (stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2))
        folder, seed = map(Path, made)
        seeds(seed)
        for name in ("hello.txt", "rootfs.tar.gz"):
            (folder / name).write_text("")
        child = os.fork()
        if child == 0:
            fuzz(folder, seed)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
