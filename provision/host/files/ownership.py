"""Owner, group and mode of a file; names of users and groups, and their numbers."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Any, Callable, Mapping

from provision.host.failure import Failure


class Names:
    """The users, or the groups, of this host.

    Args:
        type: `user` or `group`.
        number_of: returns the number of a name, or raises `KeyError`.
        name_of: returns the name of a number, or raises `KeyError`.
    """

    def __init__(self, type: str, number_of: Callable[[str], int], name_of: Callable[[int], str]) -> None:
        self._type = type
        self._number_of = number_of
        self._name_of = name_of

    def find(self, name: str) -> int | None:
        """Return the number of a name, or None when no account has it."""
        try:
            return self._number_of(name)
        except KeyError:
            return None

    def holder(self, number: int) -> str | None:
        """Return the name of a number, or None when no account has it."""
        try:
            return self._name_of(number)
        except KeyError:
            return None

    def number(self, of: str) -> int:
        """Return the number of an account that is given by name or number.

        Raises:
            Failure: no account has this name.
        """
        found = self.find(of)
        if found is None and not of.isdigit():
            raise self.unknown(of)
        return int(of) if found is None else found

    def name(self, number: int, like: str | None = None) -> str:
        """Return what to call an account: its name, or its number if it has none or `like` is the number."""
        return str(number) if like == str(number) else self.holder(number) or str(number)

    def unknown(self, name: str) -> Failure:
        """Return the error for a name that no account has."""
        return Failure(
            "unknown-account",
            f'{self._type} "{name}" does not exist',
            hint=f"declare it under `{self._type}s:`",
        )


USERS = Names("user", lambda name: pwd.getpwnam(name).pw_uid, lambda uid: pwd.getpwuid(uid).pw_name)
GROUPS = Names("group", lambda name: grp.getgrnam(name).gr_gid, lambda gid: grp.getgrgid(gid).gr_name)


def numbers(owner: str | None, group: str | None) -> tuple[int, int]:
    """Return the numbers of owner and group; -1 for one that is not declared.

    Raises:
        Failure: one of them does not exist.
    """
    return -1 if owner is None else USERS.number(owner), -1 if group is None else GROUPS.number(group)


def declared(owner: str | None, group: str | None, mode: str | None) -> dict[str, str]:
    """Return what is declared of owner, group and mode, as a part of the state."""
    octal = None if mode is None else _octal(int(mode, 8))
    state = {"owner": owner, "group": group, "mode": octal}
    return {key: value for key, value in state.items() if value is not None}


def found(of: os.stat_result, wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return the mode that is found, and owner and group where they are wanted."""
    state = {"mode": _octal(stat.S_IMODE(of.st_mode))}
    if "owner" in wanted:
        state["owner"] = USERS.name(of.st_uid, wanted["owner"])
    if "group" in wanted:
        state["group"] = GROUPS.name(of.st_gid, wanted["group"])
    return state


def _octal(mode: int) -> str:
    return format(mode, "04o")
