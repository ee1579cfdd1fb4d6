"""The certificate of a gateway: HAProxy reads certificate and key from one file of its own user."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from provision.kinds.common import certificates, files
from provision.kinds.common.context import ServiceContext
from provision.kinds.gateway.fields import SELF_SIGNED
from provision.wire.specs.command import CommandSpec

if TYPE_CHECKING:
    from provision.kinds.gateway.fields import GatewayService

DAYS = 3650
"""For how long a self-signed certificate is valid."""

_PUT = 'install -m 0600 -o "$1" /dev/stdin "$2.new"; mv "$2.new" "$2"'

_JOINED = f'umask 077; awk 1 "$3" "$4" | {{ {_PUT}; }}'
_AS_JOINED = 'awk 1 "$3" "$4" | cmp -s - "$2"'

_MADE = (
    "umask 077; d=$(mktemp -d); trap 'rm -rf \"$d\"' EXIT; "
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$3" '
    '-subj "/CN=provision gateway" -addext "subjectAltName=$4" -keyout "$d/key" -out "$d/cert" 2>"$d/said" '
    f'|| {{ cat "$d/said" >&2; exit 1; }}; cat "$d/cert" "$d/key" | {{ {_PUT}; }}'
)


def add(context: ServiceContext[GatewayService], needs: list[str]) -> tuple[str, list[str]] | None:
    """Add what makes the file with certificate and key; return its path, and the ids of what changes it.

    None without TLS.
    """
    service, name, user = context.service, context.name, context.user or "root"
    if service.tls is None:
        return None
    if service.tls == SELF_SIGNED:
        names = _names(context)
        mark = hashlib.sha256(names.encode()).hexdigest()[:8]
        path = context.layout.service(name, f"self-signed-{mark}.pem")
        spec = CommandSpec(
            name=f"certificate of {name}",
            argv=["/bin/sh", "-ec", _MADE, "sh", user, path, str(DAYS), names],
            creates=path,
            timeout=60.0,
        )
        read: list[str] = []
    else:
        path = context.layout.service(name, "certificate.pem")
        assert not isinstance(service.tls, str)
        given = [user, path, service.tls.cert, service.tls.key]
        spec = CommandSpec(
            name=f"certificate of {name}",
            argv=["/bin/sh", "-ec", _JOINED, "sh", *given],
            unless=["/bin/sh", "-c", _AS_JOINED, "sh", *given],
            timeout=60.0,
        )
        read = files.named(context.builder, certificates.paths(service.tls))
    id = f"command:{spec.name}"
    context.add(id, spec, spec.name, needs=[*needs, *read], triggers=[name])
    for each in read:
        context.builder.resources[each].followers[id] = []
        context.builder.resources[each].triggers.append(name)
    return path, [id, *read]


def _names(context: ServiceContext[GatewayService]) -> str:
    """Return the names that a certificate is for: those by which clients may reach the host."""
    host = context.builder.host
    places = dict.fromkeys([host.name, context.outside, context.service.host, "localhost", "127.0.0.1"])
    return ",".join(_name(each) for each in places if each not in ("0.0.0.0", "::"))


def _name(place: str) -> str:
    try:
        ipaddress.ip_address(place)
    except ValueError:
        return f"DNS:{place}"
    return f"IP:{place}"
