"""Service kind `container`."""

from provision.kinds.container import fields, lower
from provision.kinds.kind import Kind

KIND = Kind(fields.ContainerService, lower.lower, offers=lower.offers)
