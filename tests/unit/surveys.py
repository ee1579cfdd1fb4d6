"""What a host tells that has nothing that decides, and starts one service."""

from __future__ import annotations

from provision.wire.questions import Surveyed

NOTHING = Surveyed(
    driver=None,
    cuda=None,
    gpus=None,
    holders=[],
    models=[],
    engines=[],
    learned=[],
    serving=[],
    starting=["s"],
)
