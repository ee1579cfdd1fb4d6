"""Secrets of a run, each looked up once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.config.secrets import Secret


class Keyring:
    """Resolves references to secrets and remembers the values for this run only."""

    def __init__(self) -> None:
        self._values: dict[Secret, str] = {}

    def resolve(self, secret: Secret) -> str:
        """Return the secret's value.

        Raises:
            ConfigError: it cannot be had; the message names the reference and its position, never a value.
        """
        if secret not in self._values:
            self._values[secret] = secret.resolve()
        return self._values[secret]
