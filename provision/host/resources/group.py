"""A Unix group."""

from __future__ import annotations

import grp

from provision.host import accounts
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import GROUPS, Changes, Number, Resource, State
from provision.wire.specs.group import GroupSpec


class Group(Resource):
    """A group with, where declared, a fixed number. `system` only counts when the group is made."""

    type = "group"
    Spec = GroupSpec
    spec: GroupSpec
    removal = GROUPS
    identity = ("name",)

    def expected(self, machine: Machine) -> State:
        """Return the name, and the number where one is declared."""
        state: State = {"name": self.spec.name}
        if self.spec.gid is not None:
            state["gid"] = self.spec.gid
        return state

    def actual(self, machine: Machine) -> State:
        """Return what the host knows of the group, wherever it is defined (files, LDAP)."""
        try:
            found = grp.getgrnam(self.spec.name)
        except KeyError:
            return dict.fromkeys(self.expected(machine))
        state = {"name": found.gr_name, "gid": found.gr_gid}
        return {key: state[key] for key in self.expected(machine)}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make the group, or give it its number.

        Raises:
            Failure: the number is taken, or the tools refuse.
        """
        name = self.spec.name
        if "gid" in changes:
            self._check_free(changes["gid"][1])
        number = ["-g", str(self.spec.gid)] if "gid" in changes else []
        if "name" in changes:
            system = ["-r"] if self.spec.system else []
            accounts.edit(machine, self.id, ["groupadd", *number, *system, name])
        else:
            accounts.edit(machine, self.id, ["groupmod", *number, name])

    def number(self) -> Number | None:
        """Return its place among the accounts that are made."""
        return ("group", self.spec.gid is None, self.spec.name)

    def remove(self, machine: Machine) -> bool:
        """Remove the group; True when there was one.

        Raises:
            Failure: it is the primary group of a user.
        """
        name = self.spec.name
        try:
            grp.getgrnam(name)
        except KeyError:
            return False
        accounts.edit(machine, self.id, ["groupdel", name])
        return True

    def _check_free(self, gid: int) -> None:
        try:
            other = grp.getgrgid(gid).gr_name
        except KeyError:
            return
        raise Failure(
            "id-taken",
            f"group {self.spec.name} cannot have gid {gid}: it is that of group {other}",
            hint="declare another gid, or none",
        )
