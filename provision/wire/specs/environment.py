"""A Python environment."""

from __future__ import annotations

from provision.wire.record import Record, many
from provision.wire.spec import Spec


class Requirement(Record):
    """One requirement, as pip takes it and as its installed state is compared.

    - `raw`: for pip's command line
    - `name`: the distribution; None when only its installation tells
    - `extras`, `marker`: of PEP 508
    - `specifiers`: pairs of operator and version
    - `url`: where it is instead of an index; `editable`: the directory stays in use
    """

    raw: str
    name: str | None
    extras: list[str]
    specifiers: list[list[str]]
    url: str | None
    editable: bool
    marker: str | None


class EnvironmentSpec(Spec):
    """A virtual environment and what is installed in it.

    - `python`: the interpreter, a path or a version; None: the distribution's python3
    - `exclude`: distributions that must not be there
    - `index_url`, `extra_index_urls`, `find_links`, `constraints`: as pip has them
    - `installer`: `pip`, `uv` or `auto`
    """

    path: str
    python: str | None
    requirements: list[Requirement] = many(Requirement)
    exclude: list[str]
    index_url: str | None
    extra_index_urls: list[str]
    find_links: list[str]
    constraints: list[str]
    installer: str
