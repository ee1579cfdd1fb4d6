"""What a speech service takes of a GPU."""

from __future__ import annotations

from provision.config.services.gpus import is_uuid
from provision.kinds.asr.fields import AsrService
from provision.kinds.common.cards import GIB, gib
from provision.kinds.common.demand import About, Asked, Demand, Range, Verdict
from provision.wire.finding import ERROR, fault, warning

DECIDES = ("environment", "model", "vad_model", "device", "workers")
"""The fields that decide what it takes."""

WORKER = Range(GIB, round(1.7 * GIB), 4 * GIB)
"""What one worker takes: 1.7 GiB was measured with SenseVoiceSmall (234 M parameters) on an H100, with FunASR
1.4.16 and short recordings, at 1 to 64 requests at once. Other models and longer recordings take more.
"""


def cards(service: AsrService) -> int:
    """Return how many of the GPUs that it sees it uses."""
    return int(service.device.startswith("cuda") or is_uuid(service.device))


def demand(asked: Asked[AsrService]) -> Demand:
    """Foresee one service."""
    workers = asked.service.workers
    holds = Range(WORKER.least * workers, WORKER.usual * workers, WORKER.most * workers)
    most = asked.card.total - asked.taken.bytes.least
    least = asked.card.total - asked.taken.bytes.most
    need = f"{workers} {'worker takes' if workers == 1 else 'workers take'}"
    hint = "lower `workers`, or use another GPU"
    by = f": {asked.taken.by}" if asked.taken.by else ""
    found = []
    if holds.least > most:
        message = f"{need} at least {gib(holds.least)}, and {gib(max(most, 0))} are free{by}"
        found = [fault("gpu-taken", message, hint)]
    elif holds.usual > least:
        left = f"{gib(max(least, 0))} to {gib(max(most, 0))} may be free"
        message = f"{need} about {gib(holds.usual)}, and {left}{by}"
        found = [warning("gpu-taken", message, hint)]
    impossible = any(each.severity == ERROR for each in found)
    verdict: Verdict = "does_not_fit" if impossible else "uncertain" if found else "fits"
    return Demand(verdict, holds, findings=[About(each, ("workers", "device")) for each in found])
