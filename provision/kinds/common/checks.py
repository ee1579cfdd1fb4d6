"""Declared checks in the form that the host side gets."""

from __future__ import annotations

import base64
from collections.abc import Collection
from posixpath import basename
from typing import TYPE_CHECKING, Any

from provision.catalog.sources import read_bytes
from provision.config.problems import did_you_mean
from provision.wire import checks as wire

if TYPE_CHECKING:
    from provision.config.services.checks import Check
    from provision.kinds.common.context import ServiceContext


def specs(context: ServiceContext[Any], names: Collection[str] | None = None) -> list[wire.Check]:
    """Return a service's checks.

    The sound file of a `transcribe` check travels along, in base64.

    Args:
        context: the service.
        names: the models that it serves; None when only the server knows them.

    Raises:
        ConfigError: a sound file cannot be read.
    """
    return [
        _one(context, ("checks", index), check, names) for index, check in enumerate(context.service.checks)
    ]


def undeclared(port: bool) -> wire.Check:
    """Return the proof of a service that declares no checks and has an unknown protocol: its port has to
    answer; without a port, it has to stay up.
    """
    return wire.Port() if port else wire.Running()


def _one(
    context: ServiceContext[Any],
    where: tuple[str | int, ...],
    check: Check,
    names: Collection[str] | None,
) -> wire.Check:
    timeout, model, expect = check.timeout, check.model, check.expect
    if model is not None and names is not None and model not in names:
        message = f"the service serves no model `{model}`"
        context.problem("impossible-check", (*where, "model"), message, did_you_mean(model, names))
    asked: dict[str, Any] = {"timeout": timeout, "model": model}
    if check.chat is not None:
        user, system = check.chat.user, check.chat.system
        return wire.Chat(user=user, system=system, max_tokens=check.max_tokens, expect=expect, **asked)
    if check.completion is not None:
        return wire.Completion(prompt=check.completion, max_tokens=check.max_tokens, expect=expect, **asked)
    for ranking, ranked in ((check.rerank, wire.Rerank), (check.score, wire.Score)):
        if ranking is not None:
            return ranked(query=ranking.query, documents=ranking.documents, expect=expect, **asked)
    if check.embed is not None:
        return wire.Embed(text=check.embed, **asked)
    if check.classify is not None:
        return wire.Classify(text=check.classify, expect=expect, **asked)
    if check.transcribe is not None:
        sound = check.transcribe
        data = read_bytes(context.play, (*context.where, *where, "transcribe", "file"), sound.file)
        audio = base64.b64encode(data).decode("ascii")
        return wire.Transcribe(
            audio=audio, file=basename(sound.file), expect=sound.expect, max_cer=sound.max_cer, **asked
        )
    assert check.http is not None
    return wire.Http(
        timeout=timeout,
        path=check.http,
        status=check.status,
        method=check.method,
        headers=check.headers,
        body=check.body,
        json=check.json_,
        expect=expect,
    )
