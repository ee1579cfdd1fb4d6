"""Models that the arguments of a service name: by reference, or by a path below one that is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from posixpath import join
from typing import Any

from provision.catalog.builder import Builder
from provision.catalog.models import Model
from provision.config.services.arguments import named_model, named_models
from provision.kinds.common.files import within
from provision.kinds.common.paths import paths_in
from provision.wire.specs.model import ModelSpec


def resolved(value: Any, models: Mapping[str, Model]) -> Any:
    """Return an argument with the paths of the models that it names; an unknown model stays as it is."""
    named = named_model(value)
    if named is not None:
        model = models.get(named.model)
        return join(model.path, named.file or "").rstrip("/") if model is not None else value
    if isinstance(value, dict):
        return {key: resolved(item, models) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, models) for item in value]
    return value


def required(arguments: Any, places: Iterable[tuple[Sequence[str | int], str]]) -> dict[str, list[str]]:
    """Return the files that models must have because arguments name them, by model.

    Args:
        arguments: of a command line.
        places: where models are named, and their names.
    """
    files: dict[str, list[str]] = {name: [] for _, name in places}
    for _, named in named_models(arguments, ()):
        files[named.model] += [named.file] if named.file else []
    return files


def named(builder: Builder, words: Iterable[str]) -> list[str]:
    """Return the ids of the models at, or around, the paths that words name."""
    paths = [path for word in words for path in paths_in(word)]
    return [
        id
        for id, resource in builder.resources.items()
        if isinstance(resource.spec, ModelSpec) and any(within(path, [resource.spec.path]) for path in paths)
    ]
