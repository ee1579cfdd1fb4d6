"""What the model hubs say of a model: its files, by size and hash, over plain HTTP."""

from __future__ import annotations

from provision.host.models.hubs import huggingface, modelscope
from provision.host.models.hubs.listing import Hub


def hub(source: str) -> Hub:
    """Return the hub that a model's `source` names: "modelscope" or "huggingface"."""
    return modelscope.HUB if source == "modelscope" else huggingface.HUB
