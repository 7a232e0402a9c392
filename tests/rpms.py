"""Packages that are made with rpmbuild, and a place where builds install them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from genoci.build.relock import lock
from genoci.build.schedule import Outcome, Request
from genoci.layer.compression import Compression
from workshop import Workshop

_EPOCH = 1_700_000_000
_HEAD = """\
Name: {name}
Version: {version}
Release: 1
Summary: Made for tests
License: none
BuildArch: noarch
AutoReqProv: no
{tags}
%description
Made for tests.
%install
mkdir -p %{{buildroot}}/usr/share/{name} %{{buildroot}}/etc %{{buildroot}}/usr/bin
echo {name} {version} >%{{buildroot}}/usr/share/{name}/file
echo default >%{{buildroot}}/etc/{name}.conf
echo program >%{{buildroot}}/usr/bin/{name}
{scripts}
%files
%dir /usr/share/{name}
/usr/share/{name}/file
{files}
"""


def spec(
    name: str, version: str = "1", *, tags: str = "", scripts: str = "", files: str = ""
) -> str:
    """A spec file: /usr/share/NAME/file; /etc/NAME.conf and /usr/bin/NAME if `files` has them."""
    return _HEAD.format(name=name, version=version, tags=tags, scripts=scripts, files=files)


SPECS = (
    spec("plain"),
    spec("plain", "2"),
    spec(
        "app",
        tags="Requires: lib\nRecommends: extra",
        scripts="%post\n"
        "echo configured >/var/lib/app\n"
        'echo "systemd offline: $SYSTEMD_OFFLINE"\n'
        "echo interfaces: $(sed -n 's/:.*//p' /proc/net/dev)\n",
        files="%config(noreplace) /etc/app.conf",
    ),
    spec("lib"),
    spec("lib", "2"),
    spec("extra"),
    spec(
        "rights",
        files="%attr(4755, root, root) %caps(cap_net_raw=ep) /usr/bin/rights\n"
        "%attr(0640, root, mail) /etc/rights.conf",
    ),
    spec("watcher", scripts="%triggerin -- plain\necho watched plain\n"),
    spec("first", tags="Requires: second"),
    spec("second", tags="Requires: first"),
    spec("needy", tags="Requires: nonesuch\nRequires: /usr/bin/nowhere, lib >= 7"),
    spec("post-fails", scripts="%post\necho last words\nexit 3\n"),
    spec("pre-fails", scripts="%pre\nexit 4\n"),
    spec("epochal", "3", tags="Epoch: 5"),
)


def build_rpms(folder: Path, *specs: str) -> None:
    """Make the packages, as NAME-VERSION-1.noarch.rpm in `folder`."""
    for number, text in enumerate(specs):
        (folder / f"{number}.spec").write_text(text)
    subprocess.run(
        [
            *("rpmbuild", "--quiet", "-bb", "--define", f"_topdir {folder}/rpmbuild"),
            *("--define", "_unpackaged_files_terminate_build 0"),
            *("--define", "clamp_mtime_to_source_date_epoch 1"),
            *(
                "--define",
                f"_rpmdir {folder}",
                "--define",
                "_build_name_fmt %%{NAME}-%%{VERSION}.rpm",
            ),
            *sorted(folder.glob("*.spec")),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1650000000"},
    )
    for text in folder.glob("*.spec"):
        text.unlink()


# It forks, so that it is nobody's child here: tests of containers count theirs.
_SERVER = """
import http.server, os, sys, threading
if os.fork():
    os._exit(0)
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server of the folder, on the loopback; its address. No thread: builds fork."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(
        command, cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        port = int(server.stdout.readline())
        server.wait()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stdin.close()  # it ends when it sees that, and with it its output
            server.stdout.read()


class RpmShop(Workshop):
    """A workshop with the bases `dnf`, `zypper` and `rpm`, each with no other way to install."""

    def __init__(self, folder: Path, rpms: Path) -> None:
        super().__init__(folder)
        self.rpms = rpms

    def set_up(self, root: Path, repository: str) -> None:
        self.write("test.repo", f"[test]\nname=test\nbaseurl={repository}\ngpgcheck=0\n")
        repo = "copy: [test.repo /etc/yum.repos.d/, test.repo /etc/zypp/repos.d/]"
        outcome = self.install(
            f"root: {{base: empty, expand: {root}}}\n"
            f"dnf: {{base: root, {repo}}}\n"
            "zypper: {base: dnf, run: rm /usr/bin/dnf /usr/bin/dnf-3}\n"
            "rpm: {base: zypper, run: rm /usr/bin/zypper}\n"
        )
        assert outcome.ok, outcome.failed

    def file(self, name: str) -> Path:
        return self.rpms / f"{name}.rpm"

    def install(self, yaml: str, *targets: str, **options: object) -> Outcome:
        """Build, with layers as plain tar, under an epoch."""
        settings = {
            "compression": Compression.parse("none"),
            "dated_tags": False,
            "epoch": _EPOCH,
        }
        return self.build(yaml, *targets, **(settings | options))

    def says(self, base: str, command: str) -> str:
        """What a command prints in an image."""
        outcome = self.install(f"says:\n  base: {base}\n  cache: never\n  run: |\n    {command}\n")
        assert outcome.ok, outcome.failed
        return self.output()


def make_lock_file(workshop: Workshop, yaml: str) -> None:
    """What `genoci lock` does."""
    relocked = lock(
        Request(
            file=workshop.write("genoci.yaml", yaml),
            layout=workshop.layout_path,
            state=workshop.state,
            compression=Compression.parse("none"),
            epoch=_EPOCH,
        ),
        workshop.events.append,
    )
    assert relocked.written, relocked


def layer_of(workshop: Workshop, tag: str) -> dict[str, tarfile.TarInfo]:
    """The members of an image's uppermost layer, but for directories."""
    descriptor = workshop.image(tag).layers[-1].descriptor
    blob = workshop.layout_path / "blobs" / "sha256" / descriptor.digest.hex
    with tarfile.open(blob) as archive:
        return {one.name: one for one in archive if not one.isdir()}
