"""Asking a service what its clients will ask, and judging the reply."""

from __future__ import annotations

import time

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.services.checks import bare
from provision.host.services.checks.asking import Asking, Verdict
from provision.host.services.checks.client import Client, Reply, Unanswered
from provision.host.services.checks.fitting import fitting
from provision.host.services.checks.keys import hidden, key
from provision.host.services.checks.kinds import ask
from provision.wire.checks import Check, Fitting, Running, Together
from provision.wire.specs.probe import ProbeSpec

__all__ = ["Client", "Reply", "Unanswered", "Verdict", "hidden", "key", "perform"]

SHOWN = 2000
"""Characters of a reply that are shown."""


def perform(machine: Machine, spec: ProbeSpec, check: Check, timeout: float | None = None) -> Verdict:
    """Make one check once, within its own timeout and `timeout` seconds.

    The key is removed from what is returned, in case the server has repeated it.
    """
    began = time.monotonic()
    limit = check.timeout if timeout is None else min(check.timeout, timeout)
    client: Client | None = None
    try:
        client = Client(machine, spec)
        if isinstance(check, Running):
            bare.stays(machine, spec, check.seconds)
            verdict = Verdict()
        elif isinstance(check, Together):
            verdict = bare.together(machine, spec, check)
        elif isinstance(check, Fitting):
            check, verdict = fitting(Asking(client, spec, limit, check.model), check)
        else:
            verdict = ask(Asking(client, spec, limit, getattr(check, "model", None)), check)
    except Unanswered as unanswered:
        verdict = Verdict(f"{spec.url}: {unanswered}", None, False)
    except Failure as failure:
        if machine.cancelled.is_set():
            raise
        verdict = Verdict(failure.message, failure.hint, code=failure.code)
    key = client.key if client else None
    manner = client.manner if client else None
    return verdict._replace(
        check=f"{check.title()} {manner}" if manner else check.title(),
        sent=check.sent(),
        received=hidden(verdict.received, key)[:SHOWN],
        seconds=round(time.monotonic() - began, 3),
        error=hidden(verdict.error, key) if verdict.error else None,
    )
