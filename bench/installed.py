"""genoci as users have it: installed by pip into an environment without anything else."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_WHAT = ("pyproject.toml", "README.md", "src")


def installed(source: Path, cache: Path) -> Path:
    """The program `genoci` of an environment in `cache`, made anew whenever the source changed."""
    environment, stamp = cache / "env", cache / "env" / "source"
    state = _digest(source)
    program = environment / "bin" / "genoci"
    if stamp.exists() and stamp.read_text() == state and program.exists():
        return program
    shutil.rmtree(environment, ignore_errors=True)
    # From a copy: in the tree itself pip would take up what earlier builds left in `build`.
    copy = cache / "source"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in _WHAT:
        if (source / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source / name, copy / name, ignore=ignored)
        else:
            shutil.copy(source / name, copy / name)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "--quiet", "install", str(copy)], check=True)
    shutil.rmtree(copy)
    stamp.write_text(state)
    return program


def _digest(source: Path) -> str:
    hashed = hashlib.sha256()
    files = [source / "pyproject.toml", *sorted((source / "src").rglob("*.py"))]
    for path in files:
        hashed.update(str(path.relative_to(source)).encode() + path.read_bytes())
    return hashed.hexdigest()
