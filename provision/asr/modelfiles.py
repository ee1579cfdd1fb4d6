"""Checks that the directory of each model holds a model that can be served as what it is given for."""

from __future__ import annotations

from pathlib import Path

from .classes import CLASSES, COMMON, class_of, fitting, misfit, named, weights_of
from .declared import Settings
from .settings import SettingsError


def check_models(settings: Settings) -> None:
    """Refuse directories that FunASR would load without complaint and then answer gibberish from.

    FunASR takes missing weights for random ones, a missing ``am.mvn`` for no normalization, a missing
    directory for the name of a model to download, and any class for any purpose. Raises SettingsError.
    """
    for option, directory in named(settings).items():
        _check(settings, option, directory)


def _check(settings: Settings, option: str, directory: Path) -> None:
    here = f"--{option.replace('_', '-')} {directory}"
    if not directory.is_dir():
        raise SettingsError(f"{here} is not a directory; download the model there first")
    _require(here, directory, COMMON)
    found = class_of(directory)
    if found not in fitting(option, settings):
        raise SettingsError(f"{here} {misfit(option, found, settings)}")
    _require(here, directory, (weights_of(directory), *CLASSES[found].files))


def _require(here: str, directory: Path, names: tuple[str, ...]) -> None:
    bad = [name for name in names if not _is_filled(directory / name)]
    if bad:
        raise SettingsError(f"{here} lacks {', '.join(bad)} (missing or empty); download the model again")


def _is_filled(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False
