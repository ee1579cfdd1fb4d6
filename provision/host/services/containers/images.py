"""The image of a container: which one is on this host, and how it gets there."""

from __future__ import annotations

import os
import re

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.containers import engines
from provision.wire.specs.container import ContainerSpec


def local(machine: Machine, spec: ContainerSpec, reference: str | None = None) -> engines.Inspected | None:
    """Return an image, the declared one if no other is named, as it is on this host; None if it is not."""
    engine, image = engines.find(spec.engine), reference or spec.image
    if engine is None:
        return None
    return machine.once(("image", engine, image), lambda: engines.image(machine, engine, image))


def used(machine: Machine, spec: ContainerSpec, found: engines.Inspected) -> engines.Inspected | None:
    """Return the image that a container was made from, even when its name means another one by now."""
    declared = local(machine, spec)
    same = declared is not None and _id(declared["Id"]) == _id(found["Image"])
    return declared if same else local(machine, spec, found["Image"])


def title(machine: Machine, spec: ContainerSpec) -> str:
    """Return the declared image as a state: its name, and its id once it is here."""
    declared = local(machine, spec)
    return _titled(spec.image, declared["Id"]) if declared else spec.image


def title_used(machine: Machine, spec: ContainerSpec, found: engines.Inspected) -> str:
    """Return the image that a container was made from as a state."""
    name = str(found.get("ImageName") or found["Config"].get("Image") or "")
    same = name.rpartition("/")[2] == spec.image.rpartition("/")[2]
    if same and local(machine, spec) is None:
        # Its name was taken from the image; the container still runs with what was declared.
        return spec.image
    return _titled(spec.image if same else name, found["Image"])


def provide(machine: Machine, id: str, spec: ContainerSpec, engine: str) -> None:
    """Pull the declared image, or load it from its archive, unless it is here.

    Raises:
        Failure: the registry does not give it, or the archive does not hold it.
    """
    if local(machine, spec) is not None:
        return
    try:
        if spec.archive is None:
            pull = ["pull", spec.image]
            engines.call(machine, engine, pull, None, lambda line: machine.output(id, line))
        else:
            _load(machine, engine, spec.image, spec.archive)
    finally:
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
    return spec.replace(image=kept)


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
