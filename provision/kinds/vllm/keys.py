"""Several API keys of one vLLM, which takes only one itself: a module that lets it take more."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from provision.config.references import each_key
from provision.kinds.common.context import ServiceContext
from provision.wire.specs.tree import TreeSpec

if TYPE_CHECKING:
    from provision.kinds.vllm.fields import VllmService

KEY = "VLLM_API_KEY"
"""The variable from which vLLM takes its API key, so that it shows in no list of processes."""

MORE_KEYS = "PROVISION_API_KEY_"
"""How the variables of all keys but the first begin."""

_MODULE = "provision_keys"


def middleware(service: VllmService) -> str | None:
    """Return what `--middleware` loads for more keys than one; None without them."""
    return f"{_MODULE}.MoreKeys" if len(each_key(service.api_key)) > 1 else None


def directory(context: ServiceContext[VllmService]) -> str | None:
    """Return where the module is on the host; None when the service has no more keys than one."""
    return context.layout.service(context.name, "keys") if middleware(context.service) else None


def add(context: ServiceContext[VllmService]) -> list[str]:
    """Add the module, where there are more keys than one; returns its id."""
    path = directory(context)
    if path is None:
        return []
    name = f"{_MODULE}.py"
    content = (resources.files("provision.engines.vllm") / name).read_text(encoding="utf-8")
    return [context.add(f"tree:{path}", TreeSpec(path=path, files={name: content}), path)]
