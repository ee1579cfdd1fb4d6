"""A Python environment."""

from __future__ import annotations

from provision.wire.record import Record, many
from provision.wire.spec import Placed


class Requirement(Record):
    """One requirement, as pip takes it and as its installed state is compared.

    - `raw`: for pip's command line
    - `name`: the distribution; None when only its installation tells
    - `extras`: of PEP 508
    - `marker`: it has one, so that not every host gets it
    - `specifiers`: pairs of operator and version
    - `url`: where it is instead of an index; `editable`: the directory stays in use
    """

    raw: str
    name: str | None
    extras: list[str] = []
    specifiers: list[list[str]] = []
    url: str | None = None
    editable: bool = False
    marker: bool = False


class EnvironmentSpec(Placed):
    """A virtual environment and what is installed in it.

    - `python`: the interpreter, a path or a version; None: the distribution's python3
    - `exclude`: distributions that must not be there
    - `index_url`, `extra_index_urls`, `find_links`, `constraints`: as pip has them
    - `installer`: `pip`, `uv` or `auto`
    """

    python: str | None = None
    requirements: list[Requirement] = many(Requirement)
    exclude: list[str] = []
    index_url: str | None = None
    extra_index_urls: list[str] = []
    find_links: list[str] = []
    constraints: list[str] = []
    installer: str = "auto"
