"""A service without systemd: its start script in a session of its own, a pid file, a log.

What `nohup start.sh > log 2>&1 &` does by hand, but it can be repeated and undone safely.
"""

from __future__ import annotations

import fnmatch
import os
import pwd
import subprocess
import time
from typing import Callable

from provision.host import children
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes, State
from provision.host.services import processes, stopping, supervision
from provision.host.services.failures import exits
from provision.host.services.gpus import turns
from provision.host.services.runner import FileRunner
from provision.host.state import durable, owed
from provision.wire.specs.process import ProcessSpec

ROTATE = 50 * 1024 * 1024
"""Bytes of log beyond which a start begins a new one; one old log is kept."""

SETTLE = 0.5
"""Seconds in which a script that cannot work at all ends."""

PASSED = (
    *("PATH", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "*_PROXY", "*_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT*", "REQUESTS_CA_*", "CURL_CA_*"),
    *("CUDA_*", "NVIDIA_*", "NCCL_*", "ROCR_*", "HIP_*"),
)
"""Which variables of our own environment a service gets, as patterns."""


class Process(FileRunner):
    """A script-supervised service."""

    type = "process"
    Spec = ProcessSpec
    spec: ProcessSpec
    inherits_limits = True
    identity = ("service", "pid_file", "log", "stop_timeout", "port", "bind")
    beside = ("current",)
    ever = ("running",)

    def expected(self, machine: Machine) -> State:
        """Return the declared state."""
        return {"running": True, "current": True}

    def actual(self, machine: Machine) -> State:
        """Return the state found."""
        return {"running": self.running(machine), "current": self.current(machine)}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Fix what differs."""
        self._require_start(machine)
        if not self.running(machine):
            self._stop(machine)  # workers that it has left behind
        else:
            with turns.kept(machine, self.id, self.spec.service, self.spec.cards or []):
                self._stop_to_start(machine)
        self._start(machine)

    def remove(self, machine: Machine) -> bool:
        """Stop the service, and remove its logs."""
        there = bool(self._members()) or os.path.exists(self.spec.pid_file)
        self._stop(machine)
        for log in (self.spec.log, _old(self.spec.log)):
            there = durable.remove(log) or there
        return there

    # -- steps --------------------------------------------------------------------------------------------

    def _marker(self) -> dict[str, str]:
        """Return environment variables that only the processes of this service have.

        The pid file is one of them, as two users of a machine may each have a service of this name.
        """
        return {"PROVISION_SERVICE": self.spec.service, "PROVISION_PID_FILE": self.spec.pid_file}

    def _members(self) -> dict[int, processes.Process]:
        return processes.members(supervision.recorded(self.spec.pid_file), self._marker())

    def running(self, machine: Machine) -> bool:
        """Whether the service runs."""
        return supervision.recorded(self.spec.pid_file) is not None

    def owns(self) -> Callable[[int], bool]:
        """Return what tells whether the process of a pid belongs to the service."""
        return self._members().__contains__

    def _stop_to_start(self, machine: Machine) -> None:
        try:
            self._stop(machine)
        except Failure:
            if not machine.cancelled.is_set():
                raise
            # A service that ran must not stay down because nobody waits for its restart any more.
            self._stop(machine, time.sleep)

    def _stop(self, machine: Machine, wait: Callable[[float], None] | None = None) -> None:
        """Stop the service within its time; `wait` sleeps, by default until the run is cancelled."""
        main = supervision.recorded(self.spec.pid_file)
        # Members of the session are only found while its leader's pid is known to be the leader's.
        known: dict[int, processes.Process] = {}
        begun = told = time.monotonic()
        limit = self.spec.stop_timeout

        def left() -> dict[int, processes.Process]:
            known.update(self._members())
            return {pid: each for pid, each in known.items() if processes.lives(each)}

        def sleep(seconds: float) -> None:
            nonlocal told
            now = time.monotonic()
            if now > told + 2:
                told = now
                machine.progress(self.id, now - begun, limit, "seconds", "stopping")
            (wait or machine.sleep)(seconds)

        life = processes.invocation(main) if main is not None else None
        terms = stopping.Terms(machine, self.spec.service, life, self._listens)
        remaining = stopping.end(left, main, terms, limit, sleep)
        if remaining:
            names = ", ".join(f"{each.name} (pid {each.pid})" for each in remaining.values())
            message = f"{self.spec.service} does not stop: {names}"
            raise Failure("does-not-stop", message, hint="end it on the host by hand")
        durable.remove(self.spec.pid_file)

    def _start(self, machine: Machine) -> None:
        script, log, service = self.spec.script, self.spec.log, self.spec.service
        self._rotate(log)
        user = self.spec.user
        become = children.become(user) if user else None
        if become and not machine.root:
            raise Failure(
                "needs-root",
                f"{service} can only be started as {user} by root",
                hint="set `become: true` on the host, or leave `user` out",
            )
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "ab") as out:
            os.fchmod(out.fileno(), 0o640)
            out.write(supervision.heading().encode() + b"\n")
            out.flush()
            kills = exits.oom_kills()
            try:
                child = subprocess.Popen(
                    [script],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    cwd=self.spec.directory or "/",
                    env={**_environment(user), **self._marker()},
                    start_new_session=True,
                    preexec_fn=become,
                )
            except OSError as error:
                hint = f"user {user} must be able to reach and run it" if become else None
                message = f"{error.filename or script}: {error.strerror or error}"
                raise Failure("file-refused", message, hint) from None
            except subprocess.SubprocessError:
                raise Failure("service-ended", f"cannot become {user} to start {service}") from None
        exits.keep(self.spec.pid_file, child, kills)
        life = supervision.record(self.spec.pid_file, child.pid)
        deadline = time.monotonic() + SETTLE
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if child.returncode is not None or life is None:
            child.wait()
            raise self._ended(machine, supervision.life(machine, self.spec))
        owed.restart(machine.state, service).started(life)

    def _rotate(self, log: str) -> None:
        try:
            if os.path.getsize(log) > ROTATE:
                os.replace(log, _old(log))
        except FileNotFoundError:
            pass


def _old(log: str) -> str:
    return log + ".1"


def _environment(user: str | None) -> dict[str, str]:
    """Return what a service gets of our own environment.

    It must not depend on who applies from where: no secrets, Python paths or ssh agents of that user's shell.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in PASSED)
    }
    entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return {**kept, "HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name, "SHELL": "/bin/sh"}
