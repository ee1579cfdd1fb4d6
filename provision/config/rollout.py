"""The key `rollout` of a play."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import PlainValidator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import Duration, Model, NotNegative, reject
from provision.config.pace import Portion
from provision.config.problems import found

_PATTERN = "^((100|[0-9]{1,2})%|[0-9]{1,6})$"


def portion(value: Any) -> str:
    """Return a number of hosts, or a share of them, as text: 5, 25%."""
    try:
        return str(Portion.read(value))
    except ValueError:
        if isinstance(value, str) and re.fullmatch(r"\d{1,6}%", value):
            raise reject("out-of-range", f"expected a share of at most 100%, found {value}") from None
        message = f"expected a number of hosts or a share of them, found {found(value)}"
        raise reject("out-of-range", message, "write such as 5 or 25%") from None


Hosts = Annotated[
    str,
    PlainValidator(portion),
    JsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _PATTERN}]}),
]
"""A number of hosts, or a share of them such as 25%."""


class Rollout(Model):
    """In which order the hosts of a play are changed, and when that ends early."""

    canary: NotNegative = 1
    """Hosts that are changed before all others, the first ones of the inventory; 0 for none."""
    serial: Hosts = "100%"
    """Hosts that are changed at once after that, at least one."""
    max_failures: Hosts = "0"
    """Hosts that may fail, or not be reached, before no further host is changed."""
    pause: Duration = 0.0
    """How long to wait after a wave before the next one begins."""
