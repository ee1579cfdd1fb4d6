"""What a service kind tells about a program that is supervised; the rest is the same for all kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.kinds.common import turn
from provision.kinds.common.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision.catalog.environments import Environment
    from provision.catalog.models import Model
    from provision.config.secrets import Secret
    from provision.kinds.common.firewall import Firewall
    from provision.kinds.common.turn import Turn
    from provision.wire.cases import Cases
    from provision.wire.nodes import Meeting
    from provision.wire.requests import Stake
    from provision.wire.server import Demands, Preflight


@dataclass(kw_only=True)
class Program(Endpoint):
    """What a service kind tells about its program, besides its endpoint; the rest is the same for all kinds.

    Args:
        script: content of the start script.
        options: those of its command, each with its values.
        cases: the content by installed version; None when it is the same for all.
        environment: what it runs in; None for the programs of the host.
        engine: the packages of which the first that is installed decides what it can do.
        models: those that it loads, the one that it serves first.
        certificate: the files with which it speaks TLS.
        needs: ids of what else it cannot run without. A change of any of these restarts it.
        paths: what else it reads.
        api_key: the key that clients must send, or several of which each will do; `key_name` is the variable
            of the first.
        more_keys: how the variables of all other keys begin; 2, 3, … follow.
        drain: seconds that it may take to finish requests when stopped.
        nvidia: whether it may use GPUs of NVIDIA.
        preflight: how to ask whether it would start; None when there is no way.
        writable: directories that it may write to, besides its own.
        turn: its turn on the GPUs that it uses; None for one that uses none.
        unit: the template of its unit, and what only that template needs, quoted for a unit.
        launchers: ids of the programs that start it: a change of these restarts nothing.
        reloads: ids of what it reads again when it is told to reload: a change of these restarts nothing.
        demands: what else it wants of the host; None for nothing special.
        firewall: the rule that closes the ports between its nodes to others; None for none.
        meeting: what its nodes compare before it is changed; None for what runs on one host.
        follows: other services on its host, all under systemd, without which it cannot run: they start before
            it and stop after it, and a restart of one of them restarts it.
    """

    script: str
    options: Sequence[Sequence[str]] = ()
    cases: Cases | None = None
    environment: Environment | None = None
    engine: Sequence[str] = ()
    models: Sequence[Model] = ()
    certificate: Sequence[str] = ()
    needs: Sequence[str] = ()
    paths: Sequence[str] = ()
    api_key: Secret | list[Secret] | None = None
    more_keys: str = ""
    drain: float = 0.0
    nvidia: bool = False
    preflight: Preflight | None = None
    writable: Sequence[str] = ()
    turn: Turn | None = None
    unit: tuple[str, Mapping[str, object]] = ("service.unit.j2", {})
    launchers: Sequence[str] = ()
    reloads: Sequence[str] = ()
    demands: Demands | None = None
    firewall: Firewall | None = None
    meeting: Meeting | None = None
    follows: Sequence[str] = ()

    def uses(self) -> list[str]:
        """Return the ids of what it cannot run without, except for the certificate."""
        environment = [self.environment.id] if self.environment is not None else []
        return [*environment, *(model.id for model in self.models), *self.needs]

    def stake(self, service: str) -> Stake | None:
        """Return what decides on the host whether it runs."""
        return turn.stake(
            service,
            self.turn,
            # A further host of several has a port by its fields, and does not open it.
            port=self.turn.port if self.turn else self.port,
            models=[model.path for model in self.models],
            environment=self.environment.path if self.environment is not None else None,
            packages=self.engine,
        )

    def reads(self) -> list[str]:
        """Return the paths that it reads."""
        paths = [*(model.path for model in self.models), *self.paths, *self.certificate]
        if self.environment is not None:
            paths = [self.environment.path, *paths, *filter(None, [self.environment.python])]
        return paths
