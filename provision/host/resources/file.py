"""A file: its content, whose it is, and who may read it."""

from __future__ import annotations

import os
import pwd
import re
import stat
from hashlib import sha256
from typing import Any

from provision.host import causes
from provision.host.failure import Failure
from provision.host.files import atomic, nofollow, ownership, validation
from provision.host.files.textdiff import MAX_BYTES, sizes, unified
from provision.host.machine import Machine
from provision.host.python.cases import choose
from provision.host.resource import Changes, Resource, State
from provision.wire.specs.file import FileSpec


class File(Resource):
    """A file with exact content.

    A change always makes a new file that takes the old one's name, even when only the mode differs: the old
    file may be hard-linked to another that is none of our business. An owner or group that is null is kept
    as found; a secret file without a declared owner belongs to whoever runs this.
    """

    type = "file"
    Spec = FileSpec
    spec: FileSpec
    identity = ("path", "absent")

    def expected(self, machine: Machine) -> State:
        """Return kind, content (as a digest), mode, and what is declared of owner and group.

        Raises:
            Failure: the content depends on a package version for which there is none.
        """
        if self.spec.absent:
            return {"there": False}
        data = self._data(machine)
        return {
            "kind": "file",
            "content": "as declared" if self.spec.secret else _digest(data),
            **ownership.declared(self._owner, self.spec.group, self.spec.mode),
        }

    def actual(self, machine: Machine) -> State:
        """Return what is there. The content of a secret file is only compared, and never told.

        Raises:
            Failure: something else is in its place, or it may not be looked at.
        """
        path = self.spec.path
        wanted = self.expected(machine)
        try:
            found = self._look()
            if found is None:
                return {"there": False} if self.spec.absent else dict.fromkeys(wanted)
            if self.spec.absent:
                if stat.S_ISDIR(found.st_mode):
                    raise Failure(
                        "already-there",
                        f"{path} is a directory, and only files are removed",
                        hint="remove it by hand, or take it out of the play",
                    )
                return {"there": True}
            if stat.S_ISDIR(found.st_mode):
                raise Failure(
                    "already-there",
                    f"{path} is a directory, but should be a file",
                    hint="move it away, or declare another path",
                )
            kind = _kind(found.st_mode)
            state: State = {"kind": kind, "content": None, **ownership.found(found, wanted)}
            if stat.S_ISREG(found.st_mode):
                digest = self._digest_found()
                if self.spec.secret:
                    same = digest == _digest(self._data(machine))
                    state["content"] = "as declared" if same else "something else"
                else:
                    state["content"] = digest
        except OSError as error:
            raise causes.failure(error, path) from None
        return {key: state[key] for key in wanted}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Put the declared file in place, once its validator has accepted it.

        Raises:
            Failure: the validator refuses it, its owner or directory does not exist, or it cannot be written.
        """
        path = self.spec.path
        if self.spec.absent:
            self._delete()
            return
        data = self._data(machine)
        uid, gid = ownership.numbers(self._owner, self.spec.group)
        rule = self.spec.validate
        if rule and "content" in changes:
            validation.validate(machine, self.id, rule, path, data, secret=self.spec.secret)
        try:
            before = self._look()
            if before is not None and stat.S_ISREG(before.st_mode):
                # Only root may give a file away; anybody else makes files of their own.
                if uid == -1 and machine.root:
                    uid = before.st_uid
                if gid == -1 and machine.root:
                    gid = before.st_gid
            atomic.write(path, data, int(self.spec.mode, 8), uid, gid)
        except FileNotFoundError:
            parent = os.path.dirname(path)
            raise Failure(
                "missing-directory", f"{parent} does not exist", hint="declare it under `directories:`"
            ) from None
        except OSError as error:
            raise causes.failure(error, path) from None

    def disturbs(self, changes: Changes) -> bool:
        """Only what a service has read out of the file: a mended mode or owner restarts nothing."""
        return "there" in changes or ("content" in changes and not self._only_quiet())

    def diff(self, machine: Machine, changes: Changes) -> str | None:
        """Return a unified diff of the content, bounded in length; None for a secret file."""
        if self.spec.secret or "content" not in changes:
            return None
        found = self._look()
        data = self._data(machine)
        old: bytes | None = None
        if found is not None:
            old = b""
            if stat.S_ISREG(found.st_mode):
                if found.st_size > MAX_BYTES:
                    return sizes(found.st_size, len(data), self.spec.path)
                with self._open() as file:
                    old = file.read()
        return unified(old, data, self.spec.path)

    def wants_directory(self) -> str | None:
        """Return the directory that it is in. It may come with a package, so that it is no error here."""
        return os.path.dirname(self.spec.path)

    def restorable(self) -> str | None:
        """Return its path."""
        return self.spec.path

    def remove(self, machine: Machine) -> bool:
        """Remove the file; True when there was one. One whose absence was declared is none of ours."""
        return False if self.spec.absent else self._delete()

    def _delete(self) -> bool:
        path = self.spec.path
        try:
            return atomic.remove(path)
        except OSError as error:
            raise causes.failure(error, path) from None

    # -- what is declared ---------------------------------------------------------------------------------

    @property
    def _owner(self) -> str | None:
        if self.spec.owner is None and self.spec.secret:
            return pwd.getpwuid(os.geteuid()).pw_name
        return self.spec.owner

    def _data(self, machine: Machine) -> bytes:
        self._chosen = self.spec.content
        if self.spec.cases is not None:
            self._chosen = choose(machine, self.spec.cases, self.spec.content)
        return self._chosen.encode("utf-8")

    # -- what is found ------------------------------------------------------------------------------------

    def _only_quiet(self) -> bool:
        """Whether the content differs in nothing but what `quiet`, a regular expression, matches."""
        quiet = self.spec.quiet
        if not quiet:
            return False
        try:
            with self._open() as file:
                found = file.read().decode("utf-8", "replace")
        except OSError:
            return False
        return bool(re.sub(quiet, "", found) == re.sub(quiet, "", self._chosen))

    def _look(self) -> os.stat_result | None:
        """Return what has the file's name, without following a link; None when nothing has."""
        try:
            with nofollow.parent(self.spec.path) as (directory, name):
                return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _open(self) -> Any:
        # Not to hang on a pipe that takes the file's place at this moment.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with nofollow.parent(self.spec.path) as (directory, name):
            return os.fdopen(os.open(name, flags, dir_fd=directory), "rb")

    def _digest_found(self) -> str:
        digest = sha256()
        with self._open() as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return "sha256:" + digest.hexdigest()


def _kind(mode: int) -> str:
    return "link" if stat.S_ISLNK(mode) else "file" if stat.S_ISREG(mode) else "special file"


def _digest(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()
