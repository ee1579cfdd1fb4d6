"""From a service of kind `gateway` to its resources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files as resources
from posixpath import join
from typing import TYPE_CHECKING

from provision.catalog import text
from provision.catalog.layout import USER, Layout
from provision.catalog.text import SecretPart, SecretText
from provision.kinds.common import certificates, checks, packages, supervised, trust
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.front import Front
from provision.kinds.common.generated import start_script
from provision.kinds.common.program import Program
from provision.kinds.gateway import certificate, configuration, upstreams
from provision.kinds.gateway.configuration import SERVERS_KEYS
from provision.kinds.gateway.fields import SELF_SIGNED
from provision.wire.checks import Check, Fitting, Http
from provision.wire.specs.apt import Package
from provision.wire.specs.file import FileSpec

if TYPE_CHECKING:
    from provision.kinds.gateway.fields import GatewayService
    from provision.kinds.gateway.upstreams import Upstream

HAPROXY = "/usr/sbin/haproxy"
"""Where the distributions put it."""

DISTRIBUTION_UNIT = "haproxy.service"
"""The unit of the package. It stays as it is where HAProxy was there before."""

KEY = "GATEWAY_KEY"
"""The variable, in a file that only root reads, with the key that checks send."""

ADMIN = "haproxy_admin.py"
"""The program that reloads HAProxy and speaks on its admin socket."""


def lower(context: ServiceContext[GatewayService]) -> None:
    """Add the resources of a gateway."""
    builder, service, name = context.builder, context.service, context.name
    if not context.systemd:
        message = f"a gateway needs systemd, and a script supervises services on host {builder.host.name}"
        context.problem("no-systemd", (), message, "put the gateway on a host with systemd and root")
        return
    behind = upstreams.found(context)
    if behind is None:
        return
    _warn_if_open(context)
    config = _Files(context, behind)
    made = config.add()
    supervised.add(
        context,
        Program(
            script=start_script(
                context,
                None,
                {},
                None,
                state=text.sh(f"{configuration.runtime(name)}/servers.state"),
                command=[HAPROXY, "-Ws", f"-f {text.sh(config.path)}"],
            ),
            port=service.port,
            bind=service.host,
            needs=made,
            key_name=KEY if service.keys else None,
            key_file=config.key_file,
            key_field="keys",
            health=True,
            checks=checks.specs(context) or _proof(behind),
            drain=0.0,
            tls=service.tls is not None,
            ca=None if isinstance(service.tls, str) else certificates.ca(service.tls),
            paths=[service.upstream_ca] if service.upstream_ca is not None else [],
            unit=(
                "gateway/service.unit.j2",
                {
                    "runtime": text.unit(configuration.runtime(name)),
                    "runtime_name": text.unit(f"provision-{name}"),
                    "python": text.unit_word(builder.host.python, command=True),
                    "admin": text.unit_word(config.admin, command=True),
                    "configuration": text.unit_word(config.path, command=True),
                },
            ),
            reloads=made,
            asks=list(dict.fromkeys(server.host for each in behind for server in each.servers)),
            proofs=[
                f"probe:{each.name}"
                for each in behind
                if any(server.host == builder.host.name for server in each.servers)
            ],
        ),
    )


def front(service: GatewayService, name: str, layout: Layout) -> Front:
    """Return how a gateway passes requests to its upstreams."""
    return Front(
        name=name,
        upstreams=service.upstreams,
        keys=layout.service(name, SERVERS_KEYS),
        drain=service.timeouts.drain,
        queue=service.queue,
    )


class _Files:
    """What HAProxy reads, all of which a reload takes in.

    Args:
        context: the gateway.
        behind: its upstreams.
    """

    def __init__(self, context: ServiceContext[GatewayService], behind: Sequence[Upstream]) -> None:
        self._context = context
        self._behind = behind
        self._needs: list[str] = [*context.after]

    @property
    def path(self) -> str:
        """Where the configuration is."""
        return self._own("haproxy.cfg")

    @property
    def key_file(self) -> str | None:
        """Where the key is that checks send; None without keys."""
        return self._own("check.env") if self._context.service.keys else None

    @property
    def admin(self) -> str:
        """Where the program is that reloads HAProxy; all gateways of a host share it."""
        return join(self._context.layout.prefix, ADMIN)

    def add(self) -> list[str]:
        """Add everything; return the ids of what the configuration consists of."""
        context, behind, service = self._context, self._behind, self._context.service
        builder, user = context.builder, context.user or "root"
        builder.imply_tree(context.play, context.where, context.layout.prefix, self._own(""))
        wanted = [Package(name="haproxy", dormant=DISTRIBUTION_UNIT)]
        wanted += [Package(name="openssl")] if service.tls == SELF_SIGNED else []
        self._needs.append(packages.need(context, wanted))
        self._admin()
        several = len(behind) > 1
        made = [
            *self._file("clients.map", configuration.client_keys(service) if service.keys else None, user),
            *self._file(SERVERS_KEYS, configuration.server_keys(behind) or None, user),
            *self._file("models.map", configuration.model_map(behind) if several else None),
            *self._file("models.json", configuration.model_list(behind) if several else None),
            *self._file("hold.lua", self._hold() if service.queue is not None else None),
        ]
        owner = [f"user:{user}"] if user == USER or f"user:{user}" in builder.resources else []
        ours = [*self._needs, *owner, f"directory:{self._own('')}"]
        pem = certificate.add(context, ours)
        made += pem[1] if pem else []
        self._check_key()
        content = configuration.rendered(context, behind, pem[0] if pem else None)
        spec = FileSpec(
            path=self.path, content=content, owner="root", validate=[HAPROXY, "-c", "-f", "{path}"]
        )
        made.append(
            context.add(
                f"file:{self.path}", spec, self.path, needs=[*self._needs, *made], triggers=[context.name]
            )
        )
        return made

    def _own(self, file: str) -> str:
        return self._context.layout.service(self._context.name, file)

    def _file(self, name: str, content: str | None, secret_of: str | None = None) -> Iterable[str]:
        """Add a file that HAProxy reads; one with secrets is for its user alone."""
        if content is None:
            return
        path = self._own(name)
        mode = "0644" if secret_of is None else "0600"
        spec = FileSpec(
            path=path, content=content, owner=secret_of or "root", mode=mode, secret=secret_of is not None
        )
        yield self._context.add(f"file:{path}", spec, path, needs=self._needs, triggers=[self._context.name])

    def _hold(self) -> str:
        return self._context.templates.render("gateway/hold.lua.j2", {"managed": self._context.managed})

    def _check_key(self) -> None:
        """Add the file with the key that checks send. HAProxy does not read it."""
        first = next(iter(self._context.service.keys.values()), None)
        if first is None or self.key_file is None:
            return
        content = SecretText((f'{KEY}="', SecretPart(first, "envfile"), '"\n'))
        spec = FileSpec(path=self.key_file, content=content, owner="root", mode="0600", secret=True)
        self._context.add(f"file:{self.key_file}", spec, self.key_file, needs=self._needs)

    def _admin(self) -> None:
        context, path = self._context, self.admin
        context.builder.imply_directory(context.play, context.where, context.layout.prefix)
        spec = FileSpec(path=path, content=_admin_program())
        self._needs.append(context.builder.add(context.play, context.where, f"file:{path}", spec, path).id)


def _warn_if_open(context: ServiceContext[GatewayService]) -> None:
    service = context.service
    if not service.keys and not trust.loopback(service.host):
        context.note(
            "open-gateway",
            f"it has no `keys`, so everybody who reaches port {service.port} of host "
            f"{context.builder.host.name} may use what is behind it",
            hint="give it `keys`, or `host: 127.0.0.1` where only programs of this host need it",
            at=(),
        )


def _proof(behind: Sequence[Upstream]) -> list[Check]:
    """Return the proof of a gateway that declares no checks: a request to what is behind it, through it."""
    if len(behind) == 1:
        return [Fitting(first="transcribe" if behind[0].offer.silent else None)]
    asked: list[Check] = [Fitting(model=each.offer.models[0]) for each in behind if each.offer.models]
    return asked or [Http(path="/health")]


@cache
def _admin_program() -> str:
    return (resources("provision.host.services.gateways") / ADMIN).read_text(encoding="utf-8")
