"""The kinds of service. A new kind is one file here, named in `AnyService`."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from provision.config.services.asr import AsrService
from provision.config.services.base import Listener, Service
from provision.config.services.checks import Check
from provision.config.services.container import ContainerService
from provision.config.services.program import ProgramService
from provision.config.services.vllm import VllmService

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
