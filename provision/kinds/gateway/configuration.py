"""HAProxy's configuration for a gateway, and the files that it reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from provision.catalog import text
from provision.catalog.text import SecretPart, SecretText
from provision.config.secrets import Secret
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.offer import MODELS
from provision.kinds.gateway.upstreams import Upstream

if TYPE_CHECKING:
    from provision.kinds.gateway.fields import GatewayService

THREADS = 4
"""Threads of HAProxy: one core passes on thousands of requests a second, and all others are for models."""

SPARE = 16384
"""Bytes of a buffer for the headers that are added, and for HAProxy's own notes beside a request."""

SERVERS_KEYS = "upstreams.map"
"""The file with the keys that servers ask for, by service."""

INTERVAL = 2
"""Seconds between two looks at `/health` of a server."""


def rendered(
    context: ServiceContext[GatewayService], upstreams: Sequence[Upstream], certificate: str | None
) -> str:
    """Return HAProxy's configuration.

    Args:
        context: the gateway.
        upstreams: its services.
        certificate: the file with certificate and key; None without TLS.
    """
    service = context.service
    limits, timeouts = service.limits, service.timeouts

    def own(file: str) -> str:
        return context.layout.service(context.name, file)

    return context.templates.render(
        "gateway/haproxy.cfg.j2",
        {
            "managed": context.managed,
            "runtime": runtime(context.name),
            "threads": THREADS,
            "buffer": limits.inspected + limits.headers + 2 * SPARE,
            "spare": SPARE,
            "connections": limits.connections,
            "inspected": limits.inspected,
            "headers": limits.headers,
            "body": limits.body,
            "rate": limits.requests_per_minute,
            "timeouts": {name: _milliseconds(value) for name, value in timeouts if name != "drain"},
            "bind": text.haproxy(_place(service.host, service.port)),
            "certificate": text.haproxy(certificate) if certificate is not None else None,
            "metrics": text.haproxy(_place(service.metrics.host, service.metrics.port))
            if service.metrics is not None
            else None,
            "keys": text.haproxy(own("clients.map")) if service.keys else None,
            "servers_keys": own(SERVERS_KEYS),
            "models": text.haproxy(own("models.map")),
            "listed": text.haproxy(own("models.json")),
            "hold": text.haproxy(own("hold.lua")),
            "queue": None if service.queue is None else f"{service.queue:g}",
            "interval": INTERVAL,
            "several": len(upstreams) > 1,
            "names": _words(each.name for each in upstreams),
            "posts": _words(path for each in upstreams for path in posts(service, each)),
            "gets": _words(path for each in upstreams for path in gets(service, each)),
            "model_path": text.haproxy(MODELS),
            "silent": [
                (each.name, _words(each.offer.silent)) for each in upstreams if _alone(each, upstreams)
            ],
            "upstreams": [_backend(service, each) for each in upstreams],
        },
    )


def runtime(name: str) -> str:
    """Return the directory of a gateway's sockets and of the state of its servers, which systemd makes."""
    return f"/run/provision-{name}"


def posts(service: GatewayService, upstream: Upstream) -> list[str]:
    """Return the paths that are open for POST."""
    return [*upstream.offer.posts, *_more(service, "POST")]


def gets(service: GatewayService, upstream: Upstream) -> list[str]:
    """Return the paths that are open for GET."""
    return [*upstream.offer.gets, *_more(service, "GET")]


def client_keys(service: GatewayService) -> str:
    """Return the map from the digest of each key that clients may send to its name."""
    parts: list[str | SecretPart] = []
    for name, key in service.keys.items():
        parts += [SecretPart(key, "sha256"), f" {name}\n"]
    return SecretText(tuple(parts))


def server_keys(upstreams: Iterable[Upstream]) -> str:
    """Return the map from each service to the key that its servers ask for."""
    parts: list[str | SecretPart] = []
    for each in upstreams:
        key = each.offer.key
        if key is not None:
            parts += [f"{each.name} ", SecretPart(key) if isinstance(key, Secret) else text.check(key), "\n"]
    return SecretText(tuple(parts))


def models(upstreams: Iterable[Upstream]) -> dict[str, str]:
    """Return the service of each model by the name that requests ask for; the first that has it wins.

    A name with blanks is left out: the map that HAProxy reads ends a key at a blank.
    """
    found: dict[str, str] = {}
    for each in upstreams:
        for name in each.offer.models:
            if not any(letter.isspace() for letter in name) and not name.startswith("#"):
                found.setdefault(name, each.name)
    return found


def model_map(upstreams: Sequence[Upstream]) -> str:
    """Return the map from models to services, as a file."""
    return "".join(f"{text.check(model)} {name}\n" for model, name in models(upstreams).items())


def model_list(upstreams: Sequence[Upstream]) -> str:
    """Return the answer to `GET /v1/models` of a gateway for several services."""
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "provision"} for name in models(upstreams)
    ]
    return json.dumps({"object": "list", "data": data}, ensure_ascii=False) + "\n"


def _backend(service: GatewayService, upstream: Upstream) -> dict[str, object]:
    verified = text.haproxy(service.upstream_ca) if service.upstream_ca is not None else None
    return {
        "name": upstream.name,
        "key": upstream.offer.key is not None,
        "health": upstream.offer.health,
        "posts": _words(posts(service, upstream)),
        "gets": _words(gets(service, upstream)),
        "servers": [
            {
                "name": each.host,
                "place": text.haproxy(each.place),
                "tls": each.tls,
                "ca": verified,
                "address": text.haproxy(each.address),
            }
            for each in upstream.servers
        ],
    }


def _more(service: GatewayService, method: str) -> list[str]:
    return [path for verb, _, path in (each.partition(" ") for each in service.paths) if verb == method]


def _alone(upstream: Upstream, upstreams: Sequence[Upstream]) -> bool:
    """Say whether requests that name no model can be for this service only."""
    silent = set(upstream.offer.silent)
    return bool(silent) and not any(
        silent & set(each.offer.silent) for each in upstreams if each is not upstream
    )


def _place(host: str, port: int) -> str:
    address = host.strip("[]")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _words(values: Iterable[str]) -> str:
    return " ".join(map(text.haproxy, dict.fromkeys(values)))
