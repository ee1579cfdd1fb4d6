"""A service of any kind. Which kinds there are is looked up: the rooms of the kinds stand above this one."""

from __future__ import annotations

import importlib
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from provision.config.services.base import Service

SERVICES: dict[str, type[Service]] = {
    name: kind.fields for name, kind in importlib.import_module("provision.kinds.registry").KINDS.items()
}
"""The fields of each kind, by its name."""

if TYPE_CHECKING:
    AnyService = Service
else:
    AnyService = Annotated[reduce(or_, SERVICES.values()), Field(discriminator="kind")]
"""A service, whose key `kind` tells which it is."""
