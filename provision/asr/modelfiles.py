"""The files that a FunASR model directory must hold before it may be served."""

from __future__ import annotations

from pathlib import Path

from .settings import SettingsError

COMMON_FILES = ("configuration.json", "config.yaml", "model.pt", "am.mvn")
TOKENIZER_FILE = "chn_jpn_yue_eng_ko_spectok.bpe.model"


def check_model_directories(model: Path, vad_model: Path) -> None:
    """Refuse directories that FunASR would load without complaint and then answer gibberish from.

    FunASR takes a missing ``model.pt`` for random weights, a missing ``am.mvn`` for no normalization, and a
    missing directory for the name of a model to download.
    Raises SettingsError that names every missing file.
    """
    _check(model, "--model", (*COMMON_FILES, TOKENIZER_FILE))
    _check(vad_model, "--vad-model", COMMON_FILES)


def _check(directory: Path, flag: str, names: tuple[str, ...]) -> None:
    if not directory.is_dir():
        raise SettingsError(f"{flag} {directory} is not a directory; download the model there first")
    bad = [name for name in names if not _is_filled(directory / name)]
    if bad:
        raise SettingsError(
            f"{flag} {directory} lacks {', '.join(bad)} (missing or empty); download the model again"
        )


def _is_filled(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False
