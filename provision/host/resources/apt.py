"""Debian packages: all of a host's in one transaction."""

from __future__ import annotations

import fnmatch
from typing import Sequence

from provision.host import kind
from provision.host.causes import BECOME
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.packages import aptget, dormant, dpkg
from provision.host.resource import PACKAGES, Changes, Resource, State, differences
from provision.wire.events import Work
from provision.wire.finding import Finding, fault, warning
from provision.wire.specs.apt import AptSpec, LockedPackages

INSTALLED = "installed"


class Apt(Resource):
    """The packages that must be installed, in any version or in the one that is declared.

    A virtual package is there when a package that provides it is. Only packages that are declared with a
    version are upgraded, and none is ever removed: others may need it by now.
    """

    type = "apt"
    Spec = AptSpec
    spec: AptSpec
    brings_accounts = True
    removal = PACKAGES
    stays = "others may need the packages by now"
    identity = ("packages",)

    def expected(self, machine: Machine) -> State:
        """Return for each package its version, or `installed` where any will do.

        Raises:
            Failure: a lock has nothing for this kind of host.
        """
        locked = self._locked()
        return {
            package.name: locked.get(package.name) or package.version or INSTALLED
            for package in self.spec.packages
        }

    def actual(self, machine: Machine) -> State:
        """Return for each package the version found, or how far its installation came.

        Raises:
            Failure: this is no Debian.
        """
        database = dpkg.database(machine)
        return {name: _found(database, name, wanted) for name, wanted in self.expected(machine).items()}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Install what is missing, with newer package lists only when the present ones will not do.

        Raises:
            Failure: not root, a package is unknown, something would have to be removed, or apt fails.
        """
        if not machine.root:
            raise Failure("needs-root", "only root can install packages", hint=BECOME)
        try:
            dpkg.wait_until_free(machine, self.id)
            self._repair(machine)
            left = differences(self.expected(machine), self.actual(machine))
            if left:
                broken = any(found == dpkg.BROKEN for found, _ in left.values())
                with dormant.kept_asleep(machine, self._dormant(left)):
                    self._install(machine, _selection(left), broken)
        finally:
            dpkg.forget(machine)

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return what would be installed, with dependencies, and the bytes to fetch, as far as is known."""
        planned = self._foresee(machine, _selection(changes))
        if isinstance(planned, Failure):
            return Work(install=sorted(changes))
        install = sorted(planned.install.items(), key=lambda item: (item[0] not in changes, item[0]))
        return Work(install=[f"{name} {version}" for name, version in install], bytes=planned.size)

    def notes(self, machine: Machine) -> list[Finding]:
        """Say what would keep an apply from succeeding."""
        changes = differences(self.expected(machine), self.actual(machine))
        if not changes:
            return []
        notes = [] if machine.root else [warning("needs-root", "only root can install packages", BECOME)]
        other = [name for name, (found, _) in sorted(changes.items()) if found and self._locked().get(name)]
        if other:
            notes.append(kind.drift(self.spec.locked[0].lock, other))
        packages = _selection(changes)
        planned = self._foresee(machine, packages)
        if isinstance(planned, aptget.Unknown):
            message = f"{planned.message} in the present package lists"
            notes.append(warning(planned.code, message, "an apply fetches newer ones first"))
        elif isinstance(planned, Failure):
            notes.append(warning(planned.code, planned.message))
        elif planned.remove:
            refused = _would_remove(packages, planned)
            notes.append(warning(refused.code, refused.message))
        return notes

    def _locked(self) -> dict[str, str | None]:
        """Return the versions that locks have for this kind of host."""
        locked = self.spec.locked
        if not locked:
            return {}
        here = (kind.system(), kind.machine())
        found = [entry for entry in locked if (entry.system, entry.machine) == here]
        if not found:
            raise kind.unknown(locked[0].lock, " on ".join(here))
        return {name: version for entry in found for name, version in entry.versions.items()}

    def unobtainable(self, machine: Machine, changes: Changes) -> Sequence[Finding]:
        """Return which locked versions the sources of this host do not have, also not in newer lists."""
        packages = _selection(changes)
        if not self.spec.locked or not isinstance(self._foresee(machine, packages), aptget.Unknown):
            return []
        fresh = machine.attempt(("apt fresh",), lambda: aptget.simulate_fresh(machine, packages))
        if not isinstance(fresh, aptget.Unknown):
            return []
        gone = fault("lock-mismatch", f"{self.spec.locked[0].lock}: {fresh.message}", kind.RESTORE)
        return [gone.at("packages")]

    def taken(self, machine: Machine) -> LockedPackages:
        """Return the versions that are installed.

        Raises:
            Failure: this is no Debian.
        """
        database = dpkg.database(machine)
        found = {package.name: database.get(package.name) for package in self.spec.packages}
        versions = {name: package.version if package else None for name, package in sorted(found.items())}
        return LockedPackages(system=kind.system(), machine=kind.machine(), versions=versions)

    def _foresee(self, machine: Machine, packages: list[str]) -> aptget.Transaction | Failure:
        """Return what installing would do, or why it cannot be done; asked once a run."""
        return machine.attempt(("apt", *packages), lambda: aptget.simulate(machine, packages))

    def _dormant(self, left: Changes) -> list[str]:
        """Return the units that must not run, of packages that are not there at all yet."""
        return [
            each.dormant
            for each in self.spec.packages
            if each.dormant and each.name in left and left[each.name][0] is None
        ]

    def _repair(self, machine: Machine) -> None:
        dpkg.forget(machine)
        unfinished = dpkg.database(machine).unfinished()
        if unfinished or dpkg.interrupted():
            what = ", ".join(unfinished) or "the package database"
            machine.output(self.id, f"finishing the interrupted installation of {what}")
            aptget.repair(machine, self.id)
            dpkg.forget(machine)

    def _install(self, machine: Machine, packages: list[str], again: bool) -> None:
        foreseen = self._foresee(machine, packages)
        try:
            if isinstance(foreseen, aptget.Unknown):
                raise foreseen
            self._download(machine, packages)
        except (aptget.Unknown, aptget.Outdated) as failure:
            machine.output(self.id, f"{failure.message}: apt-get update")
            trouble = aptget.update(machine, self.id)
            try:
                self._download(machine, packages)
            except aptget.Unknown:
                if trouble:
                    raise trouble from None
                raise
        aptget.install(machine, self.id, packages, again)

    def _download(self, machine: Machine, packages: list[str]) -> None:
        try:
            aptget.download(machine, self.id, packages)
        except aptget.Obstructed:
            raise _would_remove(packages, aptget.simulate(machine, packages)) from None


def _found(database: dpkg.Database, name: str, wanted: str) -> str | None:
    package = database.get(name)
    if package is None:
        return INSTALLED if wanted == INSTALLED and database.provides(name) else None
    if package.status != INSTALLED:
        return package.status
    if wanted == INSTALLED:
        return INSTALLED
    return wanted if fnmatch.fnmatchcase(package.version, wanted) else package.version


def _selection(changes: Changes) -> list[str]:
    return [
        name if wanted == INSTALLED else f"{name}={wanted}" for name, (_, wanted) in sorted(changes.items())
    ]


def _would_remove(packages: list[str], planned: aptget.Transaction) -> Failure:
    return Failure(
        "apt-removes",
        f"installing {', '.join(packages)} would remove {', '.join(planned.remove)}",
        hint="remove them by hand if you want that, or declare other packages",
    )
