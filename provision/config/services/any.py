"""The kinds of service. A new kind is one file here, named in `AnyService`."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from provision.config.services.base import Listener, Service
from provision.config.services.checks import Check
from provision.kinds.asr.fields import AsrService
from provision.kinds.container.fields import ContainerService
from provision.kinds.program.fields import ProgramService
from provision.kinds.vllm.fields import VllmService

AnyService = Annotated[
    VllmService | AsrService | ContainerService | ProgramService, Field(discriminator="kind")
]
"""A service of any kind, told apart by its key `kind`."""

KINDS: dict[str, type[Service]] = {
    get_args(service.model_fields["kind"].annotation)[0]: service
    for service in get_args(get_args(AnyService)[0])
}
"""Each kind's name and model."""

__all__ = [
    "KINDS",
    "AnyService",
    "AsrService",
    "Check",
    "ContainerService",
    "Listener",
    "ProgramService",
    "Service",
    "VllmService",
]
