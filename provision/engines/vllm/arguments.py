"""From the fields of a vLLM service to the flags of one vLLM release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from packaging.version import Version

from provision.engines.vllm import releases, speculative
from provision.engines.vllm.successors import absence

Flag = tuple[str, ...]
"""One flag with its values: `("--port", "8002")`."""


class Refusal(NamedTuple):
    """A field that a release cannot serve.

    Args:
        code: see `provision explain`.
        where: the field, and for `extra_args` the index in it, as in the YAML.
        message: what is wrong.
        hint: the way out, when there is one.
    """

    code: str
    where: tuple[str | int, ...]
    message: str
    hint: str | None = None


FIELDS: dict[str, str] = {
    "served_model_name": "--served-model-name",
    "host": "--host",
    "port": "--port",
    "api_key": "--api-key",
    "tensor_parallel_size": "--tensor-parallel-size",
    "pipeline_parallel_size": "--pipeline-parallel-size",
    "data_parallel_size": "--data-parallel-size",
    "gpu_memory_utilization": "--gpu-memory-utilization",
    "max_num_seqs": "--max-num-seqs",
    "max_num_batched_tokens": "--max-num-batched-tokens",
    "max_model_len": "--max-model-len",
    "dtype": "--dtype",
    "quantization": "--quantization",
    "kv_cache_dtype": "--kv-cache-dtype",
    "enforce_eager": "--enforce-eager",
    "enable_prefix_caching": "--enable-prefix-caching",
    "trust_remote_code": "--trust-remote-code",
    "chat_template": "--chat-template",
    "reasoning_parser": "--reasoning-parser",
    "tool_call_parser": "--tool-call-parser",
    "enable_auto_tool_choice": "--enable-auto-tool-choice",
    "seed": "--seed",
    "uvicorn_log_level": "--uvicorn-log-level",
    "shutdown_timeout": "--shutdown-timeout",
}
"""The field for each flag that has one of the same name; the order is the order in a start script."""

FIELD_OF: dict[str, str] = {
    **{flag: field for field, flag in FIELDS.items()},
    "--model": "model",
    "--device-memory-utilization": "gpu_memory_utilization",
    "--enable-reasoning": "reasoning_parser",
    "--enable-log-requests": "log_requests",
    "--disable-log-requests": "log_requests",
    "--disable-log-stats": "log_stats",
}
"""Which field says what a flag says. Such a flag does not belong in `extra_args`."""

LOGS_REQUESTS_UNTIL = Version("0.10.1")
"""The first release that logs requests only when asked to: before it `--disable-log-requests` counts."""

REASONING_ALONE_FROM = Version("0.9.0")
"""The first release in which `--reasoning-parser` needs no `--enable-reasoning` beside it."""

_SWITCHES = frozenset({"enforce_eager", "trust_remote_code", "enable_auto_tool_choice"})
# vLLM's default for these is off in every release, so False needs no flag, and 0.8 has none for some.

_SCALE: dict[str, int] = {
    **{letter: 1000 ** (power + 1) for power, letter in enumerate("kmgt")},
    **{letter: 1024 ** (power + 1) for power, letter in enumerate("KMGT")},
}


def tokens(value: int | str) -> int | None:
    """Return a length in tokens as vLLM reads it: 8192, "8192", "8k" (8000), "8K" (8192), "1.5k"; None for
    "auto".

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int):
        return value
    text = value.strip()
    if text.lower() == "auto":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT]?)", text, re.ASCII)
    if match:
        number, letter = match.groups()
        if "." not in number:
            return int(number) * _SCALE.get(letter, 1)
        if letter.islower():
            return int(float(number) * _SCALE[letter])
    raise ValueError(f"{value!r} is no number of tokens; write 8192, 8k (8000) or 8K (8192)")


def render(fields: Mapping[str, object], model: str, version: Version) -> tuple[list[Flag], list[Refusal]]:
    """Return the flags that say what `fields` say, in the words of one release, and what it cannot say.

    Args:
        fields: a vLLM service's fields; None and absent are left to vLLM. `api_key` never becomes a flag.
            `tls` holds the paths `cert` and `key`, `lora` the adapters' paths by name, `speculative` the path
            of its `model` and settings.
        model: the directory of the model.
        version: the release; the nearest known one decides.
    """
    flags: list[Flag] = [("--model", model)]
    refusals: list[Refusal] = []
    known = releases.known(version)
    for field, flag in FIELDS.items():
        value = fields.get(field)
        if value is None or field == "api_key":
            continue
        if flag not in known:
            refusals.append(Refusal("unknown-flag", (field,), *absence(f"{field} ({flag})", flag, version)))
        elif field in _SWITCHES:
            if value:
                flags.append((flag,))
        elif isinstance(value, bool):
            flags.append((flag,) if value else ("--no-" + flag[2:],))
        else:
            flags.append((flag, *_values(field, value)))
    if fields.get("reasoning_parser") is not None and version < REASONING_ALONE_FROM:
        flags.append(("--enable-reasoning",))
    flags += _certificate(fields.get("tls"))
    flags += _adapters(fields.get("lora"))
    drafting, refused = speculative.render(fields.get("speculative"), version)
    flags += drafting
    refusals += [Refusal("unknown-flag", *each) for each in refused]
    if fields.get("middleware") is not None:
        flags.append(("--middleware", str(fields["middleware"])))
    flags += _logging(fields, version)
    return [_safe(flag) for flag in flags], refusals


def _certificate(tls: object) -> list[Flag]:
    """Return the flags by which a server speaks TLS; all releases have them."""
    if not isinstance(tls, Mapping):
        return []
    return [("--ssl-certfile", tls["cert"]), ("--ssl-keyfile", tls["key"])]


def _adapters(lora: object) -> list[Flag]:
    """Return the flags that load LoRA adapters; all releases have them."""
    if not isinstance(lora, Mapping) or not lora:
        return []
    return [("--enable-lora",), ("--lora-modules", *(f"{name}={path}" for name, path in lora.items()))]


def _logging(fields: Mapping[str, object], version: Version) -> list[Flag]:
    flags: list[Flag] = []
    logs_by_default = releases.nearest(version) < LOGS_REQUESTS_UNTIL
    if fields.get("log_requests") is False and logs_by_default:
        flags.append(("--disable-log-requests",))
    if fields.get("log_requests") is True and not logs_by_default:
        flags.append(("--enable-log-requests",))
    if fields.get("log_stats") is False:
        flags.append(("--disable-log-stats",))
    return flags


def _values(field: str, value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    if field == "max_model_len" and isinstance(value, (int, str)):
        length = tokens(value)
        return ["auto" if length is None else str(length)]
    if field == "shutdown_timeout" and isinstance(value, (int, float)):
        return [str(round(value))]
    return [str(value)]


def _safe(flag: Flag) -> Flag:
    """Join flag and value with `=` where argparse would take the value for another flag."""
    name, *values = flag
    if len(values) == 1 and values[0].startswith("-"):
        return (f"{name}={values[0]}",)
    return flag
