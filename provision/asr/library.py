"""Imports FunASR without the hundreds of models that it would load along."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

# What registers the parts of SenseVoiceSmall and fsmn-vad.
_NEEDED = (
    "frontends.wav_frontend",
    "models.fsmn_vad_streaming.model",
    "models.fsmn_vad_streaming.encoder",
    "models.sense_voice.model",
    "models.specaug.specaug",
    "tokenizer.sentencepiece_tokenizer",
)


def load_model(**options: Any) -> Any:
    """An AutoModel of these options. Raises what FunASR raises, and ImportError when it is not installed.

    ``import funasr`` imports every module below it, among them what needs transformers and scikit-learn:
    some six seconds in each process. Only what the usual models need is imported here at first, and all the
    rest when the model needs another part.
    """
    with _without_submodules():
        import funasr  # type: ignore[import-not-found,unused-ignore]
    try:
        for name in _NEEDED:
            importlib.import_module(f"funasr.{name}")
        return funasr.AutoModel(**options)
    except (ImportError, TypeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "not registered" not in str(error):
            raise
        funasr.import_submodules("funasr")  # a class that was not there is None, or is said to be missing
        return funasr.AutoModel(**options)


@contextlib.contextmanager
def _without_submodules() -> Iterator[None]:
    """Hide FunASR's submodules from the walk that it takes when it is imported."""
    walk = pkgutil.walk_packages

    def walk_others(path: Any = None, prefix: str = "", onerror: Any = None) -> Iterator[Any]:
        return iter(()) if prefix == "funasr." else walk(path, prefix, onerror)

    pkgutil.walk_packages = walk_others
    try:
        yield
    finally:
        pkgutil.walk_packages = walk
