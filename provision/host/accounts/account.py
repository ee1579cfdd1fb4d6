"""What users and groups have in common: each has a name and a number, and tools that make and change it."""

from __future__ import annotations

from typing import Any, ClassVar

from provision.host.accounts import editing
from provision.host.failure import Failure
from provision.host.files.ownership import Names
from provision.host.machine import Machine
from provision.host.resource import Changes, Resource, State


class Account(Resource):
    """A user or a group. `system` only counts when it is made."""

    identity = ("name",)

    names: ClassVar[Names]
    """The accounts of its type on this host."""

    options: ClassVar[dict[str, str]]
    """The fields that can be changed, and the option of each in the tools."""

    def expected(self, machine: Machine) -> State:
        """Return the name, and each attribute that is declared."""
        declared = {key: getattr(self.spec, key) for key in ("name", *self.options)}
        return {
            key: sorted(set(value)) if isinstance(value, list) else value
            for key, value in declared.items()
            if value not in (None, [])
        }

    def actual(self, machine: Machine) -> State:
        """Return what the host knows of it, wherever that is defined (files, LDAP)."""
        wanted = self.expected(machine)
        try:
            found = self._found(wanted)
        except KeyError:
            return dict.fromkeys(wanted)
        return {key: found[key] for key in wanted}

    def _found(self, wanted: State) -> State:
        """Return all its attributes.

        Raises:
            KeyError: there is no such account.
        """
        raise NotImplementedError

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make it, or change those of its attributes that differ.

        Raises:
            Failure: its number is taken, a group does not exist, the user is busy, or the tools refuse.
        """
        name, number = self.spec.name, changes.get(self.number_field, (None, None))[1]
        holder = None if number is None else self.names.holder(number)
        if holder is not None:
            raise Failure(
                "id-taken",
                f"{self.type} {name} cannot have {self.number_field} {number}: "
                f"it is that of {self.type} {holder}",
                hint=f"declare another {self.number_field}, or none",
            )
        argv = [f"{self.type}add" if "name" in changes else f"{self.type}mod"]
        for key, option in self.options.items():
            if key in changes:
                argv += [option, _written(changes[key][1])]
        if "name" in changes:
            argv += self._only_new()
        elif "groups" in changes:
            argv.append("-a")  # the other groups that it is in stay
        editing.edit(machine, self.id, [*argv, name])

    def _only_new(self) -> list[str]:
        """Return the options that only the tool has that makes it."""
        return ["-r"] if self.spec.system else []

    def remove(self, machine: Machine) -> bool:
        """Remove it, but not the home of a user; True when it was there.

        Raises:
            Failure: processes of the user run, or it is the primary group of a user.
        """
        if self.names.find(self.spec.name) is None:
            return False
        editing.edit(machine, self.id, [f"{self.type}del", self.spec.name])
        return True


def _written(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
