"""Ways to reach a host, behind one small protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from provision.connect.base import Connection
from provision.connect.local import Local
from provision.connect.ssh import Ssh

if TYPE_CHECKING:
    from provision.config.hosts import Host

__all__ = ["Connection", "Local", "Ssh", "connection_to"]


def connection_to(
    host: Host, hosts: Mapping[str, Host], ask_password: bool = False, way: tuple[str, ...] = ()
) -> Connection:
    """Return the connection to a host of the inventory.

    Args:
        host: where to.
        hosts: all hosts by name; a container's `on` is looked up here.
        ask_password: a password for sudo is at hand; without one sudo must not ask.
        way: names of the containers that are reached through this host.

    Raises:
        ValueError: `on` names a host that is not there, or leads in a circle.
    """
    asks = ask_password and host.become
    if host.connection == "ssh":
        return Ssh(
            host=host.name,
            address=host.address or host.name,
            port=host.port,
            user=host.user,
            identity_file=host.identity_file,
            options=tuple(host.ssh_options),
            python=host.python,
            become=host.become,
            asks_password=asks,
        )
    if host.connection == "local":
        return Local(host=host.name, python=host.python, become=host.become, asks_password=asks)
    from provision.connect.container import Container

    way = (*way, host.name)
    if host.on is not None and (host.on not in hosts or host.on in way):
        raise ValueError(f"host {host.name}: `on: {host.on}` names no other host")
    return Container(
        host=host.name,
        container=host.container or host.name,
        through=connection_to(hosts[host.on], hosts, ask_password, way)
        if host.on
        else Local(host="localhost"),
        engine=host.engine,
        user=host.user,
        python=host.python,
        become=host.become,
    )
