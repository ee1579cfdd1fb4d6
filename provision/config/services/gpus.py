"""How GPUs are named: by index, or by the UUID of a GPU or of a MIG instance."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, PlainValidator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import reject, unique
from provision.config.problems import found

PATTERN_UUID = (
    r"(GPU-[0-9a-fA-F]{4,8}(-[0-9a-fA-F-]*)?|MIG-[0-9a-fA-F]{8}-[0-9a-fA-F-]+"
    r"|MIG-GPU-[0-9a-fA-F-]+/[0-9]+/[0-9]+)"
)
"""A GPU's UUID (or its first digits, which CUDA takes, too), or that of a MIG instance in either form, as
`nvidia-smi -L` prints them."""

GpuId = int | str
"""An index from 0, or a UUID such as GPU-52a3a85d-3c55-ca3a-a955-82c69ed360fc."""

_LIST = "write a list of indices or UUIDs, such as [0, 1]"


def is_uuid(text: str) -> bool:
    """Say whether a text is the UUID of a GPU or of a MIG instance."""
    return re.fullmatch(PATTERN_UUID, text) is not None


def _gpu(value: Any) -> GpuId:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise reject("gpu-list", f"expected the index of a GPU, 0 or more, found {found(value)}")
        return value
    if isinstance(value, str) and is_uuid(value):
        return value
    hint = "write its index, such as 0, or its UUID, GPU-… or MIG-… (`nvidia-smi -L` prints it)"
    if isinstance(value, str) and value.isdecimal():
        hint = f"write {int(value)} without quotes"
    raise reject("gpu-list", f"expected the index or UUID of a GPU, found {found(value)}", hint)


def _list(value: Any) -> Any:
    """Refuse what is not a list, with the list to write."""
    if isinstance(value, list):
        return value
    hint = _LIST
    if value == "all":
        hint = "leave `gpus` out: then it uses all"
    elif value in ("none", None) or value is False:
        hint = "write [] for none, or leave `gpus` out for all"
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        hint = f"write [{value}]"
    elif isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        if all(part.isdecimal() or is_uuid(part) for part in parts):
            shown = [str(int(part)) if part.isdecimal() else part for part in parts]
            hint = f"write [{', '.join(shown)}]"
    raise reject("gpu-list", f"expected a list of GPUs, found {found(value)}", hint)


def _of_one_sort(values: list[GpuId]) -> list[GpuId]:
    """Refuse a mixture: CUDA reads the whole list as what its first word is."""
    if len({type(value) for value in values}) > 1:
        message = "CUDA takes either indices or UUIDs, not both"
        raise reject("gpu-list", message, "write all as UUIDs, or all as indices")
    return values


_JSON_ID = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{PATTERN_UUID}$"}]}


def _given(value: Any) -> list[GpuId] | str:
    if value == "all":
        return "all"
    if isinstance(value, str) and not is_uuid(value):
        message = f"expected `all` or a list of GPUs, found {found(value)}"
        raise reject("gpu-list", message, "write all, or [0, 1]")
    return unique([_gpu(item) for item in _list(value)])


VisibleGpus = Annotated[
    list[Annotated[GpuId, PlainValidator(_gpu)]],
    BeforeValidator(_list),
    AfterValidator(unique),
    AfterValidator(_of_one_sort),
    JsonSchema({"type": "array", "items": _JSON_ID}),
]
"""The GPUs that a process sees (CUDA_VISIBLE_DEVICES)."""

GivenGpus = Annotated[
    list[GpuId] | Literal["all"],
    PlainValidator(_given),
    JsonSchema({"anyOf": [{"const": "all"}, {"type": "array", "items": _JSON_ID}]}),
]
"""The GPUs that a container is given: all, or a list."""
