"""The package database read from its file, beside what dpkg-query makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from provision.host.packages import dpkg

TEXT = """\
Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: libx
Status: install ok installed
Architecture: i386
Version: 1:2.0-3
Description: one that looks like
 Package: ghost
 .
 another

Package: libx
Status: install ok unpacked
Architecture: amd64
Version: 1:2.0-4

Package: mawk
Status: install ok installed
Architecture: amd64
Version: 1.3
Provides: awk, fast-awk (= 1.3)

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 9
Provides: nothing

Package: torn
Status: install reinstreq half-installed
Architecture: all
Version: 3
"""


def test_what_the_paragraphs_say() -> None:
    database = dpkg.Database(TEXT)
    assert database.get("mawk") == dpkg.Installed("1.3", "installed")
    assert database.get("libx") == dpkg.Installed("1:2.0-4", "unpacked")
    assert database.get("libx:i386") == dpkg.Installed("1:2.0-3", "installed")
    assert database.get("torn") == dpkg.Installed("3", dpkg.BROKEN)
    for absent in ("gone", "ghost", "maw", "awk", "mawk:i386", ""):
        assert database.get(absent) is None
    assert database.provides("awk")
    assert database.provides("fast-awk")
    assert not database.provides("nothing")
    assert database.unfinished() == ["libx"]


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no Debian")
def test_the_same_as_dpkg_query_says_of_every_package_here() -> None:
    form = "${binary:Package}\t${Version}\t${db:Status-Status}\t${Provides}\n"
    before, after = "", None
    while before != after:  # somebody may be installing
        before = Path(dpkg.STATUS).read_text(encoding="utf-8")
        listing = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True)
        after = Path(dpkg.STATUS).read_text(encoding="utf-8")
    database = dpkg.Database(before)
    for line in listing.stdout.splitlines():
        name, version, status, provides = line.split("\t")
        if status == "installed":
            assert database.get(name) == dpkg.Installed(version, status)
            assert all(database.provides(each) for each in re.findall(r"(?:^|, )([^ ,]+)", provides))
        elif status == "config-files":
            assert database.get(name) is None
