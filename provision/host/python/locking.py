"""Locks of environments: what one has come to, which lock is for it, and whether its files are offered."""

from __future__ import annotations

import os
import re
from itertools import product
from typing import Collection, Mapping, Sequence

from provision.host import kind
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.python import dist_info, indexes, interpreters, listings, versions
from provision.host.python.dist_info import Distribution
from provision.host.python.pip_configuration import Configuration
from provision.host.threads import each
from provision.published.http import cause
from provision.wire.finding import Finding, fault
from provision.wire.specs.environment import EnvironmentSpec, LockedEnvironment, Pin

SEEDS = ("pip", "setuptools", "wheel")
"""What a new environment brings by itself, in the version of whoever packed its Python."""

AT_ONCE = 8
"""Pages of indexes that are asked for at once."""

EDITABLE = "it is a directory that stays in use"
GONE = "no index of its host has this version"
UNNAMED = "its index names no sha256"


def chosen(machine: Machine, spec: EnvironmentSpec, python: str, minor: str | None) -> LockedEnvironment:
    """Return the lock for an environment of this host.

    Args:
        machine: this host.
        spec: the environment.
        python: the name of the Python that it is to have.
        minor: the version of the one that it has; None: it has none yet.

    Raises:
        Failure: the lock has none for this kind of host.
    """
    if minor is None:
        found = interpreters.find(machine, python)
        minor = found.minor if found else None
    here = kind.machine()
    for entry in spec.locked:
        if entry.machine == here and entry.python == (minor or entry.python):
            return entry
    wanted = f"Python {minor} on {here}" if minor else here
    raise kind.unknown(spec.locked[0].lock, wanted)


def taken(
    machine: Machine,
    spec: EnvironmentSpec,
    site: str,
    configuration: Configuration,
    environ: Mapping[str, str],
) -> LockedEnvironment:
    """Return what an environment has come to, with the hashes that the indexes of this host name.

    Args:
        machine: this host.
        spec: the environment.
        site: its site-packages.
        configuration: of pip, with what is declared.
        environ: the variables that pip would have.

    Raises:
        Failure: an index does not answer.
    """
    found: dict[str, Pin] = {}
    troubles: list[OSError] = []

    def take(distribution: Distribution) -> None:
        try:
            found[distribution.name] = _pin(distribution, configuration, environ)
        except OSError as error:
            troubles.append(error)

    there = dist_info.read(site)
    seeds = set(SEEDS) - {entry.name for entry in spec.requirements} - _required(there)
    each(take, [distribution for distribution in there if distribution.name not in seeds], AT_ONCE)
    if troubles:
        said = f"a package index does not answer: {cause(getattr(troubles[0], 'reason', troubles[0]))}"
        raise Failure("index-unreachable", said, hint=indexes.REACH)
    python = interpreters.look(machine, os.path.join(spec.path, "bin", "python"))
    pins = [pin for _, pin in sorted(found.items())]
    return LockedEnvironment(python=python.minor if python else "", machine=kind.machine(), packages=pins)


def _required(distributions: Sequence[Distribution]) -> set[str]:
    """Return which of `SEEDS` a package asks for."""
    found: set[str] = set()
    for distribution in distributions:
        try:
            with open(os.path.join(distribution.metadata, "METADATA"), "rb") as file:
                text = file.read().partition(b"\n\n")[0].decode("utf-8", "replace")
        except OSError:
            continue
        asked = re.findall(r"^Requires-Dist: ([A-Za-z0-9._-]+)(?!.*\bextra\b)", text, re.MULTILINE)
        found.update(versions.normalise(name) for name in asked)
    return found & set(SEEDS)


def _pin(distribution: Distribution, configuration: Configuration, environ: Mapping[str, str]) -> Pin:
    pin = Pin(name=distribution.name, version=distribution.version)
    direct = distribution.direct_url
    if direct is not None:
        pin.direct = True
        pin.commit = (direct.get("vcs_info") or {}).get("commit_id")
        archive = direct.get("archive_info") or {}
        sha256 = (archive.get("hashes") or {}).get("sha256") or _of_hash(archive.get("hash"))
        path = listings.path_of(str(direct.get("url")))
        if sha256 is None and path and os.path.isfile(path):
            sha256 = listings.File("", path, None).sha256
        pin.sha256 = [sha256] if sha256 else []
        if (direct.get("dir_info") or {}).get("editable"):
            pin.unhashed = EDITABLE
        elif not pin.sha256 and not pin.commit:
            pin.unhashed = "its place names no sha256"
        return pin
    files = listings.release(configuration, environ, pin.name, pin.version)
    files = _installed(distribution, files) or files
    pin.sha256 = sorted({sha256 for sha256 in (file.sha256 for file in files) if sha256})
    if not pin.sha256:
        pin.unhashed = UNNAMED if files else GONE
    return pin


def _of_hash(text: str | None) -> str | None:
    """Return the sha256 in the older form of a note of pip (PEP 610)."""
    kind, _, value = (text or "").partition("=")
    return value if kind == "sha256" else None


def _installed(distribution: Distribution, files: Sequence[listings.File]) -> list[listings.File]:
    """Return the files of a release that a distribution may be from: the wheel with its tags.

    Without one, the tags inside of a wheel may be others than those of its name; or it was built here, from a
    source. So all that are for this Python and machine are meant then.
    """
    tags = set()
    try:
        with open(os.path.join(distribution.metadata, "WHEEL"), encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key == "Tag":
                    tags.add(value.strip())
    except OSError:
        return []
    wheels = [file for file in files if file.name.endswith(".whl")]
    exact = [file for file in wheels if _tags(file.name) == tags]
    if exact:
        return exact
    pythons = {tag.rpartition("-")[0] for tag in tags}
    fitting = [file for file in wheels if any(_fits(tag, pythons) for tag in _tags(file.name))]
    return [*fitting, *(file for file in files if file.name.endswith(listings.SOURCES))]


def _fits(tag: str, pythons: Collection[str]) -> bool:
    """Whether a tag of a wheel is for one of these Pythons, on this machine."""
    python, _, platform = tag.rpartition("-")
    return python in pythons and (platform == "any" or platform.endswith(os.uname().machine))


def _tags(wheel: str) -> set[str]:
    parts = [part.split(".") for part in wheel[: -len(".whl")].split("-")[-3:]]
    return {"-".join(tag) for tag in product(*parts)}


def unobtainable(
    lock: LockedEnvironment,
    names: Sequence[str],
    configuration: Configuration,
    environ: Mapping[str, str],
) -> list[Finding]:
    """Return which of the packages to install the indexes do not have as they are locked.

    Args:
        lock: what is locked.
        names: of the packages to install.
        configuration: of pip, with what is declared.
        environ: the variables that pip would have.
    """
    found: dict[str, Finding] = {}

    def look(pin: Pin) -> None:
        try:
            files = listings.release(configuration, environ, pin.name, pin.version)
        except OSError:
            return  # it is told of elsewhere
        hashes = {sha256 for sha256 in (file.sha256 for file in files) if sha256}
        if files and (not hashes or not pin.sha256 or not hashes.isdisjoint(pin.sha256)):
            return
        found[pin.name] = mismatch(_said(pin, lock.lock, files))

    each(look, [pin for pin in lock.packages if pin.name in names and not pin.direct], AT_ONCE)
    return [found[name] for name in sorted(found)]


def _said(pin: Pin, lock: str, files: Sequence[listings.File]) -> str:
    what = f"{pin.name} {pin.version}"
    if not files:
        return f"{lock} has {what}, which no index of this host offers any more"
    file = min(files)
    return (
        f"{file.name} is another file than the one in {lock}: "
        f"sha256 {str(file.sha256)[:12]}…, locked {pin.sha256[0][:12]}…"
    )


def mismatch(said: str) -> Finding:
    """Return the error that something is not there as it is locked."""
    return fault("lock-mismatch", said, kind.RESTORE)


def requirements(pins: Sequence[Pin], spec: EnvironmentSpec) -> list[list[str]]:
    """Return how to ask pip for packages exactly, in lists to be installed one after another without more.

    With a hash for one, pip wants one for each, so those without are apart.
    """
    direct = {pin.name: pin for pin in pins if pin.direct}
    unnamed = direct.keys() - {entry.name for entry in spec.requirements if entry.name}
    places = []
    for entry in spec.requirements:
        pin = direct.get(entry.name or "")
        if pin is None and (entry.name or not unnamed):
            continue
        places.append(entry.raw + (_hashes(pin) if pin and not entry.editable else ""))
    listed = [f"{pin.name}=={pin.version}{_hashes(pin)}" for pin in pins if not pin.direct]
    every = [*listed, *places]
    hashed = [line for line in every if " --hash=" in line]
    return [lines for lines in (hashed, [line for line in every if line not in hashed]) if lines]


def _hashes(pin: Pin) -> str:
    return "".join(f" --hash=sha256:{sha256}" for sha256 in pin.sha256)
