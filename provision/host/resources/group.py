"""A Unix group."""

from __future__ import annotations

import grp
from typing import ClassVar

from provision.host.accounts.account import Account
from provision.host.files import ownership
from provision.host.resource import GROUPS, State
from provision.wire.specs.group import GroupSpec


class Group(Account):
    """A group with, where declared, a fixed number."""

    type = "group"
    Spec = GroupSpec
    spec: GroupSpec
    removal = GROUPS
    names = ownership.GROUPS
    number_field = "gid"
    options: ClassVar = {"gid": "-g"}

    def _found(self, wanted: State) -> State:
        found = grp.getgrnam(self.spec.name)
        return {"name": found.gr_name, "gid": found.gr_gid}
