"""The packages in site-packages: where each came from and whether it is whole (PEP 376, PEP 610)."""

from __future__ import annotations

import csv
import os
import re
from typing import Any, Iterator, NamedTuple

from provision.host.machine import Machine
from provision.host.python.versions import normalise
from provision.wire import plainjson

LEFTOVER = "~"
"""What pip puts in front of the files of a package it is replacing; after a kill they stay."""


class Distribution(NamedTuple):
    """One installed package, as its metadata says."""

    name: str
    """Canonical name (PEP 503)."""
    version: str
    metadata: str
    """Path of its `.dist-info` (or `.egg-info`) directory."""
    damage: str | None
    """Why it cannot be relied on, or None."""
    direct_url: dict[str, Any] | None
    """Where it came from when that was no index (PEP 610)."""


def site_packages(environment: str, minor: str | None = None) -> str | None:
    """Return the directory that an environment's packages are in, or None when it has none.

    With `minor` ("3.11") only that Python counts, else the newest that the environment has packages for.
    """
    library = os.path.join(environment, "lib")
    try:
        found = [name for name in os.listdir(library) if name.startswith("python3.") and name[8:].isdigit()]
    except OSError:
        return None
    for name in sorted(found, key=lambda name: int(name[8:]), reverse=True):
        if minor is not None and name != "python" + minor:
            continue
        site = os.path.join(library, name, "site-packages")
        if os.path.isdir(site):
            return site
    return None


def installed(machine: Machine, environment: str) -> dict[str, str]:
    """Return canonical name -> version of what the environment at a path has; it may not exist.

    It is read once a run, and again when the time stamp of `site-packages` has changed: something has been
    installed or removed then.
    """
    site = site_packages(environment)
    if site is None:
        return {}
    stamp = os.stat(site).st_mtime_ns
    return machine.once(
        ("installed", site, stamp),
        lambda: {each.name: each.version for each in read(site) if each.damage is None},
    )


def read(site: str) -> list[Distribution]:
    """Return every distribution in a site-packages directory; one that is there twice is returned twice."""
    found = []
    for name in sorted(_names(site)):
        if name.endswith(".dist-info") and not name.startswith(LEFTOVER):
            found.append(_dist_info(os.path.join(site, name)))
        elif name.endswith(".egg-info") and not name.startswith(LEFTOVER):
            found.append(_egg_info(os.path.join(site, name)))
    return found


def leftovers(site: str) -> list[str]:
    """Return the paths that an interrupted pip has left behind in a site-packages directory."""
    return [os.path.join(site, name) for name in _names(site) if name.startswith(LEFTOVER)]


def _names(site: str) -> list[str]:
    try:
        return os.listdir(site)
    except OSError:
        return []


def top_level(distribution: Distribution) -> list[str]:
    """Return the entries of site-packages that are a distribution's own: `["torch", "torchgen"]`."""
    other = ("", "..", "__pycache__", os.path.basename(distribution.metadata))
    found = dict.fromkeys(path.split("/", 1)[0] for path, _, _ in _record(distribution))
    return [name for name in found if name not in other]


def damaged_files(distribution: Distribution) -> list[str]:
    """Return the files of a distribution that are missing or of another size than it was installed with."""
    site = os.path.dirname(distribution.metadata)
    wrong = []
    for path, hashed, size in _record(distribution):
        if not hashed:
            continue  # RECORD itself, and compiled files, which come and go
        try:
            found = os.stat(os.path.join(site, path)).st_size
        except OSError:
            wrong.append(path)
            continue
        if size.isdigit() and int(size) != found:
            wrong.append(path)
    return wrong


def _dist_info(path: str) -> Distribution:
    fields = _headers(os.path.join(path, "METADATA"))
    damage = None
    if not fields:
        damage = "its METADATA is missing"
    elif not os.path.isfile(os.path.join(path, "RECORD")):
        damage = "its installation was interrupted"  # pip writes RECORD last
    direct_url = None
    try:
        with open(os.path.join(path, "direct_url.json"), encoding="utf-8") as file:
            direct_url = plainjson.loads(file.read())
    except (OSError, ValueError):
        pass
    return _distribution(path, fields, damage, direct_url)


def _egg_info(path: str) -> Distribution:
    """Read what `setup.py install` leaves: a directory, or one file."""
    return _distribution(path, _headers(os.path.join(path, "PKG-INFO") if os.path.isdir(path) else path))


def _distribution(
    path: str,
    fields: dict[str, str],
    damage: str | None = None,
    direct_url: dict[str, Any] | None = None,
) -> Distribution:
    """Return a distribution; the name of its directory tells what its metadata does not."""
    name, _, version = os.path.splitext(os.path.basename(path))[0].partition("-")
    version = fields.get("version") or re.sub(r"-py\d.*", "", version)
    return Distribution(normalise(fields.get("name", name)), version, path, damage, direct_url)


def _headers(path: str) -> dict[str, str]:
    """Return name and version from a metadata file."""
    fields: dict[str, str] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                key, colon, value = line.partition(":")
                if not line.strip() or len(fields) == 2:
                    break
                if colon and key.lower() in ("name", "version"):
                    fields[key.lower()] = value.strip()
    except OSError:
        pass
    return fields


def _record(distribution: Distribution) -> Iterator[tuple[str, str, str]]:
    path = os.path.join(distribution.metadata, "RECORD")
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file):
                if row:
                    path, hashed, size = (*row, "", "")[:3]
                    yield path, hashed, size
    except OSError:
        return
