"""The models that a vLLM service names: its own, adapters, the draft, and those in `extra_args`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from provision.config.services.arguments import named_models
from provision.kinds.common import modelpaths

if TYPE_CHECKING:
    from provision.catalog.models import Model
    from provision.kinds.vllm.fields import VllmService


def places(service: VllmService) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Give each place where a model is named, and its name; its own comes first."""
    yield ("model",), service.model
    yield from ((("lora", name), model) for name, model in service.lora.items())
    if service.speculative is not None and "model" in service.speculative:
        yield ("speculative", "model"), service.speculative["model"]
    yield from ((where, named.model) for where, named in named_models(service.extra_args, ("extra_args",)))


def required(service: VllmService) -> dict[str, list[str]]:
    """Return the files that its models must have: those that arguments name, as formats differ otherwise
    (config.json, params.json, *.gguf).
    """
    return modelpaths.required(service.extra_args, places(service))


def with_paths(service: VllmService, models: Mapping[str, Model]) -> VllmService:
    """Return the service with the paths of the models that it names in the place of their names."""
    drafting = service.speculative
    if drafting is not None and "model" in drafting:
        drafting = {**drafting, "model": models[drafting["model"]].path}
    changed = {
        "model": models[service.model].path,
        "lora": {name: models[model].path for name, model in service.lora.items()},
        "speculative": drafting,
        "extra_args": modelpaths.resolved(service.extra_args, models),
    }
    return service.model_copy(update=changed)
