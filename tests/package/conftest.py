"""What the tests of packages share: an .rpm with everything in it, and roots to install into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from packages import rpm

SPEC = """\
Name: thing
Version: 1.0
Release: 2
Epoch: 3
Group: Tools
BuildArch: noarch
Provides: virtual(thing) = 2
Requires: something >= 1.0, /bin/sh, (either or other)
Requires(pre): before
Requires(preun): after
Recommends: nice
Conflicts: bad < 1
%description
For a test.
%install
cd %{buildroot}
mkdir -p usr/bin etc var/lib/thing usr/share/thing
echo program > usr/bin/thing
ln usr/bin/thing usr/bin/again
ln usr/bin/thing usr/bin/third
ln -s thing usr/bin/link
echo capable > usr/bin/capable
echo a=1 > etc/thing.conf
echo b=1 > etc/other.conf
touch usr/share/thing/empty var/lib/thing/ghost
head -c 3000000 /dev/urandom > usr/share/thing/large
%files
%attr(4755,root,daemon) /usr/bin/thing
%attr(4755,root,daemon) /usr/bin/again
%attr(4755,root,daemon) /usr/bin/third
/usr/bin/link
%caps(cap_net_raw,cap_net_admin=ep) %attr(0755,root,root) /usr/bin/capable
%config(noreplace) /etc/thing.conf
%config /etc/other.conf
%dir %attr(2750,daemon,nobody-knows) /var/lib/thing
%ghost /var/lib/thing/ghost
%attr(4600,nobody-knows,root) /usr/share/thing/empty
/usr/share/thing/large
"""

SMALL = """\
Name: small
Version: 1
Release: 1
BuildArch: noarch
%description
Small.
%install
mkdir -p %{buildroot}/etc
echo a > %{buildroot}/etc/small
%files
/etc/small
"""

SCRIPTS = """\
%post -p /sbin/ldconfig
%preun
echo gone
%triggerun -- another
echo gone
"""


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's rpm makes a database in the home directory, whatever it is asked."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def thing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package with owners, capabilities, links, a ghost, configuration and harmless scripts."""
    yield rpm(tmp_path_factory.mktemp("rpm"), SPEC + SCRIPTS)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package of a few kilobytes."""
    yield rpm(tmp_path_factory.mktemp("rpm"), SMALL)
