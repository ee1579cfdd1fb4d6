"""Packages of the distribution that a service needs, beside those that plays name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.kinds.common.context import ServiceContext
from provision.wire.specs.apt import AptSpec, Package


def need(context: ServiceContext[Any], packages: Sequence[Package]) -> str:
    """Add packages to those of the host, which has one list of them; return its id.

    A version that a play asks for stays.
    """
    builder = context.builder
    there = builder.spec("apt", AptSpec)
    found = {each.name: each for each in there.packages} if there is not None else {}
    for each in packages:
        version = found[each.name].version if each.name in found else each.version
        found[each.name] = each.replace(version=version)
    spec = AptSpec(packages=[found[name] for name in sorted(found)])
    if there is not None:
        builder.resources["apt"].spec = spec
    return builder.add(context.play, context.where, "apt", spec, "packages").id
