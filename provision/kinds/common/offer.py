"""What a service offers to a gateway in front of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.config.secrets import Secret
from provision.kinds.common import spoken

if TYPE_CHECKING:
    from provision.config.hosts import Host
    from provision.config.services.base import Spoken

MODELS = "/v1/models"
"""The path that lists what a server serves."""

OPENAI = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/rerank",
    "/v2/rerank",
    "/rerank",
    "/v1/score",
    "/score",
    "/pooling",
    "/classify",
    "/v2/embed",
)
"""The paths by which OpenAI-compatible servers answer requests to a model. None of them changes, reveals or
stops a server; vLLM's others are in docs/vllm-open-paths.json."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a service offers to a gateway in front of it.

    Args:
        port: where it listens; None when it does so on no port, or no port is known.
        bind: the address it listens on; None for all.
        tls: whether it speaks TLS.
        key: what its clients send as a bearer token; None when it asks for none.
        models: the names that requests may ask for; none when only the server knows them.
        posts: the paths that a gateway may open for POST.
        gets: the paths that a gateway may open for GET.
        silent: those of `posts` whose requests are for this service even when they name no model.
        health: whether `/health` answers 200 exactly while it serves; else any answer but 5xx will do.
    """

    port: int | None
    bind: str | None
    tls: bool = False
    key: Secret | str | None = None
    models: Sequence[str] = ()
    posts: Sequence[str] = OPENAI
    gets: Sequence[str] = (MODELS,)
    silent: Sequence[str] = ()
    health: bool = False


@dataclass(frozen=True)
class Replica:
    """A service as one host has it; those of one name on several hosts are replicas of each other.

    Args:
        host: where it is.
        kind: what runs.
        offer: what it offers to a gateway; None when there can be none in front of it.
    """

    host: Host
    kind: str
    offer: Offer | None


Replicas = Mapping[str, Sequence[Replica]]
"""By the name of the service, in the order of the playbooks."""


def of_spoken(service: Spoken, command: Iterable[Any], port: int | None, bind: str | None) -> Offer:
    """Return what a server offers that is started by its own command line."""
    words = [word for word in command if isinstance(word, str)]
    name, named = spoken.key(service), spoken.model(service, words)
    return Offer(
        port=port,
        bind=bind,
        tls=spoken.tls(service, words),
        key=service.env.get(name) if name is not None else None,
        models=[named] if named is not None else [],
    )
