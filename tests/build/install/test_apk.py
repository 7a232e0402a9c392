"""What genoci does around apk. The apk here is a stand-in of a few lines: no real one was at hand.

It shows that a cache is seen and not left, how the database is read, and what is pinned; nothing
of what a real apk would do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from rpms import layer_of, make_lock_file
from workshop import Workshop

APK = r"""#!/bin/sh
echo "apk $*"
case $1 in
add)
    for name; do
        case $name in
        nonesuch)
            printf 'ERROR: unable to select packages:\n  nonesuch (no such package):\n'
            exit 1 ;;
        jq)
            echo "the file of jq" >/etc/apk/cache/jq-1.7-r0.1234abcd.apk
            echo "the file of oniguruma" >/etc/apk/cache/oniguruma-6-r1.5678abcd.apk
            printf 'C:Q1x\nP:oniguruma\nV:6-r1\nA:x86_64\nF:usr\nR:x\n\n' >>/lib/apk/db/installed
            printf 'C:Q1x\nP:jq\nV:1.7-r0\nA:x86_64\n\n' >>/lib/apk/db/installed
            echo program >/usr/bin/jq
            echo "when: $(date)" >/var/log/apk.log ;;
        esac
    done ;;
fetch)
    for last; do :; done
    echo "http://a.place/$(echo "$last" | tr = -).apk" ;;
esac
"""


def alpine(workshop: Workshop, rootfs: Path) -> str:
    workshop.write("apk", APK, 0o755)
    return (
        f"root: {{base: empty, expand: {rootfs}}}\n"
        "alpine:\n  base: root\n  copy: apk /sbin/apk\n  run: |\n"
        "    mkdir -p /lib/apk/db /var/log /etc/apk /usr/bin\n"
        "    printf 'P:musl\\nV:1\\nA:x86_64\\n\\n' >/lib/apk/db/installed\n"
    )


def test_nothing_of_a_cache_or_a_log_is_left(workshop: Workshop, rootfs: Path) -> None:
    outcome = workshop.build(
        alpine(workshop, rootfs) + "jq: {base: alpine, install: jq}\n", dated_tags=False
    )
    assert outcome.ok, outcome.failed
    assert set(layer_of(workshop, "jq")) == {"lib/apk/db/installed", "usr/bin/jq"}


def test_what_nobody_has_is_named(workshop: Workshop, rootfs: Path) -> None:
    yaml = alpine(workshop, rootfs) + "none: {base: alpine, install: nonesuch jq}\n"
    (failed,) = workshop.build(yaml, dated_tags=False).failed
    assert failed.what == "no repository of the image has nonesuch"


def test_what_was_installed_is_locked_by_its_file(workshop: Workshop, rootfs: Path) -> None:
    make_lock_file(workshop, alpine(workshop, rootfs) + "jq: {base: alpine, install: jq}\n")
    lock = (workshop.folder / "genoci.lock").read_text()
    for name, version in (("oniguruma", "6-r1"), ("jq", "1.7-r0")):
        digest = hashlib.sha256(f"the file of {name}\n".encode()).hexdigest()
        source = f"http://a.place/{name}-{version}.apk"
        assert f"apk {name} {version} x86_64 {digest} {source}" in lock
