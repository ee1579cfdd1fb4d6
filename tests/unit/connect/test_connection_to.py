"""From a host of the inventory to the connection that leads there."""

from __future__ import annotations

import pytest

from provision.config.hosts import Host
from provision.connect import Local, Ssh, connection_to
from provision.connect.container import Container


def test_local() -> None:
    host = Host("here", "local", become=True, python="python3.12")
    assert connection_to(host, {}) == Local("here", "python3.12", become=True)
    assert connection_to(host, {}, ask_password=True).asks_password


def test_ssh() -> None:
    host = Host("gpu", "ssh", user="ops", port=23, identity_file="~/key", ssh_options=["-J", "gate"])
    assert connection_to(host, {}, ask_password=True) == Ssh(
        "gpu", "gpu", 23, "ops", "~/key", ("-J", "gate"), asks_password=False
    )


def test_container_here_and_on_another_host() -> None:
    box = Host("box", "ssh", address="10.0.0.12", become=True)
    hosts = {"box": box}
    here = connection_to(Host("web", "container"), hosts)
    assert here == Container("web", "web", Local("localhost"))
    there = connection_to(Host("web", "container", container="w1", on="box"), hosts, ask_password=True)
    assert there == Container("web", "w1", connection_to(box, hosts, ask_password=True))
    assert there.asks_password


def test_a_circle_is_refused() -> None:
    hosts = {"a": Host("a", "container", on="b"), "b": Host("b", "container", on="a")}
    with pytest.raises(ValueError, match="names no other host"):
        connection_to(hosts["a"], hosts)
    with pytest.raises(ValueError, match="names no other host"):
        connection_to(Host("c", "container", on="gone"), hosts)
