"""Secrets of a run, each looked up once."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from provision.catalog.text import secrets

if TYPE_CHECKING:
    from provision.config.problems import Problem
    from provision.config.secrets import Secret
    from provision.project.project import Project


def foresee(project: Project) -> list[Problem]:
    """Return what can be seen to be wrong with the secrets of a project; no command is run for it."""
    named = {secret: None for resource in project.fleet.resources for secret in secrets(resource.spec)}
    return [problem for secret in named if (problem := secret.foresee()) is not None]


class Keyring:
    """Resolves references to secrets and remembers the values for this run only."""

    def __init__(self) -> None:
        self._values: dict[Secret, str] = {}
        # A core dump would have them on the disk.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    def resolve(self, secret: Secret) -> str:
        """Return the secret's value.

        Raises:
            ConfigError: it cannot be read; the message names the reference and its position, never a value.
        """
        if secret not in self._values:
            self._values[secret] = secret.resolve()
        return self._values[secret]
