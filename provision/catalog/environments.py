"""Python environments of a play."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from posixpath import basename, dirname
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from provision.catalog import wheels
from provision.catalog.builder import Builder
from provision.catalog.layout import Layout, above
from provision.config import requirements
from provision.config.requirements import Wanted
from provision.wire.specs.environment import EnvironmentSpec

if TYPE_CHECKING:
    from provision.config import resources
    from provision.config.playbook import Play


@dataclass(frozen=True)
class Environment:
    """An environment, as other resources refer to it.

    Args:
        name: as in the playbook.
        path: its directory on the host.
        python: the interpreter asked for; None for the distribution's.
        requirements: the packages asked for, then the constraints.
        adopted: its path is given in the playbook, so others may have installed more packages.
    """

    name: str
    path: str
    python: str | None
    requirements: tuple[Wanted, ...]
    adopted: bool

    @property
    def id(self) -> str:
        """The id of its resource."""
        return f"environment:{self.name}"

    def program(self, name: str) -> str:
        """Return the path of a program in it."""
        return f"{self.path}/bin/{name}"

    def find(self, *names: str) -> Wanted | None:
        """Return what is asked for under one of these names, a pinned requirement first."""
        found = [wanted for wanted in self.requirements if wanted.name is not None and wanted.name in names]
        return next((wanted for wanted in found if wanted.pin), found[0] if found else None)

    @property
    def open(self) -> bool:
        """Whether it may have packages that are not named here: installed by others, or from a requirement
        without a name, such as a URL.
        """
        return self.adopted or any(wanted.name is None for wanted in self.requirements)


def add(builder: Builder, play: Play, layout: Layout) -> dict[str, Environment]:
    """Add the play's environments; returns them by name."""
    found = {}
    for name, declared in play.fields.environments.items():
        where = ("environments", name)
        wanted = [requirements.parse(raw) for raw in declared.packages]
        # Only pip on the host can read files and pages with constraints.
        read = map(requirements.constraint, declared.constraints)
        constraints = [constraint for constraint in read if constraint is not None]
        names = {requirement.name for requirement in wanted}
        for index, package in enumerate(declared.exclude):
            if canonicalize_name(package) in names:
                message = f"{package} is excluded here and asked for in packages"
                builder.problem("conflicting-requirements", play, (*where, "exclude", index), message)
        asked = (*wanted, *constraints)
        stem = layout.environment(name)
        spec = EnvironmentSpec(
            path=declared.path or stem,
            stem=None if declared.path else stem,
            python=declared.python,
            requirements=[requirement.spec() for requirement in wanted],
            exclude=sorted(canonicalize_name(package) for package in declared.exclude),
            index_url=declared.index_url,
            extra_index_urls=list(declared.extra_index_urls),
            find_links=list(declared.find_links),
            constraints=list(declared.constraints),
            installer=declared.installer,
            wheels=wheels.needed(asked, _places(declared)),
        )
        if declared.path is None:
            spec.path = f"{stem}-{digest(spec)}"
            builder.imply_tree(play, where, layout.prefix, dirname(stem))
        environment = Environment(name, spec.path, declared.python, asked, declared.path is not None)
        needs = builder.packages(play)
        paths = [requirement.path for requirement in wanted if requirement.path]
        needs += _files_used(play, [*declared.constraints, *declared.find_links, *paths])
        builder.add(play, where, environment.id, spec, f"environment {name}", needs=needs)
        found[name] = environment
    return found


def _places(declared: resources.Environment) -> list[str]:
    """Return where its packages come from, as far as it says."""
    return [*filter(None, [declared.index_url]), *declared.extra_index_urls, *declared.find_links]


def digest(spec: EnvironmentSpec) -> str:
    """Return eight characters that tell what is declared from anything else.

    The order of the packages does not count, nor a user or password in the URL of an index.
    """
    decides = [
        spec.python,
        sorted(requirement.raw for requirement in spec.requirements),
        spec.exclude,
        spec.index_url and _anonymous(spec.index_url),
        [_anonymous(url) for url in spec.extra_index_urls],
        [_anonymous(place) for place in spec.find_links],
        sorted(spec.constraints),
    ]
    return sha256(json.dumps(decides).encode()).hexdigest()[:8]


def _anonymous(place: str) -> str:
    """Return a URL without user and password, which change and lead to the same place; a path as it is."""
    scheme, found, rest = place.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{found}{authority.rpartition('@')[2]}{slash}{path}" if found else place


def _files_used(play: Play, paths: list[str]) -> list[str]:
    """Return the ids of declared files and directories that pip reads: its configuration, and those named."""
    needs = [f"file:{path}" for path in play.fields.files if basename(path) == "pip.conf" or path in paths]
    named = {place for path in paths for place in (path, *above(path))}
    return needs + [f"directory:{path}" for path in play.fields.directories if path in named]
