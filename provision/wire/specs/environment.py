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


class Wheel(Record):
    """What a release that is asked for needs of the host, as the metadata of its wheels says.

    - `pinned`: it is this release; else the newest known one that will do
    - `python`: pairs of operator and version
    - `glibc`: the oldest that will do, by machine (`x86_64`); there are wheels for no other
    - `torch`: the release of PyTorch that it needs
    - `cuda`: the toolkit that it is built with, such as 12.8; None: none
    - `builds`: the newest release for each CUDA: pairs of CUDA and release, the newest first
    """

    name: str
    version: str
    python: list[list[str]]
    glibc: dict[str, str]
    torch: str
    cuda: str | None
    builds: list[list[str]]
    pinned: bool = True


class Pin(Record):
    """A package of an environment as a lock has it.

    - `name`: canonical
    - `sha256`: of the files that will do; empty: none is known
    - `direct`: it comes from a place that the playbook names, not from an index
    - `commit`: of the repository that it comes from
    - `unhashed`: why no hash is known
    """

    name: str
    version: str
    sha256: list[str] = []
    direct: bool = False
    commit: str | None = None
    unhashed: str | None = None


class LockedEnvironment(Record):
    """What an environment has come to, for one kind of host.

    - `lock`: the file that says so, for people; empty: as it was found
    - `python`, `machine`: what its packages are for, such as 3.11 and x86_64
    """

    lock: str = ""
    python: str
    machine: str
    packages: list[Pin] = many(Pin)


class EnvironmentSpec(Placed):
    """A virtual environment and what is installed in it.

    - `stem`: its path without the digest of what is declared: where older versions had it, and what the
      directories of its other declarations are named after; None: there is only the one at `path`
    - `python`: the interpreter, a path or a version; None: the distribution's python3
    - `exclude`: distributions that must not be there
    - `index_url`, `extra_index_urls`, `find_links`, `constraints`: as pip has them
    - `installer`: `pip`, `uv` or `auto`
    - `wheels`: what is known of releases that are asked for
    - `locked`: what a lock has, one for each kind of host; empty: nothing is locked
    """

    stem: str | None = None
    python: str | None = None
    requirements: list[Requirement] = many(Requirement)
    exclude: list[str] = []
    index_url: str | None = None
    extra_index_urls: list[str] = []
    find_links: list[str] = []
    constraints: list[str] = []
    installer: str = "auto"
    wheels: list[Wheel] = many(Wheel, default=[])
    locked: list[LockedEnvironment] = many(LockedEnvironment, default=[])
