"""What is to be known of services that leave the rotation of gateways, by clients and of what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.wire.finding import Finding, fault, information, warning

if TYPE_CHECKING:
    from provision.fleet.gateways import Gateway

UNREACHABLE = "gateway-unreachable"
"""The code of the error of a service that is not stopped, because a gateway in front of it is not reached."""


def unreached(service: str, gateway: Gateway, why: Finding | None) -> Finding:
    """Return the error where a gateway's host cannot be asked, or was lost."""
    said = f": {why.message}" if why else ""
    message = f"{service} is not stopped, as {gateway} cannot take it out of rotation{said}"
    hint = f"see to {gateway.host}; --ignore {UNREACHABLE} goes on, and cuts running requests"
    return fault(UNREACHABLE, message, hint)


def lost(service: str, gateway: Gateway) -> Finding:
    """Return the error where the connection was lost while the service was out."""
    message = f"{service} answers, and the connection to {gateway} was lost, which lets it in by itself"
    return fault(UNREACHABLE, message, f"see to {gateway.host}, and apply again")


def only_one_left(service: str, gateway: Gateway, failed: set[str]) -> Finding:
    """Return the error where no server would be left, because others have failed in this run."""
    names = ", ".join(sorted(failed))
    message = f"{service} is not stopped: no other one is up at {gateway} since {names} failed"
    return fault("last-replica", message, f"correct what failed on {names}, and apply again")


def alone(service: str, gateway: Gateway) -> Finding:
    """Return what clients see where no other server is up."""
    message = f"no other {service} is up at {gateway}"
    if gateway.front.queue is not None:
        return information("no-other-replica", f"{message}: requests wait up to {gateway.front.queue:g} s")
    hint = "`queue` of the gateway lets them wait instead"
    return warning("no-other-replica", f"{message}: until it is back, requests get 503", hint)


def cut(service: str, gateway: Gateway, left: int) -> Finding:
    """Return what becomes of requests that still run when their time is over."""
    requests = "1 request" if left == 1 else f"{left} requests"
    message = f"{requests} of {service} at {gateway} still ran after {gateway.front.drain:g} s"
    return warning("requests-cut", message, "`timeouts.drain` of the gateway gives them more time")


def by_hand(service: str, gateway: Gateway) -> Finding:
    """Return what becomes of a server that somebody has taken out before."""
    return information("out-by-hand", f"{service} was out of rotation at {gateway} before, and stays so")


def left_out(service: str, gateway: Gateway) -> Finding:
    """Return what becomes of a server whose service was not proven."""
    message = f"{service} is out of rotation at {gateway} until it answers there"
    return warning("left-out", message, "the gateway's host sees to that; nothing has to be done")
