"""Whether a release of vLLM has a class for a model.

Follows vLLM 0.25.1: `model_executor/models/registry.py` (`_normalize_arch`, `_try_resolve_transformers`). A
model without a class runs by the Transformers backend, where Transformers has a class that can be used so.
"""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from provision.engines.vllm.architectures import Span, span
from provision.kinds.vllm.memory.architecture import Architecture
from provision.kinds.vllm.memory.families import TAKEN_FOR
from provision.published.gguf_models import METHOD
from provision.wire.finding import Finding, fault, warning

_GGUF_UNTIL = Version("0.24.0")
"""The first release that reads GGUF by a plugin only."""


def support(model: Architecture, release: Version, trusted: bool) -> Iterator[Finding]:
    """Say what follows where a release has no class for a model.

    Args:
        model: its shape.
        release: vLLM's.
        trusted: code of the model's own may run (`trust_remote_code`).
    """
    if model.quantization and model.quantization.method == METHOD and release >= _GGUF_UNTIL:
        message = f"vLLM {release} reads GGUF only with its plugin"
        yield warning("plugin-needed", message, "add vllm-gguf-plugin to the packages of the environment")
    found = _span(model.name, release)
    if found and found.too_old(release):
        message = f"vLLM {release} does not know the architecture {model.name}; {found.since} does"
        yield fault("unknown-architecture", message, f"pin vllm {found.since} or later in the environment")
    elif found is None or found.gone(release):
        which = f"vLLM {release} has no class for {model.name}"
        after = f"; it had one before {found.until}" if found else ""
        backend = "it runs by the Transformers backend, if Transformers has a class that can be used"
        message = f"{which}{after}: {backend}"
        code = "the model has code of its own: if you trust it, set `trust_remote_code:` to true"
        yield warning("no-class", message, code if model.own_code and not trusted else None)


def _span(name: str, release: Version) -> Span | None:
    found = span(name)
    end = next((end for end in TAKEN_FOR if name.endswith(end)), None)
    if end and (found is None or found.gone(release)):
        return span(f"{name.removesuffix(end)}ForCausalLM") or found
    return found
