"""Flags that change what a service takes of a GPU, or the shape of its model, in a way that is not computed.

Of vLLM 0.25.1, `engine/arg_utils.py`. With one of them what looks impossible may still run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provision.config.services.arguments import as_text
from provision.kinds.vllm.fields import VllmService
from provision.kinds.vllm.given import given
from provision.wire.finding import ERROR, WARNING, Finding, information

FLAGS = (
    "--additional-config",
    "--config-format",
    "--cpu-offload-gb",
    "--decode-context-parallel-size",
    "--hf-config-path",
    "--hf-overrides",
    "--kv-cache-dtype-skip-layers",
    "--kv-sharing-fast-prefill",
    "--load-format",
    "--model-impl",
    "--model-loader-extra-config",
    "--num-gpu-blocks-override",
    "--offload-backend",
    "--offload-group-size",
    "--offload-num-in-group",
    "--prefill-context-parallel-size",
    "--rope-scaling",
    "--rope-theta",
    "--runner",
    "--convert",
    "--task",
)

LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
"""The variable by which vLLM takes a longer context than its model has."""

DEPENDENT = ("context-length", "gpu-memory", "parallel-size", "unsupported-layers")
"""Codes of what depends on the shape of the model, or on the memory that its weights and cache need."""


def judged(findings: Sequence[Finding], service: VllmService) -> Iterator[Finding]:
    """Give findings, as doubts where a flag or a variable may make possible what seems impossible."""
    flags = given([as_text(each) for each in service.extra_args]).flags
    flag = next((each for each in FLAGS if each in flags), None)
    long = service.env.get(LONG) == "1"
    for finding in findings:
        doubtful = (flag and finding.code in DEPENDENT) or (long and finding.code == "context-length")
        yield finding.replace(severity=WARNING) if doubtful and finding.severity == ERROR else finding
    if flag and any(each.code in DEPENDENT for each in findings):
        yield information(
            "flag-not-counted", f"what {flag} changes is not computed, so it may run all the same"
        )
