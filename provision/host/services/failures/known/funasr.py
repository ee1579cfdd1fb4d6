"""Known failures of FunASR."""

from __future__ import annotations

from typing import Sequence

from provision.host.services.failures.known.known import Known

KNOWN: Sequence[Known] = (
    Known(
        "model-incomplete",
        r"(?:(?:No such file or directory|missing|not found|does not exist|lacks)[^\n]*?(\S*model\.pt)"
        r"|(\S*model\.pt)'?[^\n]*(?:No such file|missing|not found|does not exist))",
        "model.pt is not in the model's directory: `provision apply --deep` fetches what is missing",
    ),
    Known(
        "missing-program",
        r"FileNotFoundError: .*'ffmpeg'",
        "the audio could not be decoded and ffmpeg is not installed: add ffmpeg to packages, or send wav, "
        "flac, mp3 or ogg",
    ),
    Known(
        "unknown-architecture",
        r"(?:is not registered|unknown model type|(\w+) is not registered in model_classes)",
        "funasr does not know this model: pin a newer funasr in the environment",
    ),
)
