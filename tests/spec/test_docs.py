"""The examples of docs/yaml.md are files that can be read, and show every key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genoci.spec.keys import TARGET
from genoci.spec.read import read

_DOCS = Path(__file__).parents[2] / "docs" / "yaml.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", _DOCS.read_text(), re.MULTILINE | re.DOTALL)
_FILES = (
    *("cirros.tar.gz", "rootfs.tar.gz", "base.tar", "patches/a.tar", "my files.tar"),
    *("app-1.2.tar.xz", "hello.txt", "tool", "setup.sh", "hello.rpm", "my packages/app.deb"),
    *("packages/app.deb", "packages/odd.deb", "hello.deb"),
    *("libc6.deb", "libgcc-s1.deb", "gcc-12-base.deb"),
)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.partition(":")[0])
def test_an_example_can_be_read(tmp_path: Path, text: str) -> None:
    for name in _FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "f.yaml").write_text(text)
    found = read(tmp_path / "f.yaml", tags=["debian"])
    assert found.targets
    assert not found.warnings


@pytest.mark.parametrize("key", TARGET)
def test_every_key_has_an_example(key: str) -> None:
    assert any(re.search(rf"\b{key}: ?", text) for text in EXAMPLES)
