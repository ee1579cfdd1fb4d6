"""One service where it is compiled: who runs it, where its files are, and what its kind says of its
program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision.catalog import text
from provision.catalog.builder import Builder
from provision.catalog.layout import USER, Layout

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.config.secrets import Secret
    from provision.config.services.base import Service
    from provision.kinds.common.turn import Turn


WITHOUT_SYSTEMD = (
    "systemd does not run here, so each service is supervised by a script: it runs as root unless it has "
    "`user`, and after a reboot the next apply starts it"
)
"""The note for a host of which that is known before it is asked."""


@dataclass
class Program:
    """What a service kind says of its program; the rest is alike for all kinds.

    Args:
        kind: `vllm`, `asr`, `program`.
        script: content of the start script.
        cases: the content by installed version, as the file resource has it; None when it is the same for
            all.
        port: where it listens; None when that is not known.
        bind: the address it listens on; None for all.
        model: name under which requests ask for it.
        needs: ids that it cannot run without; a change of one restarts it.
        paths: directories that it reads.
        env: variables with a secret or of the user's, for the env file.
        key_name: the variable in the env file that holds the API key.
        checks: the proof, as the probe resource has it.
        drain: seconds that it may take to finish requests when stopped.
        before: commands for `ExecStartPre=`, already quoted.
        gpus: cards it may use, by index or UUID; None for all.
        preflight: how to ask whether it would start: `program`, `arguments`, `cases`, `env`, `timeout`; None
            when there is no way.
        writable: directories that it may write to, beside its own.
        tls: whether it speaks TLS.
        ca: what checks verify its certificate by: a file on the host; None when they do not.
        socket: the unix socket on which it listens instead of a port.
        turn: on which GPUs it starts in its turn; None for one that uses none.
    """

    kind: str
    script: str
    cases: dict[str, Any] | None
    port: int | None
    bind: str | None
    model: str | None
    needs: list[str]
    paths: list[str]
    env: dict[str, str | Secret]
    key_name: str | None
    checks: list[dict[str, Any]]
    drain: float = 0.0
    before: list[str] = field(default_factory=list)
    gpus: list[int | str] | None = None
    preflight: dict[str, Any] | None = None
    writable: list[str] = field(default_factory=list)
    tls: bool = False
    ca: str | None = None
    socket: str | None = None
    turn: Turn | None = None


@dataclass(frozen=True)
class Place:
    """Where one service is compiled: its name, its play, and the decisions that depend on the host.

    Args:
        name: the service.
        play: what declares it.
        layout: paths on the host.
        systemd: supervised by systemd, else by its script.
        user: the user it runs as; None for the one who applies.
        after: what its play declares, and it comes after.
    """

    name: str
    play: Play
    layout: Layout
    systemd: bool
    user: str | None
    after: tuple[str, ...]

    @property
    def where(self) -> tuple[str, str]:
        """Its place in the play."""
        return ("services", self.name)

    @property
    def service(self) -> Service:
        """The service as declared."""
        return self.play.services[self.name]

    @property
    def env_file(self) -> str:
        """The env file of the service on the host."""
        return self.layout.service(self.name, "env")

    @property
    def script(self) -> str:
        """The start script of the service on the host."""
        return self.layout.service(self.name, "start.sh")

    @property
    def managed(self) -> str:
        """The first comment of a generated file. It changes with nothing but the names in it."""
        playbook = text.comment(self.play.playbook)
        return (
            f"Written by provision for service {text.comment(self.name)} of playbook {playbook}. "
            "What is changed here is undone by the next apply."
        )


def place(builder: Builder, play: Play, layout: Layout, name: str, after: Sequence[str]) -> Place:
    """Decide who supervises a service and as which user it runs, or note why that is impossible."""
    service = play.services[name]
    host = builder.host
    supervisor = service.supervisor or host.supervisor or _supervisor(builder)
    if supervisor == "systemd" and not host.privileged:
        builder.problem(
            play,
            ("services", name, "supervisor"),
            f"systemd units need root, and host {host.name} is used without",
            "set become: true on the host, or supervisor: script on the service",
        )
    if service.user is not None and not host.privileged:
        builder.problem(
            play,
            ("services", name, "user"),
            f"running as {service.user} needs root, and host {host.name} is used without",
            "set become: true on the host, or leave user out",
        )
    user = service.user or (USER if supervisor == "systemd" else None)
    return Place(name, play, layout, supervisor == "systemd", user, tuple(after))


def _supervisor(builder: Builder) -> str:
    """Choose what supervises a service that does not say so: systemd where root may be used and it runs."""
    host = builder.host
    if not host.privileged or host.connection == "container":
        return "script"
    if host.systemd is False:
        if WITHOUT_SYSTEMD not in builder.notes:
            builder.notes.append(WITHOUT_SYSTEMD)
        return "script"
    return "systemd"
