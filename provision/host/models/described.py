"""What the models of services say of themselves: here, or on their hubs while they are not here yet."""

from __future__ import annotations

from typing import Any, Sequence

from provision.host.models.hubs import hub
from provision.host.threads import within
from provision.published import models
from provision.published.http import Refused
from provision.published.models import Absent, Read, Unreadable
from provision.published.sites import Snapshot
from provision.published.tensors import Tensor
from provision.wire.specs.model import ModelSpec
from provision.wire.survey import Described

LIMIT = 30.0
"""Seconds for all models: a hub may be slow, or a disk may be on a network."""

ANSWER = 5.0
"""Seconds without an answer of a hub."""

MOST = 20_000
"""Kinds of tensors that are told. The largest models have two thousand, once alike experts are one."""


class Place:
    """Where a model is read: its directory, or, while that is not complete, its hub.

    Args:
        path: its directory.
        spec: what is declared; None for what this run is not about.
        complete: its directory is as declared.
    """

    def __init__(self, path: str, spec: ModelSpec | None, complete: bool) -> None:
        self.path = path
        self._spec = None if complete or spec is None or spec.source == "path" else spec
        self.source = path

    def describe(self) -> Described:
        """Read it."""
        try:
            found = self._read()
        except Absent as error:
            return self.failed(f"there is no {error}")
        except Unreadable as error:
            return self.failed(str(error))
        except Refused as error:
            return self.failed(f"the hub answers {error}")
        except OSError as error:
            return self.failed(error.strerror or str(error))
        tensors = found.tensors
        trouble = None
        if tensors is not None and len(tensors) > MOST:
            tensors, trouble = None, f"it has more than {MOST} different tensors"
        plain = None if tensors is None else [_plain(tensor) for tensor in tensors]
        return Described(
            path=self.path, source=self.source, config=found.config, tensors=plain, trouble=trouble
        )

    def failed(self, why: str) -> Described:
        """Return that it could not be read."""
        return Described(path=self.path, source=self.source, config=None, tensors=None, trouble=why)

    def _read(self) -> models.Model:
        if self._spec is None:
            return models.model(models.folder(self.path))
        spec, site = self._spec, hub(self._spec.source).site
        address = site.address(spec.endpoint)
        snapshot = Snapshot(site, address, spec.repo, spec.revision or site.revision, spec.token, ANSWER)
        try:
            return self._published(snapshot)
        except Absent:
            if site.second is None or address != site.public:
                raise
            return self._published(snapshot._replace(address=site.second))

    def _published(self, snapshot: Snapshot) -> models.Model:
        self.source = str(snapshot)
        read: Read = snapshot.read
        return models.model(read)


def describe(places: Sequence[Place]) -> list[Described]:
    """Read models, all at the same time; one that takes too long is not waited for."""
    late = f"it could not be read within {LIMIT:.0f} s"
    found = within(LIMIT, [place.describe for place in places])
    return [told or place.failed(late) for told, place in zip(found, places)]


def _plain(tensor: Tensor) -> list[Any]:
    return [tensor.name, tensor.dtype, list(tensor.shape), tensor.count]
