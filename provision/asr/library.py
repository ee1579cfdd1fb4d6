"""Imports FunASR without the hundreds of models that it would import as well."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .classes import weights_of
from .errors import Unusable

# What registers the parts of SenseVoiceSmall and fsmn-vad.
SENSEVOICE = (
    "frontends.wav_frontend",
    "models.fsmn_vad_streaming.model",
    "models.fsmn_vad_streaming.encoder",
    "models.sense_voice.model",
    "models.specaug.specaug",
    "tokenizer.sentencepiece_tokenizer",
)

# What the pipeline may need as well: Paraformers, ct-punc and CAM++.
PIPELINE = (
    *SENSEVOICE,
    "models.bicif_paraformer.cif_predictor",
    "models.bicif_paraformer.model",
    "models.campplus.model",
    "models.contextual_paraformer.decoder",
    "models.contextual_paraformer.model",
    "models.ct_transformer.model",
    "models.paraformer.cif_predictor",
    "models.paraformer.decoder",
    "models.paraformer.model",
    "models.sanm.encoder",
    "models.seaco_paraformer.model",
    "tokenizer.char_tokenizer",
)


def load_model(options: Mapping[str, Any], parts: Sequence[str] = SENSEVOICE, **models: Any) -> Any:
    """An AutoModel. Raises what FunASR raises, and ImportError when it is not installed.

    ``options``: the settings of the same names. ``parts``: FunASR's modules that are enough for it, as far as
    that is known. ``models``: what AutoModel is told of its models.

    ``import funasr`` imports every module below it, among them what needs transformers and scikit-learn:
    some six seconds in each process. Only what the usual models need is imported here at first, and all the
    rest when the model needs another part.
    """
    models.update(
        device=options["device"],
        ncpu=options["threads"],
        disable_update=True,  # or it asks the package index for newer versions
        disable_pbar=True,
        trust_remote_code=False,
        log_level="ERROR",
    )
    with _without_submodules():
        import funasr  # type: ignore[import-not-found,unused-ignore]
    try:
        for name in parts:
            importlib.import_module(f"funasr.{name}")
        return funasr.AutoModel(**models)
    except (ImportError, TypeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "not registered" not in str(error):
            raise
        funasr.import_submodules("funasr")  # a class that was not there is None, or is said to be missing
        return funasr.AutoModel(**models)


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


def check_loaded(options: Mapping[str, Any], loaded: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuse models that FunASR has silently loaded in another way than it was told. Raises Unusable.

    ``loaded``: each model and FunASR's settings of it, by its option.
    """
    for name, (module, _) in loaded.items():
        directory = Path(options[name])
        _check_weights(module, directory / weights_of(directory))
    for module, settings in loaded.values():
        _check_device(options["device"], str(settings["device"]), next(module.parameters()).device)


def _check_device(asked: str, said: str, real: Any) -> None:
    """Compare devices: asked for, named by FunASR, and really used; it falls back to the CPU."""
    kind, _, index = asked.partition(":")
    other_card = bool(index) and real.index is not None and real.index != int(index)
    if said.split(":")[0] != kind or real.type != kind or other_card:
        raise Unusable(
            f"device {asked} was asked for but {said} would be used: it is not available to this torch; "
            f"install a torch built for it, or start with --device {said}"
        )


def _check_weights(module: Any, path: Path) -> None:
    """Look for all of the model's weights in a file; FunASR leaves missing ones random."""
    import torch  # type: ignore[import-not-found,unused-ignore]

    try:
        saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception:  # a format that cannot be looked into cheaply; FunASR has loaded it just now
        return
    for wrapper in ("state_dict", "model_state_dict", "model"):
        saved = saved.get(wrapper, saved)
    shapes = {name[7:] if name.startswith("module.") else name: value.shape for name, value in saved.items()}
    missing = [name for name, value in module.named_parameters() if shapes.get(name) != value.shape]
    if missing:
        raise Unusable(
            f"{path} lacks {len(missing)} of the model's weights ({missing[0]}, ...): it "
            "belongs to another model or is damaged; download the model again"
        )
