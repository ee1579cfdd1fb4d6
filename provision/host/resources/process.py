"""A service without systemd: its start script in a session of its own, a pid file, a log.

What `nohup start.sh > log 2>&1 &` does by hand, made safe to do twice and to undo.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from typing import Any

from provision.host import children
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes, FileRunner, State
from provision.host.services import access, processes, stopping, supervision
from provision.host.services.failures import endings, exits
from provision.host.services.gpus import turns
from provision.host.state import durable, marks
from provision.wire.events import Work
from provision.wire.finding import Finding, warning
from provision.wire.specs.process import ProcessSpec

ROTATE = 50 * 1024 * 1024
"""Bytes of log beyond which a start begins a new one; one old log is kept."""

SETTLE = 0.5
"""Seconds in which a script that cannot work at all is seen to end."""

PASSED = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
PASSED_PREFIXES = (
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "ROCR_",
    "HIP_",
    "PIP_CERT",
    "REQUESTS_CA_",
    "CURL_CA_",
)
PASSED_SUFFIXES = ("_PROXY", "_proxy")


class Process(FileRunner):
    """A script-supervised service."""

    type = "process"
    Spec = ProcessSpec
    spec: ProcessSpec
    identity = ("service", "pid_file", "log", "stop_timeout", "port", "bind")
    beside = ("current",)

    def expected(self, machine: Machine) -> State:
        """Return the declared state."""
        return {"running": True, "current": True}

    def actual(self, machine: Machine) -> State:
        """Return the state found."""
        owed = marks.pending(machine.state, self.spec.service)
        return {
            "running": supervision.recorded(self.spec.pid_file) is not None,
            "current": owed is None or owed["state"] != "needed",
        }

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Bring about what differs."""
        self._require_port()
        access.require(machine, self.spec.service, self.spec.access)
        if supervision.recorded(self.spec.pid_file) is None:
            self._stop(machine)  # what is left of it
        else:
            with turns.kept(machine, self.id, self.spec.service, self.spec.cards or []):
                self._stop(machine)
        self._start(machine)

    def missed(self, machine: Machine, changes: Changes) -> Failure | None:
        """Return how the service ended when it did so right after its start."""
        return self._ended(machine) if "running" in changes else None

    def new(self, changes: Changes) -> bool:
        """Whether it has never been started; a state that is not there is no, rather than absent."""
        return changes.get("running", (True, True))[0] is False

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Say whether the service will be started or restarted."""
        up = supervision.recorded(self.spec.pid_file) is not None
        service = self.spec.service
        return Work(restart=service) if up else Work(start=service)

    def notes(self, machine: Machine) -> list[Finding]:
        """Warn where a start could not succeed."""
        if supervision.recorded(self.spec.pid_file) is not None:
            return []
        taken = self._taken()
        held = [warning("port-taken", taken)] if taken else []
        return [*held, *access.notes(machine, self.spec.service, self.spec.access)]

    def up(self, actual: State) -> bool:
        """Whether it runs, rather than that it is to be started."""
        return bool(actual.get("running"))

    def remove(self, machine: Machine) -> bool:
        """Stop the service for good."""
        there = bool(self._members()) or os.path.exists(self.spec.pid_file)
        self._stop(machine)
        for log in (self.spec.log, _old(self.spec.log)):
            there = durable.remove(log) or there
        return there

    # -- steps --------------------------------------------------------------------------------------------

    def _marker(self) -> dict[str, str]:
        """Return the variables that all processes of this service carry, and nobody else's.

        The pid file is one of them, since two users of a machine may each have a service of that name.
        """
        return {"PROVISION_SERVICE": self.spec.service, "PROVISION_PID_FILE": self.spec.pid_file}

    def _members(self) -> dict[int, processes.Process]:
        return processes.members(supervision.recorded(self.spec.pid_file), self._marker())

    def _taken(self) -> str | None:
        """Return who else holds the port, as a sentence."""
        port = self.spec.port
        ours = self._members() if port else {}
        for holder in processes.listeners(port, self.spec.bind) if port else []:
            if holder.pid not in ours:
                return f"port {port} is held by {holder}"
        return None

    def _listens(self) -> bool:
        """Whether it has begun to serve, as far as its port tells."""
        ours = self._members()
        return stopping.listens(self.spec.port, self.spec.bind, ours.__contains__)

    def _stop(self, machine: Machine) -> None:
        main = supervision.recorded(self.spec.pid_file)
        # Members of the session are only found while its leader's pid is known to be the leader's.
        known: dict[int, processes.Process] = {}
        begun = told = time.monotonic()
        limit = self.spec.stop_timeout

        def left() -> dict[int, processes.Process]:
            known.update(self._members())
            return {pid: each for pid, each in known.items() if _same(each)}

        def sleep(seconds: float) -> None:
            nonlocal told
            now = time.monotonic()
            if now > told + 2:
                told = now
                machine.progress(self.id, now - begun, limit, "seconds", "stopping")
            machine.sleep(seconds)

        life = processes.invocation(main) if main is not None else None
        terms = stopping.Terms(machine, self.spec.service, life, self._listens)
        remaining = stopping.end(left, main, terms, limit, sleep)
        if remaining:
            names = ", ".join(f"{each.name} (pid {each.pid})" for each in remaining.values())
            raise Failure(
                "does-not-stop",
                f"{self.spec.service} does not stop: {names}",
                hint="end it on the host by hand",
            )
        durable.remove(self.spec.pid_file)

    def _start(self, machine: Machine) -> None:
        script, log, service = self.spec.script, self.spec.log, self.spec.service
        self._rotate(log)
        user = self.spec.user
        switched: dict[str, Any] = {}
        if user and machine.root and user != pwd.getpwuid(os.geteuid()).pw_name:
            switched["preexec_fn"] = children.become(user)
        elif user and user != pwd.getpwuid(os.geteuid()).pw_name:
            raise Failure(
                "needs-root",
                f"{service} should run as {user}, which only root can arrange",
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
                    **switched,
                )
            except OSError as error:
                reach = f"user {user} must be able to reach and run it" if switched else None
                raise Failure(
                    "file-refused", f"{error.filename or script}: {error.strerror or error}", hint=reach
                ) from None
            except subprocess.SubprocessError:
                raise Failure("service-ended", f"cannot become {user} to start {service}") from None
        exits.keep(self.spec.pid_file, child, kills)
        life = supervision.record(self.spec.pid_file, child.pid)
        deadline = time.monotonic() + SETTLE
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if child.returncode is not None or life is None:
            child.wait()
            raise self._ended(machine)
        marks.started(machine.state, service, life)

    def _ended(self, machine: Machine) -> Failure:
        return endings.ended(machine, self.spec, supervision.life(machine, self.spec), None)

    def _rotate(self, log: str) -> None:
        try:
            if os.path.getsize(log) > ROTATE:
                os.replace(log, _old(log))
        except FileNotFoundError:
            pass


def _same(known: processes.Process) -> bool:
    """Whether a process still lives: its parent may have changed since, its start has not."""
    now = processes.process(known.pid)
    return now is not None and now.start == known.start


def _old(log: str) -> str:
    return log + ".1"


def _environment(user: str | None) -> dict[str, str]:
    """Return what a service gets of our own environment.

    It must not depend on who applies from where: no secrets, Python paths or agents of that person's shell.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED or name.startswith(PASSED_PREFIXES) or name.endswith(PASSED_SUFFIXES)
    }
    entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    kept.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return {**kept, "HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name, "SHELL": "/bin/sh"}
