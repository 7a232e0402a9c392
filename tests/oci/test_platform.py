from __future__ import annotations

import subprocess

import pytest

from genoci.errors import UsageError
from genoci.oci.platform import Platform


@pytest.mark.parametrize("text", ["linux/386", "linux/arm64/v8", "windows/amd64"])
def test_a_platform_is_written_as_it_is_read(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/386", "a/b/c/d", "linux/x y", "li\n/x"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(UsageError):
        Platform.parse(text)


def test_the_host_is_what_debian_calls_it() -> None:
    names = {"amd64": "amd64", "arm64": "arm64", "i386": "386", "armhf": "arm"}
    debian = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, text=True, capture_output=True
    ).stdout.strip()
    assert Platform.host().architecture == names.get(debian, debian)
    assert Platform.host().os == "linux"


@pytest.mark.parametrize(
    ("has", "wanted", "distance"),
    [
        ("linux/amd64", "linux/amd64", 0),
        ("linux/arm64", "linux/arm64/v8", 0),
        ("linux/arm64/v8", "linux/arm64", 0),
        ("linux/arm/v7", "linux/arm/v7", 0),
        ("linux/arm/v6", "linux/arm/v7", 2),
        ("linux/arm/v5", "linux/arm/v7", 3),
        ("linux/arm", "linux/arm/v7", 1),
        ("linux/arm/v7", "linux/arm/v6", None),
        ("linux/amd64", "linux/arm64", None),
        ("windows/amd64", "linux/amd64", None),
        ("linux/amd64/v3", "linux/amd64/v2", None),
    ],
)
def test_how_well_an_image_suits(has: str, wanted: str, distance: int | None) -> None:
    assert Platform.parse(has).distance_to(Platform.parse(wanted)) == distance
