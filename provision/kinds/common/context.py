"""What a kind's `lower` gets: one service, its host, and everything that the service may refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from provision.catalog import text
from provision.catalog.builder import Builder
from provision.catalog.environments import Environment
from provision.catalog.layout import USER, Layout
from provision.catalog.models import Model
from provision.catalog.templates import Templates
from provision.config.problems import did_you_mean
from provision.config.services.base import Service
from provision.wire.finding import WARNING, Finding, information
from provision.wire.spec import Spec

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.kinds.common.group import Group
    from provision.kinds.common.offer import Replicas

WITHOUT_SYSTEMD = information(
    "no-systemd",
    "systemd does not run here, so each service is supervised by a script: it runs as root unless it has "
    "`user`, and after a reboot the next apply starts it",
)
"""The note for a host where that is known before it is connected to."""

S = TypeVar("S", bound=Service)


@dataclass(frozen=True)
class ServiceContext(Generic[S]):
    """One service with everything that its kind needs to make resources of it.

    Args:
        builder: takes the resources of the host.
        play: what declares the service.
        name: the service.
        service: the service as declared.
        layout: paths on the host.
        after: ids of what its play declares; the service comes after them.
        environments: those of all plays of the host, by name.
        models: those of all plays of the host, by name.
        templates: those for the playbook of the service.
        replicas: the services of all hosts, by name.
        group: the hosts over which it runs, if it runs over several.
    """

    builder: Builder
    play: Play
    name: str
    service: S
    layout: Layout
    after: tuple[str, ...]
    environments: Mapping[str, Environment]
    models: Mapping[str, Model]
    templates: Templates
    replicas: Replicas = field(default_factory=dict)
    group: Group | None = None

    @property
    def systemd(self) -> bool:
        """Whether systemd supervises it; else a script does, or the engine of a container."""
        host = self.builder.host
        asked = self.service.supervisor or host.supervisor
        if asked is not None:
            return asked == "systemd"
        return host.privileged and host.connection != "container" and host.systemd is not False

    @property
    def user(self) -> str | None:
        """The user it runs as; None for the one who applies."""
        return self.service.user or (USER if self.systemd else None)

    @property
    def where(self) -> tuple[str, str]:
        """The place of the service in the play."""
        return ("services", self.name)

    @property
    def env_file(self) -> str:
        """The env file of the service on the host."""
        return self.layout.service(self.name, "env")

    @property
    def script(self) -> str:
        """The start script of the service on the host."""
        return self.layout.service(self.name, "start.sh")

    @property
    def outside(self) -> str:
        """The address by which clients reach the host, as far as the inventory says."""
        host = self.builder.host
        return host.address or host.name if host.connection == "ssh" else "127.0.0.1"

    @property
    def sudo(self) -> str:
        """What a command for root begins with on the host."""
        return "sudo " if self.builder.host.become else ""

    @property
    def managed(self) -> str:
        """The first comment of a generated file. It depends only on the names in it."""
        playbook = text.comment(self.play.playbook)
        return (
            f"Written by provision for service {text.comment(self.name)} of playbook {playbook}. "
            "What is changed here is undone by the next apply."
        )

    def check_supervision(self) -> None:
        """Note what the host has no rights for, and whether a script supervises for want of systemd."""
        host, service = self.builder.host, self.service
        without = f"root, and host {host.name} is used without"
        if self.systemd and not host.privileged:
            hint = "set become: true on the host, or supervisor: script on the service"
            self.problem("needs-root", ("supervisor",), f"systemd units need {without}", hint)
        if service.user is not None and not host.privileged:
            hint = "set become: true on the host, or leave user out"
            self.problem("needs-root", ("user",), f"running as {service.user} needs {without}", hint)
        by_default = not (service.supervisor or host.supervisor) and host.connection != "container"
        missing = by_default and host.privileged and host.systemd is False
        if missing and WITHOUT_SYSTEMD not in self.builder.notes:
            self.builder.notes.append(WITHOUT_SYSTEMD)

    def problem(self, code: str, where: Sequence[str | int], message: str, hint: str | None = None) -> None:
        """Note what is wrong at a place of the service."""
        self.builder.problem(code, self.play, (*self.where, *where), message, hint)

    def blame(self, *where: str | int) -> AbstractContextManager[None]:
        """Turn an error, such as a text that cannot be quoted, into a problem at a place of the service."""
        return self.builder.blame(self.play, *self.where, *where)

    def add(
        self, id: str, spec: Spec, label: str, *, needs: Sequence[str] = (), triggers: Sequence[str] = ()
    ) -> str:
        """Add a resource that belongs to the service alone; returns its id."""
        added = self.builder.add(
            self.play,
            self.where,
            id,
            spec,
            label,
            needs=needs,
            triggers=triggers,
            service=self.name,
            tags=frozenset(self.service.tags),
        )
        return added.id

    def note(
        self,
        code: str,
        message: str,
        severity: str = WARNING,
        *,
        hint: str | None = None,
        at: Sequence[str | int] | None = None,
    ) -> None:
        """Add a line about the service to the plan; `at` is the place of the service that it is about."""
        where = None if at is None else str(self.play.where(*self.where, *at))
        message = f"service {self.name}: {message}"
        self.builder.notes.append(
            Finding(code=code, severity=severity, message=message, hint=hint, where=where)
        )

    def environment(self, name: str) -> Environment | None:
        """Return the environment of this name, or note that there is none."""
        if name not in self.environments:
            message, hint = f"there is no environment `{name}`", did_you_mean(name, self.environments)
            self.problem("unknown-environment", ("environment",), message, hint)
        return self.environments.get(name)

    def models_at(self, places: Iterable[tuple[Sequence[str | int], str]]) -> list[Model] | None:
        """Return the models that are named at places of the service; None after noting each that is not
        declared.
        """
        named = list(places)
        for where, name in named:
            if name not in self.models:
                message = f"there is no model `{name}`"
                self.problem("unknown-model", where, message, did_you_mean(name, self.models))
        found = [self.models[name] for _, name in named if name in self.models]
        return found if len(found) == len(named) else None
