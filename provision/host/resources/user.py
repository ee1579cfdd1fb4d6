"""A Unix user."""

from __future__ import annotations

import grp
import pwd
from typing import ClassVar

from provision.host.accounts.account import Account
from provision.host.files import ownership
from provision.host.machine import Machine
from provision.host.resource import USERS, Changes, State
from provision.wire.specs.user import UserSpec

NOLOGIN = "/usr/sbin/nologin"
"""The shell of a system user that declares none."""


class User(Account):
    """A user with what is declared of its number, groups, home and shell.

    `groups` are those it must be in; others that it is in stay. `create_home` only counts when the user is
    made. A changed `home` is noted in the account; files are not moved.
    """

    type = "user"
    Spec = UserSpec
    spec: UserSpec
    removal = USERS
    names = ownership.USERS
    number_field = "uid"
    options: ClassVar = {"uid": "-u", "group": "-g", "home": "-d", "shell": "-s", "groups": "-G"}

    def _found(self, wanted: State) -> State:
        found = pwd.getpwnam(self.spec.name)
        return {
            "name": found.pw_name,
            "uid": found.pw_uid,
            "group": ownership.GROUPS.name(found.pw_gid, wanted.get("group")),
            "home": found.pw_dir,
            "shell": found.pw_shell,
            "groups": [group for group in wanted.get("groups", []) if _is_in(found, group)],
        }

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make the user, or change what differs, once its groups exist; errors as for every account."""
        wanted = {key: expected for key, (_, expected) in changes.items()}
        for group in [wanted.get("group"), *wanted.get("groups", [])]:
            if group is not None:
                ownership.GROUPS.number(group)
        super().fix(machine, changes)

    def _only_new(self) -> list[str]:
        argv = [*super()._only_new(), "-m" if self.spec.create_home else "-M"]
        if self.spec.system and self.spec.shell is None:
            argv += ["-s", NOLOGIN]
        if self.spec.group is None:
            # A group of the user's own name is there already: take it, where useradd would give up.
            own = ownership.GROUPS.find(self.spec.name)
            argv += ["-U"] if own is None else ["-g", str(own)]
        return argv


def _is_in(user: pwd.struct_passwd, group: str) -> bool:
    try:
        found = grp.getgrgid(int(group)) if group.isdigit() else grp.getgrnam(group)
    except KeyError:
        return False
    return user.pw_name in found.gr_mem or user.pw_gid == found.gr_gid
