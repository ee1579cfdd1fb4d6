"""What every check is made with, and what it returns."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from provision.host.services.checks.client import Client, Reply, Unanswered
from provision.host.services.failures import patterns
from provision.wire.specs.probe import ProbeSpec

RETRIED = (408, 425, 429, 500, 502, 503, 504)
"""Status codes of a server that may answer later."""

_OTHER = (
    "declare a check that fits what the model does: `chat`, `completion`, `embed`, `rerank`, `score`, "
    "`classify` or `transcribe`, or `http` with a method and a body"
)


class Verdict(NamedTuple):
    """How a server has answered a check."""

    error: str | None = None
    hint: str | None = None
    final: bool = True
    """False when asking again later may go better."""
    received: str = ""
    fits: bool = True
    """False when the server does not offer what was asked for at all."""
    code: str = "wrong-answer"
    check: str = ""
    """What was checked, how the server was asked, and in how many seconds: known once a check is done."""
    sent: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return self.error is None


class Asking(NamedTuple):
    """One check while it is made."""

    client: Client
    spec: ProbeSpec
    limit: float
    """Seconds for each request."""
    named: str | None = None
    """The model that the check names."""

    def model(self) -> str | None:
        """Return the model to ask for: the one of the check or of the service, or one that the server lists.

        Of these it is the one with the name of the service, or else the first.
        """
        named = self.named or self.spec.model
        if named:
            return named
        served, called = models(self.client), self.spec.service
        return called if called in served else next(iter(served), None)

    def first_known(self, *requests: tuple[str, Any]) -> tuple[str, Reply]:
        """Send requests, each a path and plain data, until the server knows the path and form of one.

        Returns:
            The path and the reply that decides.
        """
        refused: tuple[str, Reply] | None = None
        for path, data in requests:
            reply = self.client.post(path, data, self.limit)
            if reply.status not in (404, 405, 422) or self._knows_no_model(reply):
                return path, reply
            if refused is None or reply.status == 422:  # which knows the path, and says more
                refused = path, reply
        assert refused is not None
        return refused

    def with_model(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request that names the model, when one is known."""
        model = self.model()
        return {"model": model, **data} if model else dict(data)

    def refused(self, path: str, reply: Reply) -> Verdict:
        """Explain a status that is no success."""
        text = message(reply)
        if reply.status in (401, 403):
            error = f"the server refused the key ({reply.status})"
            return Verdict(error, self.unauthorised(reply), True, text)
        if self._knows_no_model(reply):
            served = ", ".join(models(self.client))
            hint = "something else answers on this port, or it runs with an older script"
            if self.named:
                hint = "correct `model` of the check, or let the server load what it names"
            return Verdict(
                f'the server knows no model "{self.model()}"; it serves {served}', hint, True, text
            )
        if reply.status in (404, 405):
            return Verdict(f"the server has no {path} ({reply.status}): {text}", _OTHER, True, text, False)
        error = f"status {reply.status}: {text}"
        if "does not support" in text and reply.status in (400, 500, 501):
            return Verdict(error, _OTHER, True, text, False)
        verdict = Verdict(error, None, reply.status not in RETRIED, text)
        known = patterns.explain([text])
        return verdict._replace(code=known.code, hint=known.hint) if known else verdict

    def unauthorised(self, reply: Reply) -> str | None:
        """Return what to do about a key that the server refuses; None when the reply does not say that."""
        if reply.status not in (401, 403):
            return None
        if self.spec.key_name:
            where = self.spec.key_file or f"the container's {self.spec.key_name}"
            return f"it was started with another key than the one in {where}: restart it"
        return f"its server wants a key, and the service declares none: set `{self.spec.key_field}`"

    def _knows_no_model(self, reply: Reply) -> bool:
        """Say whether a 404 is about the model, not about the path."""
        if reply.status != 404:
            return False
        served = models(self.client)
        return bool(served) and self.model() not in served


def matched(text: str, expect: str | None) -> Verdict:
    """Compare a reply with what a check expects to find in it."""
    if expect and expect not in text:
        return Verdict(f'the reply does not contain "{expect}"', received=text)
    return Verdict(received=text)


def models(client: Client) -> list[str]:
    """Return the names of the models that a server offers; none when it does not say."""
    try:
        answer = client.get("/v1/models", 10).json()
        return [str(each["id"]) for each in answer["data"]]
    except (Unanswered, TypeError, LookupError):
        return []


def message(reply: Reply) -> str:
    """Return what an error reply says: OpenAI's form, FastAPI's, or its plain text."""
    answer = reply.json()
    if isinstance(answer, dict):
        error = answer.get("error", answer.get("detail", answer.get("message")))
        if isinstance(error, dict):
            error = error.get("message", error)
        if error:
            return str(error)
    return " ".join(reply.text().split())[:300]
