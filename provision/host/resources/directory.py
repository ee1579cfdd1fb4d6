"""A directory: that it exists, who owns it, and who may enter it."""

from __future__ import annotations

import errno
import os

from provision.host import causes
from provision.host.failure import Failure
from provision.host.files import nofollow, ownership
from provision.host.machine import Machine
from provision.host.resource import DIRECTORIES, Changes, Resource, State
from provision.wire.specs.directory import DirectorySpec

KIND = "directory"


class Directory(Resource):
    """A directory with an owner, a group and a mode; what is null is not changed.

    A symbolic link to a directory counts as one, as long as it is one that root may follow (see `nofollow`).
    Missing directories above it are made with mode 0755.
    """

    type = "directory"
    Spec = DirectorySpec
    spec: DirectorySpec
    removal = DIRECTORIES
    identity = ("path",)

    def expected(self, machine: Machine) -> State:
        """Return the kind, and what is declared of owner, group and mode."""
        return {"kind": KIND, **ownership.declared(self.spec.owner, self.spec.group, self.spec.mode)}

    def actual(self, machine: Machine) -> State:
        """Return what is there.

        Raises:
            Failure: something else is in its place, or it may not be looked at.
        """
        path = self.spec.path
        wanted = self.expected(machine)
        try:
            with nofollow.directory(path) as directory:
                found = os.fstat(directory)
        except FileNotFoundError:
            return dict.fromkeys(wanted)
        except NotADirectoryError:
            raise _in_the_way(path) from None
        except OSError as error:
            raise causes.failure(error, path) from None
        state = {"kind": KIND, **ownership.found(found, wanted)}
        return {key: state[key] for key in wanted}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Make the directory, then give it its owner, group and mode."""
        path = self.spec.path
        wanted = {key: expected for key, (_, expected) in changes.items()}
        uid, gid = ownership.numbers(wanted.get("owner"), wanted.get("group"))
        try:
            if "kind" in changes:
                self._make()
            with nofollow.directory(path) as directory:
                _adjust(directory, uid, gid, wanted.get("mode"))
        except OSError as error:
            raise causes.failure(error, path) from None

    def makes_directory(self) -> str | None:
        """Return its path."""
        return self.spec.path

    def remove(self, machine: Machine) -> bool:
        """Remove the directory if it is empty: what others have put there stays."""
        path = self.spec.path
        try:
            with nofollow.parent(path) as (directory, name):
                os.rmdir(name, dir_fd=directory)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise causes.failure(error, path) from None
        return True

    def left(self, machine: Machine) -> str | None:
        """Say that others have put something there; our own state does not count, and is removed last."""
        path: str = self.spec.path
        try:
            left = os.listdir(path)
        except OSError:
            return None
        ours = os.path.relpath(machine.state, path).partition("/")[0]
        return None if left == [ours] else "holds files of others"

    def _make(self) -> None:
        with nofollow.parent(self.spec.path, create=True) as (directory, name):
            # No other user may enter it before the declared owner and mode are set.
            nofollow.make_directory(directory, name, 0o755 if self.spec.mode is None else 0o700)
            nofollow.sync_directory(directory)


def _adjust(directory: int, uid: int, gid: int, mode: str | None) -> None:
    """Set owner, group and mode through a descriptor, so that all go to the same directory."""
    opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        if uid != -1 or gid != -1:
            os.fchown(opened, uid, gid)
        if mode is not None:
            os.fchmod(opened, int(mode, 8))
    finally:
        os.close(opened)


def _in_the_way(path: str) -> Failure:
    """Say which component of the path is not a directory."""
    while os.path.dirname(path) != path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return Failure(
        "already-there",
        f"{path} is not a directory, but should be one",
        hint="move it away, or declare another path",
    )
