"""What the wheels of an environment need of a host, by release, so that it is known before the download.

`wheels.json` holds what the metadata of released wheels says: `python -m tests.gpu.wheels` makes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from operator import itemgetter
from typing import Any, NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.config.requirements import Wanted
from provision.wire.specs.environment import Wheel

_CUDA = re.compile(r"[/+](?:cu(\d{2,})(\d)|(cpu))(?=[/\-]|$)")
"""What tells wheels for another CUDA: `…/whl/cu128` of an index, `+cu128` or `+cpu` of a version."""


class _Row(NamedTuple):
    python: SpecifierSet
    glibc: dict[str, str]
    torch: str
    cuda: str | None


@cache
def _table() -> dict[str, dict[Version, _Row]]:
    """Return the rows of each package; what vLLM needs includes what its PyTorch needs."""
    text = files("provision.catalog").joinpath("wheels.json").read_text(encoding="utf-8")
    data: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    torch = {Version(version): _row({"torch": version, **each}) for version, each in data["torch"].items()}
    vllm = {}
    for version, each in data["vllm"].items():
        row, below = _row(each), torch[Version(each["torch"])]
        machines = row.glibc.keys() & below.glibc.keys()
        oldest = {name: max(row.glibc[name], below.glibc[name], key=Version) for name in sorted(machines)}
        vllm[Version(version)] = _Row(row.python & below.python, oldest, row.torch, below.cuda)
    return {"vllm": vllm, "torch": torch}


def _row(data: dict[str, Any]) -> _Row:
    return _Row(SpecifierSet(data["python"]), data["glibc"], data["torch"], data.get("cuda"))


def needed(requirements: Sequence[Wanted], places: Iterable[str]) -> list[Wheel]:
    """Return what the releases of vLLM and PyTorch need of a host; nothing of those that are not known.

    Args:
        requirements: of the environment, and its constraints.
        places: the indexes and directories that they are looked for in.
    """
    return list(_needed(requirements, list(places)))


def _needed(requirements: Sequence[Wanted], places: Sequence[str]) -> Iterator[Wheel]:
    asked: dict[str, Wanted] = {}
    for each in requirements:
        if each.name in ("vllm", "torch") and (each.pin or each.name not in asked):
            asked[each.name] = each
    for name in ("vllm", "torch"):
        wanted = asked.get(name)
        version = wanted and (wanted.pin or _newest(name, wanted.specifier))
        row = _find(name, version) if version else None
        if wanted is None or row is None:
            continue
        # What is said of PyTorch counts for vLLM, too; an index for another CUDA counts for both.
        said = [text for each in (wanted, asked.get("torch")) if each for text in (each.raw, each.url or "")]
        named = [found for text in (*said, *places) if (found := _CUDA.search(text))]
        cuda = row.cuda
        if named:
            major, minor, _ = named[0].groups()
            cuda = f"{major}.{minor}" if major else None
        yield Wheel(
            name=name,
            version=str(version),
            pinned=wanted.pin is not None,
            python=_pairs(row.python),
            glibc=row.glibc,
            torch=row.torch,
            cuda=cuda,
            builds=[] if cuda is None else _builds(name),
        )


def _newest(name: str, allowed: SpecifierSet) -> Version | None:
    """Return the newest known release that is allowed."""
    return max(allowed.filter(_table()[name]), default=None)


def _find(name: str, version: Version) -> _Row | None:
    """Return the row of a release; of one between two known ones if these need the same."""
    rows = _table()[name]
    before = [known for known in rows if known <= version]
    after = [known for known in rows if known >= version]
    if not before or not after or rows[before[-1]] != rows[after[0]]:
        return None
    return rows[before[-1]]


def _pairs(python: SpecifierSet) -> list[list[str]]:
    """Return pairs of operator and version, the lower versions first; of several lower bounds the highest."""
    bounds = {(Version(each.version), each.operator): each.version for each in python}
    least = max((version for version, operator in bounds if operator == ">="), default=None)
    kept = [bound for bound in sorted(bounds) if bound[1] != ">=" or bound[0] == least]
    return [[operator, bounds[version, operator]] for version, operator in kept]


def _builds(name: str) -> list[list[str]]:
    """Return the newest release for each CUDA, as [CUDA, release], the newest first."""
    newest = {row.cuda: version for version, row in _table()[name].items() if row.cuda}
    return [[cuda, str(version)] for cuda, version in sorted(newest.items(), key=itemgetter(1), reverse=True)]
