"""A package source of our own on a host: packages made on the spot, no mirror needed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

from tests.lab import LabHost

WHERE = "/srv/apt"
PORT = 8099


class Source:
    """A flat repository, served over HTTP inside the host; the only one that its apt knows."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.directory = host.root / WHERE.lstrip("/")
        self.directory.mkdir(parents=True)
        host.exec(["sh", "-c", "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d /var/lib/apt/lists/*"])
        sources = host.root / "etc/apt/sources.list"
        sources.write_text(f"deb [trusted=yes] http://127.0.0.1:{PORT} ./\n", encoding="ascii")
        self.publish()
        serve = ["python3", "-m", "http.server", str(PORT), "--bind", "127.0.0.1", "--directory", WHERE]
        host.exec(["systemd-run", "--quiet", "--unit=apt-source", *serve])
        connect = f"import socket; socket.create_connection(('127.0.0.1', {PORT}))"
        host.exec(["sh", "-c", f'until python3 -c "{connect}" 2>/dev/null; do sleep 0.1; done'])

    _stamp = 0

    def package(
        self,
        name: str,
        version: str = "1.0",
        fields: str = "",
        postinst: str = "",
        conffile: str | None = None,
        size: int = 0,
    ) -> Path:
        """Build a package and return its file; `publish` makes the change known."""
        return package(self.directory, name, version, fields, postinst, conffile, size)

    def publish(self) -> None:
        """Write the index of the packages that are there now."""
        # HTTP tells versions apart by whole seconds.
        self._stamp = max(self._stamp + 1, int(time.time()))
        os.utime(publish(self.directory), (self._stamp, self._stamp))


def package(
    directory: Path,
    name: str,
    version: str = "1.0",
    fields: str = "",
    postinst: str = "",
    conffile: str | None = None,
    size: int = 0,
) -> Path:
    """Build a package in a repository and return its file."""
    tree = directory.parent / f"build-{name}-{version}"
    control = tree / "DEBIAN"
    control.mkdir(parents=True)
    text = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@example.org>\n"
    (control / "control").write_text(f"{text}{fields}Description: made for a test\n", encoding="ascii")
    if postinst:
        (control / "postinst").write_text(f"#!/bin/sh\n{postinst}\n", encoding="ascii")
        (control / "postinst").chmod(0o755)
    if conffile is not None:
        (tree / "etc").mkdir()
        (tree / f"etc/{name}.conf").write_text(conffile, encoding="ascii")
        (control / "conffiles").write_text(f"/etc/{name}.conf\n", encoding="ascii")
    if size:
        (tree / "usr/share").mkdir(parents=True)
        (tree / f"usr/share/{name}").write_bytes(b"\0" * size)
    deb = directory / f"{name}_{version}_all.deb"
    build = ["dpkg-deb", "-Znone", "--root-owner-group", "-b", str(tree), str(deb)]
    subprocess.run(build, check=True, capture_output=True)
    return deb


def publish(directory: Path) -> Path:
    """Write the index of the packages of a repository, and return its file."""
    entries = []
    for deb in sorted(directory.glob("*.deb")):
        control = subprocess.run(
            ["dpkg-deb", "-f", str(deb)], check=True, capture_output=True, text=True
        ).stdout
        data = deb.read_bytes()
        sums = f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        entries.append(f"{control}Filename: ./{deb.name}\n{sums}")
    index = directory / "Packages"
    index.write_text("\n".join(entries), encoding="ascii")
    return index
