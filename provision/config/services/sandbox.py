"""What the unit of one service may leave out of its hardening, in systemd's own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import PlainValidator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import FileMode, Model, reject, shaped
from provision.config.problems import found

NO = "no"


def _lift(*others: str) -> PlainValidator:
    """Allow `no`, or one of some weaker values."""

    def check(value: Any) -> str:
        word = NO if value is False else value
        if word in (NO, *others):
            return str(word)
        choices = " or ".join([NO, *others])
        if value is True or value == "yes":
            message = "it is in force already; `sandbox` only names what is lifted"
            raise reject("wrong-form", message, f"leave it out, or write {choices}")
        raise reject("wrong-form", f"expected {choices}, found {found(value)}", f"write {choices}")

    return PlainValidator(check)


def _families(value: Any) -> str | list[str]:
    if value is False or value == NO:
        return NO
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        wrong = next((item for item in value if not item.startswith("AF_")), None)
        if wrong is None:
            return value
        raise reject("wrong-form", f"{found(wrong)} is not an address family", "write it such as AF_PACKET")
    message = f"expected no, or a list of more address families, found {found(value)}"
    raise reject("wrong-form", message, "write no, or [AF_PACKET]")


Capability = Annotated[str, shaped(r"CAP_[A-Z_]+", "a capability", "write it such as CAP_SYS_NICE")]

Lifted = Annotated[str | None, _lift(), JsonSchema({"enum": [False, NO]})]
LiftedHome = Annotated[str | None, _lift("read-only"), JsonSchema({"enum": [False, NO, "read-only"]})]
LiftedSystem = Annotated[str | None, _lift("yes", "full"), JsonSchema({"enum": [False, NO, "yes", "full"]})]


class Sandbox(Model):
    """What is lifted; what is not named stays as it is."""

    ProtectHome: LiftedHome = None
    """no or read-only: /home, /root and /run/user may be read. `writable` says what it may write to."""
    ProtectSystem: LiftedSystem = None
    """no: it may write wherever its user may. yes: not to /usr and /boot. full: not to /etc either."""
    PrivateTmp: Lifted = None
    """no: /tmp and /var/tmp are those of the host."""
    NoNewPrivileges: Lifted = None
    """no: programs such as sudo may gain rights. Also removes all settings that would prevent it."""
    AmbientCapabilities: list[Capability] = []
    """Capabilities to give to it, such as CAP_SYS_NICE."""
    ProtectKernelTunables: Lifted = None
    """no: /proc/sys and /sys may be written, as far as its user may."""
    ProtectKernelModules: Lifted = None
    """no: kernel modules may be loaded."""
    ProtectKernelLogs: Lifted = None
    """no: the kernel's log may be read."""
    ProtectControlGroups: Lifted = None
    """no: /sys/fs/cgroup may be written."""
    ProtectHostname: Lifted = None
    """no: the host name may be changed."""
    RestrictNamespaces: Lifted = None
    """no: namespaces may be created, which programs such as bubblewrap and Chromium need. Also removes
    `SystemCallFilter`, as they mount file systems there."""
    RestrictRealtime: Lifted = None
    """no: realtime scheduling may be asked for."""
    RestrictSUIDSGID: Lifted = None
    """no: set-user-ID files may be created."""
    RestrictAddressFamilies: Annotated[
        str | list[str] | None,
        PlainValidator(_families),
        JsonSchema({"anyOf": [{"enum": [False, NO]}, {"type": "array", "items": {"type": "string"}}]}),
    ] = None
    """no: every kind of socket; a list: these beside AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK."""
    LockPersonality: Lifted = None
    """no: the execution domain may be changed."""
    SystemCallArchitectures: Lifted = None
    """no: system calls of other architectures are allowed, which 32-bit programs need."""
    SystemCallFilter: Lifted = None
    """no: it may also ask the kernel to debug another process, to mount, and for what its user may not do."""
    ProtectProc: Lifted = None
    """no: it sees the processes of other users in /proc."""
    UMask: FileMode | None = None
    """Permission bits that new files do not get. Default: "0077"."""

    def lifted(self) -> Iterator[str]:
        """What is lifted, each in words such as `PrivateTmp=no`."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None and value != []:
                yield f"{name}={' '.join(value) if isinstance(value, list) else value}"
