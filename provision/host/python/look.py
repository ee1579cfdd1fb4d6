"""An environment as it is found: how it differs from what is declared, and what it takes to repair it."""

from __future__ import annotations

import os
import re
from typing import Any

from provision.host.machine import Machine
from provision.host.python import interpreters, locking, origins, pip, versions
from provision.host.python.dist_info import Distribution, damaged_files, read, site_packages
from provision.host.resource import State
from provision.host.state import durable
from provision.wire import plainjson
from provision.wire.specs.environment import EnvironmentSpec, LockedEnvironment, Pin, Requirement

MANIFEST = ".provision-environment.json"
"""What the last successful installation left: the requirements, and every package by version."""

MARKER = ".provision-installing"
"""There while pip works; when it is found later, an installation was interrupted."""

ANY = "any version"


class Look:
    """One look at an environment.

    Args:
        machine: where it is.
        spec: how it is declared.
    """

    def __init__(self, machine: Machine, spec: EnvironmentSpec) -> None:
        self._machine = machine
        self._spec = spec
        self._manifest = manifest(spec.path)
        # Those whose environment marker does not hold here, as this environment's pip has found.
        idle = self._manifest.get("idle", ())
        self._requirements = [each for each in spec.requirements if not each.marker or each.raw not in idle]
        self.python = spec.python or interpreters.DEFAULT
        self.excluded = {versions.normalise(name) for name in spec.exclude}
        self.wrong: dict[str, tuple[Any, Any]] = {}
        """Package -> (actual, expected)."""
        self.incomplete = False
        """A declared requirement is not met: pip has to resolve all of them."""
        self.recorded: list[str] = []
        """Packages that only the record asks for, as pip would write them."""
        self.damaged: list[Distribution] = []
        self.misplaced: list[str] = []
        """Packages that are there, but from elsewhere than declared."""
        self.pinned: list[Pin] = []
        """Packages that are not there as they are locked."""
        self.unwanted = set(self.excluded)
        """Packages that must not be there."""
        self.interrupted = os.path.exists(os.path.join(spec.path, MARKER))
        there = is_environment(spec.path)
        python, version = self._python() if there else (None, None)
        self.site = site_packages(spec.path, version) if there else None
        self._here: dict[str, Distribution] = {}
        self.lock = locking.chosen(machine, spec, self.python, version) if spec.locked else None
        self._packages()
        names = sorted(self.wrong)
        actual = {name: self.wrong[name][0] for name in names} if there else None
        self.actual: State = {"python": python, "packages": actual}
        self.expected: State = {
            "python": self.python,
            "packages": {name: self.wrong[name][1] for name in names},
        }
        if self.interrupted:
            self.incomplete = True
            self.expected["installation"], self.actual["installation"] = "complete", "interrupted"

    def _python(self) -> tuple[str, str | None]:
        """Return what to say of bin/python (the declared name: it is right), and whose packages count."""
        path = os.path.join(self._spec.path, "bin", "python")
        if not os.path.lexists(path):
            return "missing", None
        if not os.path.exists(path):
            return f"{os.readlink(path)} is gone", None
        if not os.path.exists(os.path.join(self._spec.path, "pyvenv.cfg")):
            return "pyvenv.cfg is missing", None
        found = interpreters.look(self._machine, path)
        if found is None:
            return "does not start", None
        if site_packages(self._spec.path, found.minor) is None:
            return f"{found.version}, with packages for another Python", None
        if not interpreters.satisfies(self._machine, self.python, found):
            return f"{found.version} ({found.base})", None
        return self.python, found.minor

    def _packages(self) -> None:
        record: dict[str, dict[str, Any]] = self._manifest.get("packages", {})
        here = self._here
        for distribution in read(self.site) if self.site else []:
            damage = self._damage(distribution, record.get(distribution.name, {}))
            if distribution.name in here:
                damage = "it is there twice"
                self.damaged.append(here[distribution.name])
            if damage:
                self.damaged.append(distribution)
                self.wrong[distribution.name] = (f"{distribution.version}, but {damage}", ANY)
            here[distribution.name] = distribution
        for entry in self._requirements:
            self._requirement(entry)
        for name in sorted(self.excluded & set(here)):
            self.wrong[name] = (here[name].version, None)
        self._constraints()
        if self.lock:
            self._as_locked(self.lock)
            return
        declared = {name_of(entry) for entry in self._requirements} | self.excluded | {"pip"}
        for name, was in record.items():
            found, wanted = self.wrong.get(name, (here[name].version if name in here else None, ANY))
            if name in declared or wanted != ANY or (name not in self.wrong and found == was["version"]):
                continue
            self.wrong[name] = (found, "=={}".format(was["version"]))
            self.recorded.append(was["source"] or "{}=={}".format(name, was["version"]))
        if any(name not in record and name not in declared for name in self.wrong):
            self.incomplete = True

    def _as_locked(self, lock: LockedEnvironment) -> None:
        """Compare what is installed with what is locked: that, and nothing else."""
        here = self._here
        for pin in lock.packages:
            found = here.get(pin.name)
            there = found.version if found else None
            if found and pin.commit and _commit(found) != pin.commit:
                there = f"{found.version} of commit {_commit(found)}"
                self.misplaced.append(pin.name)
            if pin.name in self.wrong or there != pin.version:
                there = self.wrong.get(pin.name, (there, None))[0]
                self.wrong[pin.name] = (there, f"=={pin.version}")
                self.pinned.append(pin)
        if self._spec.stem is None:
            return  # others may have installed more there
        for name in here.keys() - {pin.name for pin in lock.packages} - set(locking.SEEDS):
            self.wrong[name] = (here[name].version, None)
            self.unwanted.add(name)

    def _damage(self, distribution: Distribution, was: dict[str, Any]) -> str | None:
        if distribution.damage:
            return str(distribution.damage)
        site = os.path.dirname(distribution.metadata)
        if was.get("version") == distribution.version:
            for entry in was.get("entries", []):
                if not os.path.lexists(os.path.join(site, entry)):
                    return f"{entry} is missing"
        files = damaged_files(distribution) if self._machine.deep or self.interrupted else []
        if not files:
            return None
        return f"{files[0]} is missing or damaged" + (f" (and {len(files) - 1} more)" if files[1:] else "")

    def _requirement(self, entry: Requirement) -> None:
        known = entry.raw in self._manifest.get("requirements", ())
        name = name_of(entry) or origins.name_of(entry, self._here)
        found = self._here.get(name) if name else None
        there: str | None = None
        if name is None or found is None:
            if name is None:
                self._take_out_former()
            elif known and name in self._manifest.get("skipped", ()):
                return  # its environment marker does not hold on this host
        elif name in self.wrong:
            there = self.wrong[name][0]
        elif not versions.matches(found.version, entry.specifiers):
            there = found.version
        elif entry.url and not origins.came_from(found, entry):
            self.misplaced.append(name)
            there = f"{found.version} from elsewhere"
        elif entry.extras and not known:
            there = "{}, not known to have [{}]".format(found.version, ",".join(entry.extras))
        else:
            return
        self.incomplete = True
        self.wrong[name or entry.raw] = (there, _wanted(entry))

    def _take_out_former(self) -> None:
        """Have what came from a place that is no longer declared taken out: the same version from another
        place would not replace it.
        """
        declared = {entry.raw for entry in self._spec.requirements}
        for raw, name in self._manifest.get("unnamed", {}).items():
            if raw not in declared and name in self._here and name not in self.misplaced:
                self.misplaced.append(name)

    def _constraints(self) -> None:
        """Compare what is installed with the constraints that are written out."""
        for text in self._spec.constraints:
            if pip.is_location(text) or ";" in text or "@" in text:
                continue
            name, specifiers = _constraint(text)
            found = self._here.get(name)
            if found and name not in self.wrong and not versions.matches(found.version, specifiers):
                self.incomplete = True
                self.wrong[name] = (found.version, "".join(a + b for a, b in specifiers))


def _commit(distribution: Distribution) -> str | None:
    """Return the commit of a repository that a package was installed from."""
    return ((distribution.direct_url or {}).get("vcs_info") or {}).get("commit_id")


def is_environment(path: str) -> bool:
    """Whether an environment is there, in whatever state."""
    return any(os.path.exists(os.path.join(path, name)) for name in ("pyvenv.cfg", MANIFEST, MARKER))


def name_of(entry: Requirement) -> str | None:
    """Return the canonical name that a requirement gives, if it gives one."""
    return versions.normalise(entry.name) if entry.name else None


def manifest(path: str) -> dict[str, Any]:
    """Return what the last installation recorded; nothing when there is no record that can be read."""
    try:
        found = plainjson.loads(durable.read(os.path.join(path, MANIFEST)) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("version") == 1 else {}


def _wanted(entry: Requirement) -> str:
    """Return what a requirement asks for, without its name: "==0.33.0", "[standard]", "any version"."""
    if entry.url:
        return str(entry.url)
    extras = "[{}]".format(",".join(entry.extras)) if entry.extras else ""
    return extras + ",".join(a + b for a, b in entry.specifiers) or ANY


def _constraint(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return name and specifiers: "numpy>=1.26,<2" -> ("numpy", [(">=", "1.26"), ("<", "2")])."""
    name = re.split(r"[\s=<>!~;\[]", text.strip(), maxsplit=1)[0]
    specifiers = re.findall(r"(===|==|~=|!=|<=|>=|<|>)\s*([^,\s]+)", text.strip()[len(name) :])
    return versions.normalise(name), specifiers
