"""Service kind `vllm`."""

from provision.kinds.kind import Kind
from provision.kinds.vllm import fields, lower, named

KIND = Kind(fields.VllmService, lower.lower, required=named.required)
