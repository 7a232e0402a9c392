"""Which scripts a root in which nothing runs can do without."""

from __future__ import annotations

import pytest

from genoci.errors import BuildError
from genoci.package.script import Script, dealt_with, refuse

HARMLESS = [
    "",
    "#!/bin/sh\n",
    "#!/bin/sh\nset -e\n\n# nothing to do\nexit 0\n",
    "#!/bin/sh\nldconfig\n",
    "/sbin/ldconfig",
    "/usr/sbin/ldconfig -X >/dev/null 2>&1 || :\n",
    "#!/bin/sh\n# Automatically added by dh_makeshlibs\n"
    'if [ "$1" = "configure" ]; then\n\tldconfig\nfi\n# End automatically added section\n',
    '#!/bin/sh\nset -e\ncase "$1" in\n    configure)\n        ldconfig\n        ;;\n'
    "    abort-upgrade|abort-remove)\n    ;;\n    *)\n      exit 0 ;;\nesac\n",
    'if [ "$1" = configure ] && [ -z "$2" ]\nthen ldconfig; fi',
    'case "$1" in configure) ldconfig;; esac',
    "test $1 -eq 1 && /sbin/ldconfig\nexit 0",
    "[ $1 -gt 1 ] || exit 0\n/sbin/ldconfig",
]
HARMFUL = [
    "#!/bin/sh\nuseradd --system it\n",
    "#!/bin/sh\nldconfig; rm -rf /tmp/x\n",
    "#!/bin/sh\nldconfig && systemctl enable it\n",
    'if [ "$(touch /x)" = "" ]; then ldconfig; fi',
    "if [ `touch /x` = 1 ]; then ldconfig; fi",
    "if touch /x; then ldconfig; fi",
    "exit 1",
    "ldconfig > /etc/passwd",
    "ldconfig \\\n; rm x",
    "ldconfig $(rm x)",
    "case `rm x` in\nesac",
    "cat <<EOF\nldconfig\nEOF",
    "my_ldconfig",
    "ldconfig() { rm x; }",
    "set -e rm",
    "#!/bin/sh\n. /usr/share/debconf/confmodule\n",
    "ldconfig & rm x",
    "ldconfig | rm x",
    "true\x0brm x",
]


def script(text: str, interpreter: str = "/bin/sh") -> Script:
    return Script("it", "postinst", interpreter, text)


@pytest.mark.parametrize("text", HARMLESS)
def test_nothing_is_lost_without_a_script_that_only_calls_ldconfig(text: str) -> None:
    assert dealt_with(script(text))
    assert dealt_with(script(text, "/bin/sh -e"))


@pytest.mark.parametrize("text", HARMFUL)
def test_a_script_that_does_something_is_missed(text: str) -> None:
    assert not dealt_with(script(text))


def test_the_interpreter_counts() -> None:
    assert dealt_with(script("", "/sbin/ldconfig"))
    assert dealt_with(script("-- nothing\n", "<lua>"))
    assert dealt_with(script("# nothing\n", "/usr/bin/perl -w"))
    assert not dealt_with(script('posix.mkdir("/x")', "<lua>"))
    assert not dealt_with(script("--[[\n]] os.remove('x')", "<lua>"))
    assert not dealt_with(script("ldconfig", "/usr/bin/perl"))
    assert not dealt_with(script("# nothing\n", "/usr/bin/own"))


def test_a_script_that_would_have_to_run_is_shown() -> None:
    text = "#!/bin/sh\nset -e\nuseradd it\n" + "echo \x1b[31mred\n" * 100
    with pytest.raises(BuildError) as caught:
        refuse([script("ldconfig"), script(text), Script("other", "%post", "<lua>", "x()")])
    said = str(caught.value)
    assert "it has a postinst script" in said and "    useradd it\n" in said
    assert "more lines" in said and len(said) < 2000 and "\x1b" not in said
    assert "other: %post" in said and "scripts: skip" in said


def test_scripts_that_are_dealt_with_are_not_told() -> None:
    refuse([script("ldconfig"), script("")])


@pytest.mark.parametrize(
    "text", [" " * 100_000 + "x", "[ " * 50_000, "(" + "a|" * 50_000, "!" * 99_999]
)
def test_a_hostile_script_takes_no_time(text: str) -> None:
    assert not dealt_with(script(text))
