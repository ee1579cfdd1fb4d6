"""A file: its content, who owns it, and who may read it."""

from __future__ import annotations

import os
import pwd
import re
import stat
from hashlib import sha256
from typing import Any

from provision.host import causes
from provision.host.failure import Failure
from provision.host.files import atomic, nofollow, ownership, textdiff, validation
from provision.host.machine import Machine
from provision.host.python import cases
from provision.host.resource import Changes, Resource, State
from provision.wire.cases import Case
from provision.wire.events import Options
from provision.wire.specs.file import FileSpec


class File(Resource):
    """A file with exact content.

    A change always makes a new file that takes the old one's name, even when only the mode differs: the old
    file may have hard links elsewhere, which must not change. An owner or group that is null is not changed.
    A secret file without a declared owner belongs to the user who runs this.
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
        content = "as declared" if self.spec.secret else _digest(data)
        return {"kind": "file", "content": content, **self._ownership()}

    def actual(self, machine: Machine) -> State:
        """Return what is there. The content of a secret file is only compared, and never shown.

        Raises:
            Failure: a directory is in its place, or it may not be read.
        """
        path = self.spec.path
        wanted = self._ownership()
        try:
            found = self._look()
            if found is not None and stat.S_ISDIR(found.st_mode):
                what, hint = "but should be a file", "move it away, or declare another path"
                if self.spec.absent:
                    what, hint = "and only files are removed", "remove it by hand, or take it out of the play"
                raise Failure("already-there", f"{path} is a directory, {what}", hint=hint)
            if self.spec.absent:
                return {"there": found is not None}
            if found is None:
                return dict.fromkeys(("kind", "content", *wanted))
            content = self._digest_found() if stat.S_ISREG(found.st_mode) else None
        except OSError as error:
            raise causes.failure(error, path) from None
        if content and self.spec.secret:
            content = "as declared" if content == _digest(self._data(machine)) else "something else"
        owned = ownership.found(found, wanted)
        return {"kind": _kind(found.st_mode), "content": content, **{key: owned[key] for key in wanted}}

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
                # Only root may change the owner of a file; what others write is theirs.
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
        """Whether the content has changed: another mode or owner restarts nothing."""
        return "there" in changes or ("content" in changes and not self._only_quiet())

    def diff(self, machine: Machine, changes: Changes) -> str | None:
        """Return a unified diff of the content, bounded in length; None for a secret file."""
        if self.spec.secret or "content" not in changes:
            return None
        found = self._look()
        data = self._data(machine)
        if found is None or not stat.S_ISREG(found.st_mode):
            return textdiff.unified(None if found is None else b"", data, self.spec.path)
        if found.st_size > textdiff.MAX_BYTES:
            return textdiff.sizes(found.st_size, len(data), self.spec.path)
        with self._open() as file:
            return textdiff.unified(file.read(), data, self.spec.path)

    def kept(self) -> State:
        """Return the options of a start script, and the content that they are part of."""
        if self.spec.absent or self.spec.secret or not self._case.options:
            return {}
        return {"content": _digest(self._case.content.encode()), "options": self._case.options}

    def changed_options(self, kept: State, changes: Changes) -> tuple[Options, Options] | None:
        """Return the former options of a start script and those declared.

        They are known where the file still is as it was written: a person may have changed it since.
        """
        declared = self.kept()
        if not (declared and kept) or changes.get("content", (None,))[0] != kept["content"]:
            return None
        return kept["options"], declared["options"]

    def wants_directory(self) -> str | None:
        """Return the directory that it is in. A package may bring it, so it is no error here."""
        return os.path.dirname(self.spec.path)

    def restorable(self) -> str | None:
        """Return its path."""
        return self.spec.path

    def remove(self, machine: Machine) -> bool:
        """Remove the file; True when there was one. One whose absence was declared is not ours."""
        return not self.spec.absent and self._delete()

    def _delete(self) -> bool:
        try:
            return atomic.remove(self.spec.path)
        except OSError as error:
            raise causes.failure(error, self.spec.path) from None

    # -- what is declared ---------------------------------------------------------------------------------

    @property
    def _owner(self) -> str | None:
        if self.spec.owner is None and self.spec.secret:
            return pwd.getpwuid(os.geteuid()).pw_name
        return self.spec.owner

    def _data(self, machine: Machine) -> bytes:
        assumed = Case(since="", content=self.spec.content, options=self.spec.options)
        among = self.spec.cases
        self._case = cases.choose(machine, among, assumed) if among else assumed
        content: str = self._case.content
        return content.encode("utf-8")

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
        return bool(re.sub(quiet, "", found) == re.sub(quiet, "", self._case.content))

    def _ownership(self) -> State:
        return ownership.declared(self._owner, self.spec.group, self.spec.mode)

    def _look(self) -> os.stat_result | None:
        """Return what has the file's name, without following a link; None when nothing has."""
        try:
            with nofollow.parent(self.spec.path) as (directory, name):
                return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _open(self) -> Any:
        # O_NONBLOCK: not to wait for ever on a pipe that has just taken the file's place.
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
