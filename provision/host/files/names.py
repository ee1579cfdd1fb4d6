"""Names of users and groups, and the numbers behind them."""

from __future__ import annotations

import grp
import pwd

from provision.host.failure import Failure


def uid_of(owner: str) -> int:
    """Return the number of a user given by name or number.

    Raises:
        Failure: there is no such user.
    """
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        if owner.isdigit():
            return int(owner)
        raise Failure(
            "unknown-account", f'user "{owner}" does not exist', hint="declare it under `users:`"
        ) from None


def gid_of(group: str) -> int:
    """Return the number of a group given by name or number.

    Raises:
        Failure: there is no such group.
    """
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isdigit():
            return int(group)
        raise Failure(
            "unknown-account", f'group "{group}" does not exist', hint="declare it under `groups:`"
        ) from None


def owner_name(uid: int, like: str) -> str:
    """Return what to call a user: as `like`, a name or a number, does when both mean the same."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    return str(uid) if like == str(uid) else name


def group_name(gid: int, like: str) -> str:
    """Return what to call a group; `like` as for `owner_name`."""
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
    return str(gid) if like == str(gid) else name
