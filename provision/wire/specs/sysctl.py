"""A parameter of the kernel."""

from __future__ import annotations

from provision.wire.spec import Spec


class SysctlSpec(Spec):
    """A parameter, named as `sysctl` names it (`net.core.somaxconn`), and its value with single spaces."""

    name: str
    value: str
