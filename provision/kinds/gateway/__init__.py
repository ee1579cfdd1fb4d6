"""Service kind `gateway`: HAProxy in front of services of this and other hosts."""

from provision.kinds.gateway import fields, lower
from provision.kinds.kind import Kind

KIND = Kind(fields.GatewayService, lower.lower, front=lower.front)
