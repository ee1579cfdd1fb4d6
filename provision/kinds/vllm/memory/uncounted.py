"""Flags that change what a service takes of a GPU, or the shape of its model, in a way that is not computed.

Of vLLM 0.25.1, `engine/arg_utils.py`. With one of them what looks impossible may still run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provision.config.services.arguments import as_text
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.given import given
from provision.wire.finding import ERROR, WARNING, Finding, information

SHAPING = (
    "--additional-config",
    "--config-format",
    "--hf-config-path",
    "--hf-overrides",
    "--model-impl",
    "--rope-scaling",
    "--rope-theta",
    "--runner",
    "--convert",
    "--task",
)
"""Those that may change how long a context the model has, or how it can be divided."""

FLAGS = (
    *SHAPING,
    "--cpu-offload-gb",
    "--decode-context-parallel-size",
    "--kv-cache-dtype-skip-layers",
    "--kv-sharing-fast-prefill",
    "--load-format",
    "--model-loader-extra-config",
    "--num-gpu-blocks-override",
    "--offload-backend",
    "--offload-group-size",
    "--offload-num-in-group",
    "--prefill-context-parallel-size",
)
"""These, and those that change only how much memory is needed."""

PLAIN_FORMATS = ("auto", "dummy", "fastsafetensors", "hf", "mistral", "pt", "runai_streamer", "safetensors")
"""Values of `--load-format` that only say where the weights come from."""

LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
"""The variable by which vLLM takes a longer context than its model has."""

SHAPE = ("context-length", "parallel-size", "unsupported-layers")
"""Codes of what depends on the shape of the model."""

MEMORY = "gpu-memory"
"""The code of what depends on the memory that its weights and cache need, too."""


def judged(findings: Sequence[Finding], service: VllmService) -> Iterator[Finding]:
    """Give findings, as doubts where a flag or a variable may make possible what seems impossible."""
    told = given([as_text(each) for each in service.extra_args])
    flags = [each for each in FLAGS if each in told.flags]
    if told.last("--load-format") in PLAIN_FORMATS:
        flags.remove("--load-format")
    long = service.env.get(LONG) == "1"
    why: str | None = None
    for finding in findings:
        counting = flags if finding.code == MEMORY else [each for each in flags if each in SHAPING]
        flag = next(iter(counting), None) if finding.code in (MEMORY, *SHAPE) else None
        why = why or flag
        doubtful = flag or (long and finding.code == "context-length")
        yield finding.replace(severity=WARNING) if doubtful and finding.severity == ERROR else finding
    if why:
        message = f"what {why} changes is not computed, so it may run all the same"
        yield information("flag-not-counted", message)
