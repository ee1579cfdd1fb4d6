"""Declared checks as the probe resource has them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from provision.compile.catalog import RUNS
from provision.compile.sources import MAX_BYTES, read_bytes

if TYPE_CHECKING:
    from provision.config.playbook import Play
    from provision.config.services.base import Check


def lower(play: Play, service: str) -> list[dict[str, Any]]:
    """Return a service's checks as plain data: `type`, what to send, and what to expect.

    The sound file of a `transcribe` check travels along, in base64.

    Raises:
        ConfigError: a sound file cannot be read.
    """
    checks = play.services[service].checks
    return [_one(play, ("services", service, "checks", index), check) for index, check in enumerate(checks)]


def undeclared(port: bool) -> dict[str, Any]:
    """Return the proof of a service that declares no checks and may speak anything: its port has to answer;
    without a port, it has to stay up.
    """
    return {"type": "port"} if port else dict(RUNS)


def _one(play: Play, where: tuple[str | int, ...], check: Check) -> dict[str, Any]:
    common = {"type": check.type, "timeout": check.timeout}
    if check.chat is not None:
        chat = {"system": check.chat.system, "user": check.chat.user}
        return {**common, **chat, "expect": check.expect, "max_tokens": check.max_tokens}
    if check.completion is not None:
        said = {"prompt": check.completion, "expect": check.expect}
        return {**common, **said, "max_tokens": check.max_tokens}
    if check.transcribe is not None:
        sound = check.transcribe
        data, path = read_bytes(play, (*where, "transcribe", "file"), sound.file, MAX_BYTES)
        audio = {"audio": base64.b64encode(data).decode("ascii"), "file": path.name}
        return {**common, **audio, "expect": sound.expect, "max_cer": sound.max_cer}
    return {**common, "path": check.http, "status": check.status, "expect": check.expect}
