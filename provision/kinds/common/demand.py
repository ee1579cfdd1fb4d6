"""What a service asks of a GPU: the question that each kind answers, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from packaging.version import Version

    from provision.config.services.base import Service
    from provision.kinds.common.cards import Card
    from provision.wire.figures import Figures
    from provision.wire.finding import Finding
    from provision.wire.survey import Described

S = TypeVar("S", bound="Service")

Verdict = Literal["fits", "does_not_fit", "uncertain"]


@dataclass(frozen=True)
class Range:
    """Bytes that nobody can compute: at least, usually, at most."""

    least: int
    usual: int
    most: int

    def __add__(self, other: Range) -> Range:
        return Range(self.least + other.least, self.usual + other.usual, self.most + other.most)

    @classmethod
    def exactly(cls, count: int) -> Range:
        """Return a known number of bytes."""
        return cls(count, count, count)


NOTHING = Range(0, 0, 0)


class Taken(NamedTuple):
    """What others hold of a GPU while a service starts there.

    - `bytes`: of all of them
    - `by`: who, each with its bytes; empty for nobody
    """

    bytes: Range = NOTHING
    by: str = ""


NOBODY = Taken()


@dataclass(frozen=True)
class Asked(Generic[S]):
    """What a kind is asked about one of its services.

    - `service`: its fields
    - `card`: the GPUs that it runs on; of several kinds the one with the least memory
    - `gpus`: how many it sees
    - `release`: of its engine; None when that is not known
    - `models`: what its models say of themselves, by the names that the service has for them; a model that is
      not there has said nothing
    - `taken`: what others hold when it starts
    - `learned`: what it logged about its last proven start, if nothing that decides has changed since
    - `advise`: look for changes that help where it does not fit
    """

    service: S
    card: Card
    gpus: int = 1
    release: Version | None = None
    models: Mapping[str, Described] = field(default_factory=dict)
    taken: Taken = NOBODY
    learned: Figures | None = None
    advise: bool = True


class Share(NamedTuple):
    """A part of each GPU, whichever GPU and model it is.

    - `asks`: it must be free when the service starts
    - `takes`: it is surely taken once it runs
    """

    asks: float
    takes: float


class About(NamedTuple):
    """A finding, and the fields of the service that decide, the first that is set before all others."""

    finding: Finding
    fields: Sequence[str] = ()


@dataclass(frozen=True)
class Demand:
    """What a service takes of each of its GPUs, in bytes.

    - `holds`: once it runs
    - `weights`, `cache`: parts of that; None where they are not known
    - `tokens`: that its cache has room for; `sequences` of `length` tokens at once
    - `learned`: parts and tokens are those that its engine logged
    - `findings`: what cannot work, and what may not
    - `steady`: what to change so that it always takes the same, where that depends on what others do
    """

    verdict: Verdict
    holds: Range
    weights: int | None = None
    cache: int | None = None
    tokens: int | None = None
    length: int | None = None
    sequences: float | None = None
    learned: bool = False
    findings: list[About] = field(default_factory=list)
    steady: str | None = None
