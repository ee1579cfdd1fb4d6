"""The image of a container: which one is on this host, and how it gets there."""

from __future__ import annotations

import os
import re
from typing import Sequence

from provision.host import kind
from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.containers import engines
from provision.wire.specs.container import ContainerSpec, LockedImage

_NO_MANIFEST = re.compile(r"manifest unknown|no such manifest|not found: manifest", re.IGNORECASE)
"""What engines print when a registry does not have an image; podman also refuses one that it has."""


def local(machine: Machine, spec: ContainerSpec, reference: str | None = None) -> engines.Inspected | None:
    """Return an image, the declared one if no other is named, as it is on this host; None if it is not.

    Of a name that is locked the declared one is the locked one, whatever the name means here.
    """
    engine = engines.find(spec.engine)
    if engine is None:
        return None
    lock = locked(spec) if reference is None else None
    names = [lock.id, *_digests(spec, lock)] if lock else [reference or spec.image]
    found = (_look(machine, engine, name) for name in names)
    return next((image for image in found if image is not None), None)


def _look(machine: Machine, engine: str, name: str) -> engines.Inspected | None:
    """Return an image as the engine knows it by a name, asked once a run."""
    return machine.once(("image", engine, name), lambda: engines.image(machine, engine, name))


def locked(spec: ContainerSpec) -> LockedImage | None:
    """Return what a lock has for this kind of host; None where nothing is locked.

    Raises:
        Failure: it has nothing for this kind of host.
    """
    if not spec.locked:
        return None
    here = kind.machine()
    for entry in spec.locked:
        if entry.machine == here:
            return entry
    raise kind.unknown(spec.locked[0].lock, here)


def _digests(spec: ContainerSpec, lock: LockedImage) -> list[str]:
    """Return the names of an image by its digests: NAME@sha256:…"""
    above, slash, name = spec.image.partition("@")[0].rpartition("/")
    return [f"{above}{slash}{name.partition(':')[0]}@{digest}" for digest in lock.digests]


def taken(machine: Machine, spec: ContainerSpec, found: engines.Inspected) -> LockedImage:
    """Return the image that a container was made from."""
    image = used(machine, spec, found) or {}
    digests = {name.partition("@")[2] for name in image.get("RepoDigests") or ()}
    return LockedImage(machine=kind.machine(), id=f"sha256:{_id(found['Image'])}", digests=sorted(digests))


def used(machine: Machine, spec: ContainerSpec, found: engines.Inspected) -> engines.Inspected | None:
    """Return the image that a container was made from, even when its name means another one by now."""
    declared = local(machine, spec)
    same = declared is not None and _id(declared["Id"]) == _id(found["Image"])
    return declared if same else local(machine, spec, found["Image"])


def title(machine: Machine, spec: ContainerSpec) -> str:
    """Return the declared image as a state: its name, and its id once it is here."""
    declared, lock = local(machine, spec), locked(spec)
    if declared is None and lock is not None:
        return _titled(spec.image, lock.id)
    return _titled(spec.image, declared["Id"]) if declared else spec.image


def title_used(machine: Machine, spec: ContainerSpec, found: engines.Inspected) -> str:
    """Return the image that a container was made from as a state."""
    name = str(found.get("ImageName") or found["Config"].get("Image") or "")
    same = name.rpartition("/")[2] == spec.image.rpartition("/")[2]
    if same and not spec.locked and local(machine, spec) is None:
        # Its name was taken from the image; the container still runs with what was declared.
        return spec.image
    return _titled(spec.image if same else name, found["Image"])


def provide(machine: Machine, id: str, spec: ContainerSpec, engine: str) -> None:
    """Pull the declared image, or load it from its archive, unless it is here.

    Raises:
        Failure: the registry does not give it, or the archive does not hold it.
    """
    lock = locked(spec)
    names = _digests(spec, lock) if lock else [spec.image]
    try:
        if local(machine, spec) is None and spec.archive is not None:
            _load(machine, engine, spec.image, spec.archive)
        elif local(machine, spec) is None:
            _pull(machine, id, engine, names)
    finally:
        for name in [spec.image, *names, *([lock.id] if lock else [])]:
            machine.forget(("image", engine, name))
    if lock is not None:
        _name(machine, engine, spec, lock)


def _pull(machine: Machine, id: str, engine: str, names: Sequence[str]) -> None:
    """Pull an image by the first of its names that its registry has."""
    for name in names:
        try:
            engines.call(machine, engine, ["pull", name], None, lambda line: machine.output(id, line))
            return
        except Failure:
            if name == names[-1]:
                raise


def gone(machine: Machine, spec: ContainerSpec) -> bool:
    """Whether a locked image cannot be pulled: its registry says so, or it came from a file."""
    engine, lock = engines.find(spec.engine), locked(spec)
    if engine is None or lock is None or spec.archive or local(machine, spec) is not None:
        return False
    answers = [
        machine.run([engine, "manifest", "inspect", name], timeout=engines.LOOK, check=False)
        for name in _digests(spec, lock)
    ]
    return all(done.code != 0 and _NO_MANIFEST.search(done.err) for done in answers)


def _name(machine: Machine, engine: str, spec: ContainerSpec, lock: LockedImage) -> None:
    """Let the declared name mean the locked image."""
    found = local(machine, spec)
    if found is None:
        raise Failure(
            "lock-mismatch",
            f"{spec.archive or spec.image} is not the image that {lock.lock} has ({_id(lock.id)[:12]})",
            hint=kind.RESTORE,
        )
    named = engines.image(machine, engine, spec.image)
    if "@" not in spec.image and (named is None or _id(named["Id"]) != _id(found["Id"])):
        engines.call(machine, engine, ["tag", _id(found["Id"]), spec.image])
        machine.forget(("image", engine, spec.image))


def of_that_time(machine: Machine, spec: ContainerSpec) -> ContainerSpec:
    """Return a container with the image that its service once answered with, if the engine still has it.

    The name of that image may mean another one by now.
    """
    kept = spec.image_id
    if kept is None:
        return spec
    declared = local(machine, spec)
    if (declared is not None and _id(declared["Id"]) == _id(kept)) or local(machine, spec, kept) is None:
        return spec
    return spec.replace(image=kept, locked=[])


def _load(machine: Machine, engine: str, reference: str, archive: str) -> None:
    if not os.path.exists(archive):
        raise Failure(
            "image-missing",
            f"{archive} is not there, and the image {reference} has to be loaded from it",
            hint="put it there, or leave `archive` out to pull the image",
        )
    said = engines.call(machine, engine, ["load", "--input", archive], None).out
    if engines.image(machine, engine, reference) is not None:
        return
    loaded = re.findall(r"^Loaded image(?: ID|\(s\))?: *(\S+)", said, re.MULTILINE)
    unnamed = [each for each in loaded if re.fullmatch(r"(?:sha256:)?[0-9a-f]{64}", each)]
    if len(unnamed) != 1:
        raise Failure(
            "image-missing",
            f"{archive} holds {', '.join(loaded) or 'no image'}, not {reference}",
            hint="set `image:` to the name that the archive holds",
        )
    engines.call(machine, engine, ["tag", unnamed[0], reference])


def _id(image: str) -> str:
    return image.rpartition(":")[2]


def _titled(reference: str, image: str) -> str:
    return f"{reference} ({_id(image)[:12]})"
