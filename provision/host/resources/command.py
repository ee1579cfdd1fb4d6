"""A command: the way out for what has no resource type of its own."""

from __future__ import annotations

import os
import pwd

from provision.host.causes import BECOME
from provision.host.files.paths import which
from provision.host.machine import Machine
from provision.host.resource import Changes, Failure, Resource, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Sequence

UNLESS_TIMEOUT = 60.0
"""Seconds that `unless` may take to answer."""


class Command(Resource):
    """A command that is run unless `creates` exists or `unless` succeeds; with neither, at every apply."""

    type = "command"
    identity = ("name",)
    waits = True

    _ran = False

    def expected(self, machine: Machine) -> State:
        """Return that it is done."""
        return {"done": True}

    def actual(self, machine: Machine) -> State:
        """Return whether it is done.

        Raises:
            Failure: `unless` does not come to an answer.
        """
        if self._unconditional:
            done = self._ran
        else:
            done = self._created() or self._satisfied(machine)
        return {"done": True if done else None}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Run the command, and pass on what it prints.

        Raises:
            Failure: it cannot be started, fails, takes longer than `timeout`, or does not lead to what
            `creates` or
                `unless` ask for.
        """
        self._check_user(machine)
        directory = self.spec.get("directory")
        if directory and not os.path.isdir(directory):
            raise Failure(f"{directory} does not exist", hint="declare it under `directories:`")
        machine.run(
            self.spec["argv"],
            timeout=self.spec.get("timeout"),
            env=self.spec.get("env") or {},
            cwd=directory,
            user=self.spec.get("user"),
            on_line=lambda line: machine.output(self.id, line),
        )
        self._ran = True
        if self.actual(machine) != self.expected(machine):
            missing = (
                f"{self.spec['creates']} is still missing"
                if self.spec.get("creates")
                else "`unless` still fails"
            )
            raise Failure(f"the command succeeded, but {missing}")

    def notes(self, machine: Machine) -> list[str]:
        """Say when it will never be done."""
        if self._unconditional:
            return ["runs at every apply, as neither `creates` nor `unless` says when it is done"]
        return []

    @property
    def _unconditional(self) -> bool:
        return not self.spec.get("creates") and not self.spec.get("unless")

    def _created(self) -> bool:
        creates = self.spec.get("creates")
        return bool(creates) and os.path.lexists(
            os.path.join(self.spec.get("directory") or "/", str(creates))
        )

    def _satisfied(self, machine: Machine) -> bool:
        """Ask `unless`; when what it needs is not there yet, the answer is no."""
        unless: Sequence[str] | None = self.spec.get("unless")
        if not unless:
            return False
        directory: str | None = self.spec.get("directory")
        user: str | None = self.spec.get("user")
        env: Mapping[str, str] = self.spec.get("env") or {}
        if (directory and not os.path.isdir(directory)) or (user and not _exists(user)):
            return False
        program = os.path.join(directory, unless[0]) if directory and "/" in unless[0] else unless[0]
        if which(program) is None:
            return False
        self._check_user(machine)
        done = machine.run(unless, timeout=UNLESS_TIMEOUT, env=env, cwd=directory, user=user, check=False)
        return done.code == 0

    def _check_user(self, machine: Machine) -> None:
        user = self.spec.get("user")
        if not user:
            return
        if not _exists(user):
            raise Failure(f'user "{user}" does not exist', hint="declare it under `users:`")
        if not machine.root and pwd.getpwnam(user).pw_uid != os.geteuid():
            raise Failure(f"only root can run a command as {user}", hint=BECOME)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
