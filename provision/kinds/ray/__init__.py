"""Service kind `ray`: a Ray cluster over the hosts of a play."""

from provision.config.services.nodes import All
from provision.kinds.kind import Kind
from provision.kinds.ray import fields, lower

KIND = Kind(fields.RayService, lower.lower, engines=lower.PACKAGES, nodes=lambda service: All(service.head))
