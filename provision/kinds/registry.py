"""Lowers the services of a play, each kind by a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from provision.kinds.asr import lower as asr
from provision.kinds.container import lower as container
from provision.kinds.program import lower as program
from provision.kinds.vllm import lower as vllm

if TYPE_CHECKING:
    from provision.kinds.common.context import Context
    from provision.kinds.common.place import Place


class Kind(NamedTuple):
    """How a kind of service is compiled.

    Args:
        compile: adds a service's resources, or notes what is wrong with it.
        required: returns, for each model that a service uses, the files that it cannot do without.
        expects: returns, for each model that a service (with its name) uses, what it must be by its own
            configuration.
    """

    compile: Callable[[Context, Place], None]
    required: Callable[[Any], dict[str, list[str]]]
    expects: Callable[[Any, str], dict[str, list[dict[str, Any]]]] = lambda service, name: {}


KINDS: dict[str, Kind] = {
    "vllm": Kind(vllm.compile, vllm.required),
    "asr": Kind(asr.compile, asr.required, asr.expects),
    "container": Kind(container.compile, container.required),
    "program": Kind(program.compile, program.required),
}
"""By the `kind` of the service."""
