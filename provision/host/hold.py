"""Holding a server of a gateway out of rotation, for as long as the controller wants it."""

from __future__ import annotations

import os

from provision.host.machine import Machine
from provision.host.services.gateways import held
from provision.wire import events, questions
from provision.wire.requests import Hold

SILENCE = 60.0
"""Seconds without a sign of life of the controller after which nobody needs the server to be out."""


def hold(machine: Machine, asked: Hold, who: str) -> events.Done:
    """Carry out the verb `hold` on the host of a gateway, for `who`.

    What another has taken out by hand stays out, and its running requests are waited for all the same.

    Raises:
        Failure: the server cannot be taken out, or HAProxy does not say that it is up again.
    """
    server = held.Held(machine, asked, who)
    seen = server.look()
    answer = machine.ask(seen, endless=True, silence=SILENCE)
    if not (answer.go and seen.known):
        return events.Done(ok=True)
    lease = server.keeper.take()
    try:
        standing = server.standing()
        by_hand = standing is not None and standing.out and not server.keeper.runs()
        if not by_hand:
            server.take_out()
        left, seconds = server.drained()
        out = questions.Out(left=left, seconds=seconds, by_hand=by_hand)
        answer = machine.ask(out, endless=True, silence=SILENCE)
        if answer.go and not by_hand:
            server.put_back()
    finally:
        os.close(lease)
    return events.Done(ok=True)
