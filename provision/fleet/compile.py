"""From the plays of all hosts to a fleet. Pure: no host, no clock, no network, no secret."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from provision.config.problems import ConfigError, Problem
from provision.fleet.fleet import Fleet
from provision.fleet.gateways import gateways
from provision.fleet.groups import Groups
from provision.fleet.host import compile_host
from provision.fleet.replicas import replicas
from provision.wire.specs.container import ContainerSpec

if TYPE_CHECKING:
    from provision.catalog.catalog import Catalog
    from provision.config.hosts import Host
    from provision.config.playbook import Play


def compile_fleet(
    hosts: Sequence[Host],
    plays: Mapping[str, Sequence[Play]],
    around: Mapping[str, Sequence[Play]] | None = None,
    beyond: Mapping[str, Sequence[Play]] | None = None,
) -> Fleet:
    """Return what the hosts are to have, and in which order.

    Reads templates and the files that plays name as sources, and nothing else.

    Args:
        hosts: from the inventory, each once.
        plays: by host, the plays of all playbooks that match it, rendered for it, in order.
        around: the plays of hosts that are left out now; gateways still pass requests to their services,
            and they are nodes of services that run over several hosts.
        beyond: the plays of all playbooks of the project: gateways in them may pass requests to services
            of these hosts.

    Raises:
        ConfigError: everything that is wrong on any host, at its place in the playbooks.
    """
    problems: list[Problem] = []
    catalogs: dict[str, Catalog] = {}
    every = {**(around or {}), **plays}
    groups = Groups(every)
    known = replicas(every, groups)
    fronts = gateways(every, known) if beyond is None else gateways(beyond, replicas(beyond, Groups(beyond)))
    for host in hosts:
        try:
            catalogs[host.name] = compile_host(host, plays[host.name], known, groups)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    fleet = Fleet.of(catalogs, fronts)
    for catalog in catalogs.values():
        catalog.host = _with_engine(fleet, catalog.host)
    return fleet


def _with_engine(fleet: Fleet, host: Host) -> Host:
    """Return a container with the engine that creates it, unless its inventory entry names one."""
    way = fleet.way_to(host.name)
    if way is None or way.resource is None or host.engine is not None:
        return host
    created = next(each.spec for each in fleet.catalogs[way.host].resources if each.id == way.resource)
    engine: Any = created.engine if isinstance(created, ContainerSpec) else None
    return dataclasses.replace(host, engine=engine)
