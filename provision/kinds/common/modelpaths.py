"""Models that the arguments of a service name: by reference, or by a path below one that is declared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from posixpath import join
from typing import Any, TypeVar

from pydantic import BaseModel

from provision.catalog.builder import Builder
from provision.catalog.models import Model
from provision.config.services.arguments import named_model, named_models
from provision.config.services.base import Service
from provision.kinds.common.files import within
from provision.kinds.common.paths import NOT_PATHS, paths_in
from provision.wire.record import Record
from provision.wire.specs.model import ModelSpec

S = TypeVar("S", bound=Service)


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


def led(service: S, builder: Builder) -> S:
    """Return a service that reads the declared models where it names them by their paths: the name of a model
    leads to the one that was declared before, until all services have answered with the new one.
    """
    specs = [resource.spec for resource in builder.resources.values()]
    places = {spec.stem: spec.path for spec in specs if isinstance(spec, ModelSpec) and spec.stem}
    if not places:
        return service
    longest = sorted(map(re.escape, places), key=len, reverse=True)
    known = re.compile(rf"(?<![\w.-])(?:{'|'.join(longest)})(?![\w.-])")
    fields = [name for name in type(service).model_fields if name not in NOT_PATHS]
    given = {name: getattr(service, name) for name in fields}
    now = {name: _led(value, known, places) for name, value in given.items()}
    return service.model_copy(update={name: now[name] for name in fields if now[name] != given[name]})


def _led(value: Any, known: re.Pattern[str], places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return known.sub(lambda found: places[found[0]], value)
    if isinstance(value, dict):
        return {key: _led(item, known, places) for key, item in value.items()}
    if isinstance(value, list):
        return [_led(item, known, places) for item in value]
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return value.model_copy(update={name: _led(item, known, places) for name, item in fields.items()})
    if isinstance(value, Record):
        return value.replace(**{name: _led(getattr(value, name), known, places) for name in value.FIELDS})
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
