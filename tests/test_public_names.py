"""What `import genoci` promises."""

from __future__ import annotations

import subprocess
import sys

import genoci


def test_every_public_name_is_there() -> None:
    for name in genoci.__all__:
        assert getattr(genoci, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(genoci, "nothing")


def test_importing_genoci_loads_nothing_heavy() -> None:
    code = "import genoci, sys; print(*sorted(m for m in sys.modules if not m.startswith('_')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "genoci" in loaded
    assert not loaded & {"msgspec", "yaml", "rich", "isal", "pyseccomp", "ctypes"}
