"""A Unix user."""

from __future__ import annotations

import grp
import pwd

from provision.host import accounts
from provision.host.failure import Failure
from provision.host.files import names
from provision.host.machine import Machine
from provision.host.resource import USERS, Changes, Number, Resource, State
from provision.wire.specs.user import UserSpec

NOLOGIN = "/usr/sbin/nologin"
"""The shell of a system user that declares none."""


class User(Resource):
    """A user with what is declared of its number, groups, home and shell.

    `groups` are those it must be in; others that it is in stay. `system` and `create_home` only count when
    the user is made. A changed `home` is noted in the account; files are not moved.
    """

    type = "user"
    Spec = UserSpec
    spec: UserSpec
    removal = USERS
    identity = ("name",)

    def expected(self, machine: Machine) -> State:
        """Return the name, and each attribute that is declared."""
        state: State = {"name": self.spec.name}
        for key in ("uid", "group", "home", "shell"):
            if self.spec.get(key) is not None:
                state[key] = self.spec.get(key)
        if self.spec.groups:
            state["groups"] = sorted(set(self.spec.groups))
        return state

    def actual(self, machine: Machine) -> State:
        """Return what the host knows of the user; of its groups those that are declared."""
        wanted = self.expected(machine)
        try:
            found = pwd.getpwnam(self.spec.name)
        except KeyError:
            return dict.fromkeys(wanted)
        state: State = {
            "name": found.pw_name,
            "uid": found.pw_uid,
            "group": names.group_name(found.pw_gid, wanted.get("group", "")),
            "home": found.pw_dir,
            "shell": found.pw_shell,
            "groups": [group for group in wanted.get("groups", []) if _is_in(found, group)],
        }
        return {key: state[key] for key in wanted}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make the user, or change those of its attributes that differ.

        Raises:
            Failure: the number is taken, a group does not exist, the user is busy, or the tools refuse.
        """
        name = self.spec.name
        if "uid" in changes:
            self._check_free(changes["uid"][1])
        groups = changes["groups"][1] if "groups" in changes else []
        for group in [changes["group"][1], *groups] if "group" in changes else groups:
            names.gid_of(group)
        argv = self._attributes(changes)
        if "name" in changes:
            accounts.edit(machine, self.id, ["useradd", *argv, *self._new(), name])
        else:
            accounts.edit(
                machine, self.id, ["usermod", *argv, *(["-a"] if "groups" in changes else []), name]
            )

    def number(self) -> Number | None:
        """Return its place among the accounts that are made."""
        return ("user", self.spec.uid is None, self.spec.name)

    def remove(self, machine: Machine) -> bool:
        """Remove the user, but not its home; True when there was one.

        Raises:
            Failure: processes of the user are running.
        """
        name = self.spec.name
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        accounts.edit(machine, self.id, ["userdel", name])
        return True

    def _attributes(self, changes: Changes) -> list[str]:
        argv: list[str] = []
        for key, option in (("uid", "-u"), ("group", "-g"), ("home", "-d"), ("shell", "-s")):
            if key in changes:
                argv += [option, str(changes[key][1])]
        if "groups" in changes:
            argv += ["-G", ",".join(changes["groups"][1])]
        return argv

    def _new(self) -> list[str]:
        """Return the options that only `useradd` has."""
        argv = ["-m" if self.spec.create_home else "-M"]
        if self.spec.system:
            argv.append("-r")
            if self.spec.shell is None:
                argv += ["-s", NOLOGIN]
        if self.spec.group is None:
            try:
                # A group of the user's own name is there already: take it, where useradd would give up.
                argv += ["-g", str(grp.getgrnam(self.spec.name).gr_gid)]
            except KeyError:
                argv.append("-U")
        return argv

    def _check_free(self, uid: int) -> None:
        try:
            other = pwd.getpwuid(uid).pw_name
        except KeyError:
            return
        raise Failure(
            "id-taken",
            f"user {self.spec.name} cannot have uid {uid}: it is that of user {other}",
            hint="declare another uid, or none",
        )


def _is_in(user: pwd.struct_passwd, group: str) -> bool:
    try:
        found = grp.getgrgid(int(group)) if group.isdigit() else grp.getgrnam(group)
    except KeyError:
        return False
    return user.pw_name in found.gr_mem or user.pw_gid == found.gr_gid
