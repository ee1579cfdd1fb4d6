"""Several API keys of one service: a variable for each, as an env file holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.references import each_key

if TYPE_CHECKING:
    from provision.config.secrets import Secret


def variables(keys: Secret | list[Secret] | None, first: str, more: str) -> dict[str, Secret]:
    """Return the variables for the keys.

    Args:
        keys: as the playbook has them.
        first: the name of the first key's.
        more: how the names of all others begin; 2, 3, … follow.
    """
    return {first if number == 1 else f"{more}{number}": key for number, key in enumerate(each_key(keys), 1)}
