"""FunASR's model classes that can be served, what each does, and the files that it needs.

A model's own ``config.yaml`` names its class. FunASR loads any class for any purpose, and then answers each
request with an error or with gibberish.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

ROLES = {
    "model": "recognizes speech",
    "vad_model": "finds speech in a recording",
    "punc_model": "sets punctuation",
    "spk_model": "tells speakers apart",
}
"""What the model that an option names is for."""

COMMON = ("configuration.json", "config.yaml")
"""Files of every model."""

WEIGHTS = "model.pt"
"""The weights, unless ``configuration.json`` names another file."""


@dataclasses.dataclass(frozen=True)
class ModelClass:
    """A class of models.

    Args:
        role: one of ROLES.
        files: what it needs, besides the files of every model and its weights.
        punctuates: it writes punctuation itself.
        hotwords: it can be told words to expect.
        timed: it tells when each character was said.
    """

    role: str
    files: tuple[str, ...] = ()
    punctuates: bool = False
    hotwords: bool = False
    timed: bool = False


_PARAFORMER_FILES = ("am.mvn", "tokens.json")

CLASSES: dict[str, ModelClass] = {
    "SenseVoiceSmall": ModelClass(
        "model", ("am.mvn", "chn_jpn_yue_eng_ko_spectok.bpe.model"), punctuates=True
    ),
    "Paraformer": ModelClass("model", _PARAFORMER_FILES),
    "BiCifParaformer": ModelClass("model", _PARAFORMER_FILES, timed=True),
    "ContextualParaformer": ModelClass("model", _PARAFORMER_FILES, hotwords=True),
    "SeacoParaformer": ModelClass("model", _PARAFORMER_FILES, hotwords=True, timed=True),
    "FsmnVADStreaming": ModelClass("vad_model", ("am.mvn",)),
    "CTTransformer": ModelClass("punc_model", ("tokens.json",)),
    "CAMPPlus": ModelClass("spk_model"),
}
"""By the name in ``config.yaml``."""


class Asked(Protocol):
    """What is asked of the models together: the settings of a run, or a service of a playbook."""

    @property
    def punc_model(self) -> object:
        """The model that sets punctuation; None without one."""

    @property
    def hotwords(self) -> Sequence[str]:
        """Words to expect."""


def named(asked: Asked) -> dict[str, Any]:
    """The models that are used, by the option that names each."""
    models = {option: getattr(asked, option) for option in ROLES}
    return {option: model for option, model in models.items() if model is not None}


def fitting(option: str, asked: Asked) -> list[str]:
    """The classes that an option, one of ROLES, takes."""
    return [
        name
        for name, known in CLASSES.items()
        if known.role == option
        and not (option == "model" and asked.punc_model is not None and known.punctuates)
        and not (option == "model" and asked.hotwords and not known.hotwords)
    ]


def misfit(option: str, found: str | None, asked: Asked) -> str:
    """Why a class does not fit an option: the end of a sentence about the model, ``is a …``."""
    if found is None:
        return "has a config.yaml that names no class of FunASR's"
    known, fit = CLASSES.get(found), ", ".join(fitting(option, asked))
    if known is None:
        return f"is a {found}, which kind asr cannot serve as {option}: it serves {fit}"
    if known.role != option:
        return f"is a {found}, which {ROLES[known.role]}; {option} must be one of: {fit}"
    if asked.punc_model is not None and known.punctuates:
        return f"is a {found}, which sets punctuation itself; leave punc_model out"
    return f"is a {found}, which takes no hotwords; leave them out, or use one of: {fit}"


def class_of(directory: Path) -> str | None:
    """The class that a model's ``config.yaml`` names; None when it names none."""
    try:
        text = (directory / "config.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"""^model:[ \t]*["']?([\w./-]+)""", text, re.MULTILINE)
    return found.group(1) if found else None


def weights_of(directory: Path) -> str:
    """The name of a model's file of weights."""
    try:
        metas = json.loads((directory / "configuration.json").read_text(encoding="utf-8"))["file_path_metas"]
        return str(metas["init_param"])
    except (OSError, ValueError, KeyError, TypeError):
        return WEIGHTS
