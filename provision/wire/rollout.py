"""Events that only the controller makes: what it foresees, and what it does with hosts and gateways."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.events import Event
from provision.wire.finding import Finding
from provision.wire.record import many, one
from provision.wire.survey import Forecast, Load


class Outlook(Event):
    """Made by the controller: what is foreseen of a host, from what it has told.

    - `loads`: each GPU, and who takes what of it
    - `forecasts`: each service that this run starts or restarts
    - `findings`: what cannot work, and what may not
    """

    NAME: ClassVar[str] = "outlook"
    BY_CONTROLLER: ClassVar[bool] = True
    loads: list[Load] = many(Load)
    forecasts: list[Forecast] = many(Forecast)
    findings: list[Finding] = many(Finding, default=[])


class Rotated(Event):
    """Made by the controller: a service left the rotation of a gateway, or came back.

    - `gateway`, `at`: the gateway and its host
    - `out`: it left; else it is back, and HAProxy says that it is up
    - `left`: requests that still ran there when the time for them was over
    - `seconds`: that it took
    - `finding`: what is to be known of it, such as what clients see meanwhile
    """

    NAME: ClassVar[str] = "rotated"
    BY_CONTROLLER: ClassVar[bool] = True
    service: str
    gateway: str
    at: str
    out: bool
    left: int = 0
    seconds: float = 0.0
    finding: Finding | None = one(Finding, default=None)


class Wave(Event):
    """Made by the controller: some hosts may be changed now, or no more hosts are changed. About no host.

    - `number`: of the wave, from 1; `of`: how many there are
    - `hosts`: those of the wave; of a rollout that has stopped, those that stay as they are
    - `stopped`: why no more hosts are changed; None as a wave begins
    """

    NAME: ClassVar[str] = "wave"
    BY_CONTROLLER: ClassVar[bool] = True
    number: int
    of: int
    hosts: list[str]
    stopped: Finding | None = one(Finding, default=None)


class Unreachable(Event):
    """Made by the controller: the host side could not be started, or was lost.

    `begun`: it had begun to work, so that something may have been changed. The log of `finding` is what the
    host, or the way to it, printed.
    """

    NAME: ClassVar[str] = "unreachable"
    BY_CONTROLLER: ClassVar[bool] = True
    finding: Finding = one(Finding)
    begun: bool = False
    executions: int = 0
    sent: int = 0


class Bootstrapped(Event):
    """Made by the controller: the host had no python3, and has been given one."""

    NAME: ClassVar[str] = "bootstrapped"
    BY_CONTROLLER: ClassVar[bool] = True
    python: str
    seconds: float
