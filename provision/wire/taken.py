"""What is exactly there: the event that answers `Take`."""

from __future__ import annotations

from typing import ClassVar

from provision.wire.events import Event
from provision.wire.finding import Finding
from provision.wire.record import one
from provision.wire.specs.apt import LockedPackages
from provision.wire.specs.container import LockedImage
from provision.wire.specs.environment import LockedEnvironment
from provision.wire.specs.model import LockedModel


class Taken(Event):
    """What a resource has come to: one of `environment`, `packages`, `model` and `image`.

    - `finding`: why that cannot be told; or, beside it, what is doubtful of it
    """

    NAME: ClassVar[str] = "taken"
    id: str
    label: str
    environment: LockedEnvironment | None = one(LockedEnvironment, default=None)
    packages: LockedPackages | None = one(LockedPackages, default=None)
    model: LockedModel | None = one(LockedModel, default=None)
    image: LockedImage | None = one(LockedImage, default=None)
    finding: Finding | None = one(Finding, default=None)

    @property
    def found(self) -> LockedEnvironment | LockedPackages | LockedModel | LockedImage | None:
        """What is there; None where that cannot be told."""
        found: LockedEnvironment | LockedPackages | LockedModel | LockedImage | None
        found = self.environment or self.packages or self.model or self.image
        return found

    @property
    def trouble(self) -> Finding:
        """Its finding, with what it is about in front."""
        assert self.finding
        return self.finding.replace(message=f"{self.label}: {self.finding.message}")
