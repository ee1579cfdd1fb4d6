"""What checks have to know from `extra_args`: how to connect to the server, and what its model does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from provision.kinds.vllm.uses import read

_BY_CONVERT = {"embed": "embed", "classify": "classify", "reward": "pooling"}
_BY_TASK = {
    "generate": "completion",
    "embed": "embed",
    "embedding": "embed",
    "score": "score",
    "classify": "classify",
    "reward": "pooling",
    "transcription": "transcribe",
}
# What the first check without a declaration asks for, by the values of --convert and --task.


class Given(NamedTuple):
    """The flags of an argument vector with their values, under vLLM's long names."""

    flags: dict[str, list[str]]

    def last(self, flag: str) -> str | None:
        """Return the value of a flag; None when it is not given."""
        values = self.flags.get(flag)
        return values[-1] if values else None

    @property
    def certificate(self) -> list[str]:
        """The files by which the server speaks TLS: its certificate and key."""
        return [path for flag in ("--ssl-certfile", "--ssl-keyfile") if (path := self.last(flag))]

    @property
    def client_certificates(self) -> bool:
        """Whether clients must show a certificate (`ssl.CERT_REQUIRED`)."""
        return self.last("--ssl-cert-reqs") == "2"

    @property
    def socket(self) -> str | None:
        """The unix socket that it listens on instead of a port."""
        return self.last("--uds")

    @property
    def adapters(self) -> list[str]:
        """The names of LoRA adapters: of `name=path`, or in JSON."""
        return [name for value in self.flags.get("--lora-modules", []) if (name := _adapter(value))]

    @property
    def pools(self) -> bool:
        """Whether flags say that the model gives vectors or classes, and does not generate text."""
        return self.does not in (None, "completion", "transcribe")

    @property
    def does(self) -> str | None:
        """What the first check asks for, as far as the flags say it; None when only the server knows."""
        task = self.last("--task")
        if task is not None:
            return _BY_TASK.get(task)
        convert = self.last("--convert")
        if convert is not None:
            return _BY_CONVERT.get(convert)
        return "embed" if self.last("--runner") == "pooling" else None


def given(arguments: Sequence[str]) -> Given:
    """Return what arguments say."""
    flags: dict[str, list[str]] = {}
    for use in read(arguments)[1]:
        flags.setdefault(use.flag, []).extend(value for _, value in use.values)
    return Given(flags)


def _adapter(value: str) -> str | None:
    if not value.startswith("{"):
        name, equals, _ = value.partition("=")
        return name if equals else None
    try:
        return str(json.loads(value)["name"])
    except (ValueError, TypeError, LookupError):
        return None
