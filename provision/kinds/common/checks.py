"""Declared checks as the probe resource has them."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from provision.catalog.catalog import RUNS
from provision.catalog.sources import MAX_BYTES, read_bytes
from provision.config.problems import did_you_mean

if TYPE_CHECKING:
    from provision.config.services.checks import Check
    from provision.kinds.common.context import ServiceContext


def specs(context: ServiceContext[Any], names: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return a service's checks as plain data: `type`, what to send, and what to expect.

    The sound file of a `transcribe` check travels along, in base64.

    Args:
        context: the service.
        names: the models that it serves; None when only the server knows.

    Raises:
        ConfigError: a sound file cannot be read.
    """
    return [
        _one(context, ("checks", index), check, names) for index, check in enumerate(context.service.checks)
    ]


def undeclared(port: bool) -> dict[str, Any]:
    """Return the proof of a service that declares no checks and may speak anything: its port has to answer;
    without a port, it has to stay up.
    """
    return {"type": "port"} if port else dict(RUNS)


def _one(
    context: ServiceContext[Any], where: tuple[str | int, ...], check: Check, names: Collection[str] | None
) -> dict[str, Any]:
    common: dict[str, Any] = {"type": check.type, "timeout": check.timeout}
    if check.model is not None:
        common["model"] = check.model
        if names is not None and check.model not in names:
            message = f"the service serves no model `{check.model}`"
            context.problem("impossible-check", (*where, "model"), message, did_you_mean(check.model, names))
    if check.expect is not None:
        common["expect"] = check.expect
    if check.chat is not None:
        return {**common, **check.chat.model_dump(), "max_tokens": check.max_tokens}
    if check.completion is not None:
        return {**common, "prompt": check.completion, "max_tokens": check.max_tokens}
    ranking = check.rerank or check.score
    if ranking is not None:
        return {**common, **ranking.model_dump()}
    text = check.embed if check.embed is not None else check.classify
    if text is not None:
        return {**common, "text": text}
    if check.transcribe is not None:
        sound = check.transcribe
        data, path = read_bytes(
            context.play, (*context.where, *where, "transcribe", "file"), sound.file, MAX_BYTES
        )
        audio = {"audio": base64.b64encode(data).decode("ascii"), "file": path.name}
        return {**common, **audio, "expect": sound.expect, "max_cer": sound.max_cer}
    return {**common, **_request(check)}


def _request(check: Check) -> dict[str, Any]:
    """Return what an `http` check sends and expects; what is not said is left out."""
    request: dict[str, Any] = {"path": check.http, "status": check.status}
    if check.method is not None:
        request["method"] = check.method
    if check.body is not None:
        request["body"] = check.body
    if check.headers:
        request["headers"] = check.headers
    if check.json_:
        request["json"] = check.json_
    return request
