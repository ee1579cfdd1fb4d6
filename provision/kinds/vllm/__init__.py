"""Service kind `vllm`."""

from provision.kinds.kind import Kind
from provision.kinds.vllm import fields, lower

KIND = Kind(fields.VllmService, lower.lower, required=lower.required)
