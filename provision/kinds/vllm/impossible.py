"""What is impossible for a vLLM service of any release: values, and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from provision.catalog import text
from provision.config.references import each_key
from provision.kinds.common.context import ServiceContext
from provision.kinds.vllm.arguments import FIELDS
from provision.kinds.vllm.given import Given
from provision.kinds.vllm.keys import KEY

if TYPE_CHECKING:
    from provision.kinds.vllm.fields import VllmService


def values(context: ServiceContext[VllmService]) -> bool:
    """Note each value that cannot stand in a start script or an env file, and what is said twice; return
    whether there was any.
    """
    service, before = context.service, len(context.builder.problems)
    for field in (*FIELDS, "env", "extra_args"):
        for where, value in _strings((field,), getattr(service, field)):
            with context.blame(*where):
                text.check(value)
    for variable in service.env:
        with context.blame("env", variable):
            text.env_line(variable, "")
    for variable, field, used in (
        (KEY, "api_key", service.api_key is not None),
        ("PYTHONPATH", "api_key with several keys", len(each_key(service.api_key)) > 1),
        ("CUDA_VISIBLE_DEVICES", "gpus", service.gpus is not None),
    ):
        if used and variable in service.env:
            message = f"{variable} is what the field {field} sets"
            context.problem("conflicting-keys", ("env", variable), message, "leave out one of the two")
    for index, served in enumerate(service.served_model_name or []):
        if served.startswith("-"):
            message = f"vLLM would take the name {served!r} for a flag"
            context.problem("wrong-form", ("served_model_name", index), message)
    return len(context.builder.problems) > before


def _strings(where: tuple[str | int, ...], value: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, (Mapping, list, tuple)):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            yield from _strings((*where, key), item)


def checks(context: ServiceContext[VllmService], told: Given) -> bool:
    """Note why checks cannot connect to the server, or ask for something that its model cannot do, as far as
    flags say it; return whether there was a reason.
    """
    problems: list[tuple[tuple[str | int, ...], str, str]] = []
    if told.client_certificates:
        message = "--ssl-cert-reqs 2 refuses clients without a certificate, and checks have none"
        problems.append((("extra_args",), message, "write 1, or let a proxy in front demand certificates"))
    elif told.socket and told.certificate:
        message = "checks speak no TLS on a unix socket"
        problems.append((("extra_args",), message, "leave out --uds, or the certificate"))
    elif told.pools:
        hint = "use `embed`, `rerank`, `score` or `classify`, or leave `checks` out"
        for index, check in enumerate(context.service.checks):
            if check.type in ("chat", "completion", "transcribe"):
                message = f"by its flags the model generates no text and cannot answer `{check.type}`"
                problems.append((("checks", index), message, hint))
    for where, message, hint in problems:
        context.problem("impossible-check", where, message, hint)
    return bool(problems)
