"""Service kind `asr`."""

from provision.kinds.asr import fields, lower
from provision.kinds.kind import Kind

KIND = Kind(fields.AsrService, lower.lower, required=lower.required, expects=lower.expects)
