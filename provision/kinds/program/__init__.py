"""Service kind `program`."""

from provision.kinds.kind import Kind
from provision.kinds.program import fields, lower

KIND = Kind(fields.ProgramService, lower.lower, required=lower.required, offers=lower.offers)
