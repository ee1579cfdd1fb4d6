"""A container of docker or podman: made as declared, running, and started again when it has ended."""

from __future__ import annotations

import os
import tempfile
import time
from typing import ClassVar, Sequence

from provision.host import kind
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.resource import Changes, State, differences
from provision.host.resources.unit import Unit
from provision.host.services import processes, supervision
from provision.host.services.containers import engines, images, settings
from provision.host.services.failures import endings
from provision.host.services.gpus import turns
from provision.host.services.runner import Runner
from provision.host.state import marks, owed, scraps
from provision.wire.events import Work
from provision.wire.finding import Finding, fault, warning
from provision.wire.specs.container import ContainerSpec, LockedImage
from provision.wire.specs.unit import UnitSpec

START = 120.0
"""Seconds that the engine may take to start a container."""

SETTLE = 0.5
"""Seconds in which a program that cannot work at all ends."""

FRESH = ".provision-new"
"""What the name of a container ends with until it takes the place of the old one."""


class Container(Runner):
    """A container, and under systemd the unit that runs it.

    It is compared by what the engine's `inspect` says, and only recreated for what no engine can change. The
    old one runs until the new one has been made.
    """

    type = "container"
    Spec = ContainerSpec
    spec: ContainerSpec
    RENAMED: ClassVar = {"name": "container"}
    identity = ("service", "container", "engine", "unit", "stop_timeout")
    beside = ("loaded", "current")
    waits = True
    made_from_spec = True

    _begun: str | None = None
    """The time before the container was last started here."""

    def expected(self, machine: Machine) -> State:
        """Return the declared state."""
        state = {"image": images.title(machine, self.spec), **settings.declared(self.spec)}
        state["env"] = settings.declared_env(self._with_env_files(), self._env(machine))
        unit = self._unit()
        if unit:
            state.update(unit.expected(machine))
        return {**state, "running": True, "current": True}

    def actual(self, machine: Machine) -> State:
        """Return the state found; a host without an engine has no container.

        Raises:
            Failure: the engine does not answer, the container is somebody else's, or it is to be supervised
                by systemd, which does not run.
        """
        if self.spec.unit:
            supervision.require_systemd(machine)
        found = self._found(machine)
        state: State = {"running": False}
        if found is not None:
            self._require_ours(found)
            name = images.title_used(machine, self.spec, found)
            state = {"image": name, "env": self._env(machine) or None}
            state.update(settings.observed(self.spec, found, images.used(machine, self.spec, found)))
            state["running"] = engines.invocation(found) is not None
        unit = self._unit()
        if unit:
            state.update(unit.actual(machine))
        return {**state, "current": self.current(machine)}

    def fix(self, machine: Machine, changes: Changes) -> None:
        """Fix what differs; the image is there before the old container is stopped.

        Raises:
            Failure: there is no engine, the image cannot be obtained, or the container does not start.
        """
        engine = engines.require(self.spec.engine)
        self.spec = images.of_that_time(machine, self.spec)
        ran = self.running(machine)
        try:
            images.provide(machine, self.id, self.spec, engine)
            left = differences(self.expected(machine), self.actual(machine))
            replace = self._found(machine) is None or any(key in left for key in settings.CREATION)
            if not replace and "restart" in left:
                replace = not self._update_restart(machine, engine)
            self._supervise(machine, left)
            if replace:
                self._replace(machine, engine)
            elif left.keys() & {"running", "active", "current"}:
                self._stop_in_turn(machine, engine)
                self._start(machine, engine)
        except Failure:
            if ran and machine.cancelled.is_set():
                # It must not stay down because nobody waits for its restart any more.
                engines.bring_back(engine, self.spec.container, self.spec.container + FRESH, self.spec.unit)
            raise
        finally:
            engines.forget(machine, engine, self.spec.container)
            machine.forget("units")

    def new(self, changes: Changes) -> bool:
        """Whether there is no such container yet."""
        return changes.get("image", (True, True))[0] is None

    def work(self, machine: Machine, changes: Changes) -> Work | None:
        """Say where the image comes from, when it is not here, and what becomes of the service."""
        work = Work()
        if images.local(machine, self.spec) is None:
            work.load = self.spec.archive
            work.pull = None if work.load else images.title(machine, self.spec)
        found = self._found(machine)
        if found is None:
            work.start = self.spec.service
        elif any(key in changes for key in settings.CREATION):
            work.recreate = self.spec.container
        elif engines.invocation(found) is None:
            work.start = self.spec.service
        elif changes.keys() & {"active", "current"}:
            work.restart = self.spec.service
        return work

    def notes(self, machine: Machine) -> list[Finding]:
        """Warn where a start could not succeed."""
        if engines.find(self.spec.engine) is None:
            missing = self.spec.engine or "docker or podman"
            return [warning("container-engine", f"{missing} is not installed yet")]
        unit = self._unit()
        notes = unit.notes(machine) if unit else []
        found, lock = self._found(machine), images.locked(self.spec)
        if lock and found is not None:
            expected = images.title(machine, self.spec)
            if images.title_used(machine, self.spec, found) != expected:
                notes.append(kind.drift(lock.lock, [self.spec.image]))
        archive = self.spec.archive
        if archive and not os.path.exists(archive) and images.local(machine, self.spec) is None:
            message = f"{archive}, from which the image is loaded, is not there yet"
            notes.append(warning("missing-file", message))
        return notes

    def unobtainable(self, machine: Machine, changes: Changes) -> Sequence[Finding]:
        """Return that a locked image is not to be had."""
        lock = images.locked(self.spec)
        if lock is None or not images.gone(machine, self.spec):
            return []
        said = f"{self.spec.image} is not to be had as {lock.lock} has it ({lock.id[7:19]})"
        return [fault("lock-mismatch", said, kind.RESTORE).at("image")]

    def taken(self, machine: Machine) -> LockedImage:
        """Return the image that it runs from.

        Raises:
            Failure: there is no such container.
        """
        found = self._found(machine)
        if found is None or not self._ours(found):
            raise kind.not_as_declared()
        return images.taken(machine, self.spec, found)

    def as_declared(self, machine: Machine) -> bool:
        """Whether it runs from the declared image."""
        found = self._found(machine)
        expected = images.title(machine, self.spec)
        return found is not None and images.title_used(machine, self.spec, found) == expected

    port_field = "ports"

    def as_run(self, machine: Machine) -> State:
        """Return its spec, with the image that it was made from, whatever the name means later."""
        found = self._found(machine)
        spec = self.spec.replace(image_id=found["Image"] if found is not None else None)
        return spec.plain()

    def told(self, machine: Machine, changes: Changes) -> list[str]:
        """Return the images, and what else it is made with that differs, without values."""
        was, now = changes.get("image", (None, None))
        image = [f"{was} → {now}" if was else now] if now else []
        return [*image, *(key for key in settings.CREATION if key in changes and key != "image")]

    def kept(self) -> State:
        """Return the directories of the host that it sees: no file of ours names them."""
        return {"sources": [volume.source for volume in self.spec.volumes if volume.source.startswith("/")]}

    def opens(self, machine: Machine, changes: Changes) -> Sequence[tuple[int, str | None]]:
        """Return its published ports, unless it runs: the engine holds them then."""
        if engines.invocation(self._found(machine)) is not None:
            return []
        return [(each.port, each.address) for each in self.spec.ports if each.protocol == "tcp"]

    def running(self, machine: Machine) -> bool:
        """Whether the container runs."""
        return engines.invocation(self._found(machine)) is not None

    def remove(self, machine: Machine) -> bool:
        """Stop the service and remove its container; one that provision has not made stays."""
        unit = self._unit()
        there = unit.remove(machine) if unit else False
        engine = engines.find(self.spec.engine)
        if engine is None:
            return there
        name = self.spec.container
        engines.forget(machine, engine, name)
        for each in (name, name + FRESH):
            found = engines.container(machine, engine, each)
            if found is not None and self._ours(found):
                if each == name:
                    self._stop(machine, engine)
                engines.call(machine, engine, ["rm", "--force", "--volumes", each], START)
                there = True
            engines.forget(machine, engine, each)
        return there

    # -- what there is ------------------------------------------------------------------------------------

    def _unit(self) -> Unit | None:
        spec = self.spec
        if not spec.unit:
            return None
        return Unit(self.id, UnitSpec(service=spec.service, unit=spec.unit, stop_timeout=spec.stop_timeout))

    def _found(self, machine: Machine) -> engines.Inspected | None:
        engine = engines.find(self.spec.engine)
        return engines.container(machine, engine, self.spec.container) if engine else None

    def _ours(self, found: engines.Inspected) -> bool:
        labels = found["Config"].get("Labels") or {}
        return bool(labels.get(settings.SERVICE_LABEL) == self.spec.service)

    def _require_ours(self, found: engines.Inspected) -> None:
        if not self._ours(found):
            raise Failure(
                "already-there",
                f"there is a container {self.spec.container} that provision has not made",
                hint="remove it, or give the service another `name:`",
            )

    def _env(self, machine: Machine) -> dict[str, str]:
        found = self._found(machine)
        if found is None or not self._ours(found):
            return {}
        return settings.observed_env(self._with_env_files(), found)

    def _with_env_files(self, strict: bool = False) -> ContainerSpec:
        """Return the spec with the variables of its `env_files`, which with `strict` must be there.

        Raises:
            Failure: a file cannot be read.
        """
        lines: list[str] = []
        for path in self.spec.env_files:
            try:
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    lines += file.read().splitlines()
            except FileNotFoundError:
                if strict:
                    raise Failure(
                        "missing-file", f"{path} is not there (env_file)", hint="declare it under `files:`"
                    ) from None
            except OSError as error:
                raise Failure("file-refused", f"{path}: {error.strerror or error} (env_file)") from None
        return settings.with_variables(self.spec, lines)

    # -- steps --------------------------------------------------------------------------------------------

    def _update_restart(self, machine: Machine, engine: str) -> bool:
        """Change the engine's restart policy; podman learned that only in 5.1."""
        try:
            engines.call(machine, engine, ["update", f"--restart={self.spec.restart}", self.spec.container])
        except Failure:
            return False
        engines.forget(machine, engine, self.spec.container)
        return "restart" not in differences(self.expected(machine), self.actual(machine))

    def _supervise(self, machine: Machine, changes: Changes) -> None:
        """Have systemd load the unit as its file is now, and start it at boot."""
        unit = self._unit()
        kept: Changes = {key: changes[key] for key in ("enabled", "loaded") if key in changes}
        if unit and kept:
            unit.fix(machine, kept)

    def _replace(self, machine: Machine, engine: str) -> None:
        name, fresh = self.spec.container, self.spec.container + FRESH
        left = engines.container(machine, engine, fresh)
        engines.forget(machine, engine, fresh)
        if left is not None and self._ours(left):
            engines.call(machine, engine, ["rm", "--force", fresh], START)
        self._require_sources()
        self._create(machine, engine, fresh)
        if self._found(machine) is not None:
            self._stop_in_turn(machine, engine)
            engines.call(machine, engine, ["rm", "--force", name], START)
        engines.call(machine, engine, ["rename", fresh, name])
        self._start(machine, engine)

    def _require_sources(self) -> None:
        """Raise `Failure` if a directory to mount is missing: docker would make it, owned by root."""
        for volume in self.spec.volumes:
            source = volume.source
            if source.startswith("/") and not os.path.exists(source):
                raise Failure(
                    "missing-directory",
                    f"{source} is not there to be mounted",
                    hint="declare it under `directories:`",
                )

    def _create(self, machine: Machine, engine: str, name: str) -> None:
        spec = self._with_env_files(strict=True)
        lines = settings.env_lines(spec)
        if not lines:
            engines.call(machine, engine, settings.create_argv(spec, name, None, engine), START)
            return
        os.makedirs(machine.state, exist_ok=True)
        descriptor, path = tempfile.mkstemp(
            prefix=scraps.prefix(), dir=machine.state
        )  # only its owner can read it
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(lines)
            engines.call(machine, engine, settings.create_argv(spec, name, path, engine), START)
        finally:
            os.unlink(path)

    def _stop_in_turn(self, machine: Machine, engine: str) -> None:
        """Stop it while no other service starts on its GPUs."""
        if engines.invocation(self._found(machine)) is None:
            self._stop(machine, engine)
            return
        with turns.kept(machine, self.id, self.spec.service, self.spec.cards or []):
            self._stop(machine, engine)

    def _stop(self, machine: Machine, engine: str) -> None:
        limit = self.spec.stop_timeout
        if self.spec.unit:
            machine.run(["systemctl", "stop", self.spec.unit], timeout=limit + 60)
        name = self.spec.container
        engines.forget(machine, engine, name)
        found = self._found(machine)
        running = engines.invocation(found)
        if found is None or (running is None and not found["State"].get("Restarting")):
            return
        machine.progress(self.id, 0, limit, "seconds", "stopping")
        if running is not None and marks.told(machine.state, self.spec.service) == running:
            # A stop that was cut off has sent SIGTERM already: another would cut the requests that still run.
            self._await_end(machine, engine, running, limit)
            limit = 0
        elif running is not None:
            marks.tell(machine.state, self.spec.service, running)
        engines.call(machine, engine, ["stop", "-t", f"{limit:.0f}", name], limit + 60)
        engines.forget(machine, engine, name)

    def _await_end(self, machine: Machine, engine: str, life: str, limit: float) -> None:
        """Wait until this life of the container has ended, but not longer than `limit` seconds."""
        deadline = time.monotonic() + limit
        while engines.invocation(self._found(machine)) == life and time.monotonic() < deadline:
            machine.sleep(0.5)
            engines.forget(machine, engine, self.spec.container)

    def _start(self, machine: Machine, engine: str) -> None:
        taken = self._taken()
        if taken:
            raise Failure("port-taken", taken, hint="stop it, or publish another port")
        unit = self._unit()
        self._begun = engines.now()
        if unit:
            try:
                unit.fix(machine, {"active": (False, True)})
            except Failure as failure:
                life = supervision.life(machine, self.spec)
                if life.invocation is None and life.ended:
                    raise self._ended(machine, life) from None
                failure.hint = failure.hint or engines.hint(failure.log)
                raise
        else:
            engines.call(machine, engine, ["start", self.spec.container], START)
        if self.spec.cards and unit:
            service, name = self.spec.service, unit.spec.unit
            turns.await_turn(
                machine, self.id, service, self.spec.cards, lambda: supervision.of_unit(machine, name).pid
            )
        up = self._up(machine, engine)
        owed.restart(machine.state, self.spec.service).started(up, self._begun)

    def _up(self, machine: Machine, engine: str) -> str:
        """Wait until the container runs and has not ended at once; return which life of it that is."""
        deadline = time.monotonic() + START
        while True:
            now = supervision.life(machine, self.spec)
            if now.invocation is not None:
                machine.sleep(SETTLE)
                after = supervision.life(machine, self.spec)
                if after.invocation == now.invocation:
                    return now.invocation
                now = after
            if now.ended or time.monotonic() > deadline:
                break
            machine.sleep(0.1)
        if now.invocation is None and now.ended is None:
            state = f"{self.spec.service} does not start: after {START:.0f} s it is {now.state}"
            raise endings.explained(machine, self.spec, "service-ended", state, self._since(now))
        raise self._ended(machine, now)

    def _ended(self, machine: Machine, life: supervision.Life) -> Failure:
        return endings.ended(machine, self.spec, life, self._since(life))

    def _since(self, life: supervision.Life) -> str | None:
        """Return where the log of this start begins: an id for the journal, a time for the engine."""
        return life.since if self.spec.unit else self._begun

    def _taken(self) -> str | None:
        """Return who else holds a port of the container, as a sentence. Only true while it is stopped."""
        ports = [each for each in self.spec.ports if each.protocol == "tcp"]
        held = ((each.port, processes.listeners(each.port, each.address)) for each in ports)
        return next((f"port {port} is held by {holders[0]}" for port, holders in held if holders), None)
