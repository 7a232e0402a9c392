"""Which packages suit which platform: the names that dpkg and rpm give to machines."""

from __future__ import annotations

from genoci.errors import BuildError
from genoci.oci.platform import Platform
from genoci.package.archive import Archive

_ANY = frozenset(["all", "noarch"])

# By OCI architecture (and variant, where that matters) what runs there, the usual name first.
# rpm's own table of what a machine can run is `arch_compat` in its rpmrc.
_DEB: dict[str, tuple[str, ...]] = {
    "amd64": ("amd64",),
    "386": ("i386",),
    "arm64": ("arm64",),
    "arm": ("armhf", "armel"),
    "riscv64": ("riscv64",),
    "ppc64le": ("ppc64el",),
    "ppc64": ("ppc64",),
    "s390x": ("s390x",),
    "loong64": ("loong64",),
    "mips64le": ("mips64el",),
    "mipsle": ("mipsel",),
    "mips": ("mips",),
}
_RPM: dict[str, tuple[str, ...]] = {
    "amd64": ("x86_64", "x86_64_v2", "x86_64_v3", "x86_64_v4", "amd64", "ia32e", "em64t"),
    "386": ("i686", "i586", "i486", "i386", "athlon", "pentium3", "pentium4", "geode"),
    "arm64": ("aarch64",),
    "arm": (
        *("armv7hl", "armv7hnl", "armv7l", "armv6hl", "armv6l", "armv5tel", "armv5tejl"),
        *("armv5tl", "armv4tl", "armv4l", "armv3l", "armv8hl", "armv8l"),
    ),
    "riscv64": ("riscv64",),
    "ppc64le": ("ppc64le",),
    "ppc64": ("ppc64", "ppc64p7"),
    "s390x": ("s390x",),
    "loong64": ("loongarch64", "loong64"),
    "mips64le": ("mips64el", "mips64r6el"),
    "mipsle": ("mipsel", "mipsr6el"),
    "mips": ("mips", "mipsr6"),
}


def check_architecture(archive: Archive, platform: Platform) -> None:
    """Raise BuildError, naming both, unless what is in the package runs on the platform."""
    if archive.architecture in _ANY:
        return
    names = _DEB if archive.family == "deb" else _RPM
    suitable = names.get(platform.architecture, (platform.architecture,))
    if archive.architecture in suitable and not _too_new(archive.architecture, platform):
        return
    raise BuildError(
        f"{archive.named} is for {archive.architecture}, and the image for {platform}"
        f" ({suitable[0]})",
        mend="Take the package that was built for the image's platform, or set `platform`"
        " if the image is meant for another one.",
    )


def _too_new(name: str, platform: Platform) -> bool:
    """Whether it needs a later ARM than the platform's variant (none given: v7) promises."""
    if platform.architecture != "arm":
        return False
    needed = {"armhf": "v7", "armel": "v5"}.get(name) or f"v{name[4]}"
    return needed > (platform.variant or "v7")
