"""A command, for what has no resource type of its own."""

from __future__ import annotations

import os
from typing import ClassVar

from provision.host.causes import BECOME
from provision.host.failure import Failure
from provision.host.files.ownership import USERS
from provision.host.files.paths import which
from provision.host.machine import Machine
from provision.host.resource import Changes, Resource, State
from provision.host.state import owed
from provision.wire.events import Work
from provision.wire.finding import Finding, warning
from provision.wire.specs.command import CommandSpec

UNLESS_TIMEOUT = 60.0
"""Seconds that `unless` may take to answer."""


class Command(Resource):
    """A command that runs unless `creates` exists or `unless` succeeds, and after changes of what it follows;
    with none of them, at every apply.
    """

    type = "command"
    Spec = CommandSpec
    spec: CommandSpec
    due: ClassVar[Changes] = {"done": (None, True)}
    identity = ("name",)
    waits = True
    arbitrary = True

    _ran = False

    def expected(self, machine: Machine) -> State:
        """Return that it is done."""
        return {"done": True}

    def actual(self, machine: Machine) -> State:
        """Return whether it is done.

        Raises:
            Failure: `unless` does not end in time.
        """
        done = self._ran
        if not self._unconditional:
            due = owed.run(machine.state, self.id).needed() is not None
            done = not due and (not self._guarded or self._created() or self._satisfied(machine))
        return {"done": True if done else None}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Run the command, and pass on what it prints.

        Raises:
            Failure: it cannot be started, fails, takes longer than `timeout`, or does not lead to what
            `creates` or `unless` ask for.
        """
        self._check_user(machine)
        directory = self.spec.directory
        if directory and not os.path.isdir(directory):
            raise Failure(
                "missing-directory", f"{directory} does not exist", hint="declare it under `directories:`"
            )
        try:
            machine.run(
                self.spec.argv,
                timeout=self.spec.timeout,
                env=self.spec.env,
                cwd=directory,
                user=self.spec.user,
                on_line=lambda line: machine.output(self.id, self._masked(line)),
            )
        except Failure as failure:
            hint = failure.hint and self._masked(failure.hint)
            raise Failure(
                failure.code, self._masked(failure.message), hint, map(self._masked, failure.log)
            ) from None
        self._ran = True
        if self._guarded and not (self._created() or self._satisfied(machine)):
            missing = f"{self.spec.creates} is still missing" if self.spec.creates else "`unless` still fails"
            raise Failure("command-failed", f"the command succeeded, but {missing}")
        owed.run(machine.state, self.id).settle()

    def notes(self, machine: Machine) -> list[Finding]:
        """Warn when it runs at every apply."""
        why = "runs at every apply, as none of `creates`, `unless` and `when_changed` says when it is done"
        return [warning("runs-every-time", why)] if self._unconditional else []

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Return what it follows."""
        reasons = [*(owed.run(machine.state, self.id).needed() or ()), *self.because]
        return Work(because=list(dict.fromkeys(reasons))) if reasons else None

    def remove(self, machine: Machine) -> bool:
        """Forget what is owed; what a command did is not undone."""
        owed.run(machine.state, self.id).settle()
        return False

    @property
    def _guarded(self) -> bool:
        return bool(self.spec.creates or self.spec.unless)

    @property
    def _unconditional(self) -> bool:
        return not self._guarded and not self.spec.when_changed

    def _masked(self, text: str) -> str:
        """Return a text without the secrets that the command was given."""
        for name in self.spec.secrets:
            for secret in self.spec.env[name].splitlines():
                if secret.strip():
                    text = text.replace(secret, "***")
        return text

    def _created(self) -> bool:
        creates = self.spec.creates
        return bool(creates) and os.path.lexists(os.path.join(self.spec.directory or "/", str(creates)))

    def _satisfied(self, machine: Machine) -> bool:
        """Whether `unless` succeeds; it does not when what it needs is not there yet."""
        unless = self.spec.unless
        if not unless:
            return False
        directory, user = self.spec.directory, self.spec.user
        if (directory and not os.path.isdir(directory)) or (user and USERS.find(user) is None):
            return False
        program = os.path.join(directory, unless[0]) if directory and "/" in unless[0] else unless[0]
        if which(program) is None:
            return False
        self._check_user(machine)
        done = machine.run(
            unless, timeout=UNLESS_TIMEOUT, env=self.spec.env, cwd=directory, user=user, check=False
        )
        return done.code == 0

    def _check_user(self, machine: Machine) -> None:
        user = self.spec.user
        if not user:
            return
        number = USERS.find(user)
        if number is None:
            raise USERS.unknown(user)
        if not machine.root and number != os.geteuid():
            raise Failure("needs-root", f"only root can run a command as {user}", hint=BECOME)
