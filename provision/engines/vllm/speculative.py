"""The flags for speculative decoding: one with JSON, in older releases one for each setting."""

from __future__ import annotations

import json
from collections.abc import Mapping

from packaging.version import Version

from provision.engines.vllm import releases

CONFIG = "--speculative-config"

OLD = {
    "model": "--speculative-model",
    "num_speculative_tokens": "--num-speculative-tokens",
    "draft_tensor_parallel_size": "--speculative-draft-tensor-parallel-size",
    "max_model_len": "--speculative-max-model-len",
    "quantization": "--speculative-model-quantization",
    "disable_by_batch_size": "--speculative-disable-by-batch-size",
}
"""The flag of each setting in releases that lack `--speculative-config`."""


def render(
    settings: object, version: Version
) -> tuple[list[tuple[str, ...]], list[tuple[tuple[str, ...], str, str]]]:
    """Return the flags for these settings, and for settings that the release lacks: field, message, hint."""
    if not isinstance(settings, Mapping) or not settings:
        return [], []
    if CONFIG in releases.known(version):
        return [(CONFIG, json.dumps(dict(settings), ensure_ascii=False))], []
    since = releases.history(CONFIG)[0].added
    flags: list[tuple[str, ...]] = []
    refused: list[tuple[tuple[str, ...], str, str]] = []
    for name, value in settings.items():
        if name in OLD and not isinstance(value, (dict, list, bool)):
            flags.append((OLD[name], str(value)))
        else:
            message = f"`{name}` of speculative needs vLLM {since} or later; the environment has {version}"
            refused.append((("speculative", str(name)), message, f"ask for vllm>={since} in the environment"))
    return flags, refused
