"""What a service can access inside its unit: what it reads must be visible, what it writes to be writable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from provision.catalog.builder import Builder
from provision.catalog.layout import above
from provision.config.services.sandbox import NO
from provision.kinds.common.context import ServiceContext
from provision.kinds.common.files import within
from provision.kinds.common.paths import UsedPath, used_paths
from provision.kinds.common.program import Program
from provision.wire.finding import INFO
from provision.wire.server import Access, Written
from provision.wire.specs.directory import DirectorySpec

HOMES = ("/home", "/root", "/run/user")
"""What `ProtectHome=` hides."""

TEMPORARY = ("/tmp", "/var/tmp")
"""What `PrivateTmp=` hides."""

ALWAYS = ("/dev", "/proc", "/sys")
"""What `ProtectSystem=strict` leaves as it is."""

IMPLYING = (
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectHostname",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "RestrictAddressFamilies",
    "LockPersonality",
    "SystemCallArchitectures",
    "SystemCallFilter",
)
"""Directives with which systemd sets NoNewPrivileges= for a user that is not root."""

REFUSED = "~@clock @cpu-emulation @debug @module @mount @obsolete @privileged @raw-io @reboot @swap"
"""The groups of system calls that no server of models needs (`systemd-analyze syscall-filter` lists them)."""

FAMILIES = "AF_UNIX AF_INET AF_INET6 AF_NETLINK"

DEFAULTS = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "PrivateTmp": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": FAMILIES,
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": REFUSED,
    "ProtectProc": "invisible",
    "UMask": "0077",
}
"""The directives of a unit that a service may lift, with their usual values; others depend on the service."""


@dataclass
class Reach:
    """What the unit of a service opens, and what has to be checked on the host before a start.

    Args:
        home: whether it names something in a home.
        writable: directories that it may write to.
        runtime: directories below /run that systemd creates for it at each start, without `/run/`.
        access: what its user has to be able to read and write; None when there is nothing to check.
    """

    home: bool = False
    writable: list[str] = field(default_factory=list)
    runtime: list[str] = field(default_factory=list)
    access: Access | None = None


def reach(context: ServiceContext[Any], program: Program) -> Reach:
    """Return what a service reaches; note as problems what its unit would hide from it."""
    lifted = context.service.sandbox
    everything = list(used_paths(context.service))
    known = {each.path for each in everything}
    everything += [UsedPath((), path) for path in [*program.reads(), context.script] if path not in known]
    found = Reach(writable=list(program.writable))
    if context.systemd:
        found.home = any(within(each.path, HOMES) for each in everything)
        hidden = () if lifted is not None and lifted.PrivateTmp else TEMPORARY
        _refuse(context, everything, hidden)
        shared = [] if hidden else TEMPORARY  # read-only like everything else, when they are not its own
        found.writable = list(dict.fromkeys([*found.writable, *_writable(context, everything), *shared]))
        found.runtime = [path.removeprefix("/run/") for path in found.writable if _runtime(path)]
    elif lifted is not None:
        context.note(
            "sandbox-effect",
            "sandbox has no effect here: a script supervises it, which confines nothing",
        )
    if context.user is not None:
        found.access = _access(context, context.user, everything)
    if context.systemd and lifted is not None:
        context.note("sandbox-effect", f"its unit is opened by {', '.join(lifted.lifted())}", INFO)
    return found


def _refuse(context: ServiceContext[Any], everything: list[UsedPath], hidden: tuple[str, ...]) -> None:
    """Note each path that does not exist inside the unit, or that its user cannot read."""
    for each in everything:
        if each.listed:
            continue
        if each.path not in hidden and within(each.path, hidden):
            own = "/tmp" if within(each.path, ["/tmp"]) else "/var/tmp"
            context.problem(
                "unreadable-by-service",
                each.loc,
                f"service {context.name} does not see {each.path}: its unit has a {own} of its own",
                "put it elsewhere, or set `sandbox: {PrivateTmp: no}` on the service",
            )
        elif each.loc and context.user != "root" and within(each.path, ["/root"]):
            context.problem(
                "unreadable-by-service",
                each.loc,
                f"service {context.name} runs as {context.user}, who cannot read {each.path}",
                "put it elsewhere, or set `user: root` on the service",
            )


def _writable(context: ServiceContext[Any], everything: list[UsedPath]) -> Iterator[str]:
    own = [f"/var/lib/provision/{context.name}", f"/var/cache/provision/{context.name}", *ALWAYS, *TEMPORARY]
    for each in everything:
        place = _declared(context.builder, each.writes or each.path)
        if each.writes is None and (place is None or not _owned(context, place)):
            continue
        opened = place or each.writes
        if opened is not None and not within(opened, own):
            yield opened


def _runtime(path: str) -> bool:
    """Say whether a directory is gone after a reboot, and systemd can recreate it."""
    return within(path, ["/run"]) and path != "/run" and not within(path, ["/run/user"])


def _declared(builder: Builder, path: str) -> str | None:
    """Return the nearest declared directory at or above a path: what is missing below it can be created."""
    return next((place for place in (path, *above(path)) if f"directory:{place}" in builder.resources), None)


def _owned(context: ServiceContext[Any], place: str) -> bool:
    """Say whether a directory was declared for the user of the service."""
    declared = context.builder.spec(f"directory:{place}", DirectorySpec)
    return declared is not None and declared.owner == context.user


def _access(context: ServiceContext[Any], user: str, everything: list[UsedPath]) -> Access | None:
    """Return what the user of a service has to be able to read and write."""
    known = ("/usr", "/lib", "/bin", "/sbin", "/etc/ssl", *ALWAYS)
    read = [
        each.path
        for each in everything
        if each.loc and each.writes is None and not each.listed and not within(each.path, known)
    ]
    write = [
        Written(
            path=each.writes,
            because=_because(each),
            said=each.loc[0] == "writable",
            made=_declared(context.builder, each.writes) is not None,
        )
        for each in everything
        if each.writes is not None and each.loc and each.sure
        if not (context.systemd and _runtime(each.writes))
    ]
    if not read and not write:
        return None
    return Access(user=user, read=list(dict.fromkeys(read)), write=write)


def _because(each: UsedPath) -> str:
    return str(each.loc[1] if each.loc[0] == "env" else each.loc[0])


def hardening(context: ServiceContext[Any], found: Reach, low_port: bool) -> dict[str, str]:
    """Return the values of the directives that a service's `sandbox` may change."""
    lifted = context.service.sandbox
    values = dict(DEFAULTS)
    values["ProtectHome"] = "read-only" if found.home else "yes"
    capabilities = ["CAP_NET_BIND_SERVICE"] if low_port else []
    bound: str | None = None
    if lifted is not None:
        if lifted.NoNewPrivileges:
            values.update(dict.fromkeys(IMPLYING, NO))
            bound = "~"  # all of them: a program that gains rights needs rights that it can gain
        values.update({name: value for name in values if isinstance(value := getattr(lifted, name), str)})
        capabilities += [each for each in lifted.AmbientCapabilities if each not in capabilities]
        if isinstance(lifted.RestrictAddressFamilies, list):
            values["RestrictAddressFamilies"] = " ".join([FAMILIES, *lifted.RestrictAddressFamilies])
        if lifted.RestrictNamespaces:
            values["SystemCallFilter"] = NO  # in a namespace, a program mounts and changes its root
        if lifted.ProtectProc:
            values["ProtectProc"] = "default"
    for name in ("RestrictAddressFamilies", "SystemCallArchitectures", "SystemCallFilter"):
        # For these, an empty value means no restriction.
        values[name] = "" if values[name] == NO else values[name]
    values["AmbientCapabilities"] = " ".join(capabilities)
    values["CapabilityBoundingSet"] = values["AmbientCapabilities"] if bound is None else bound
    return values
