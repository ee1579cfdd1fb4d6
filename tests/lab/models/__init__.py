"""The tiny models that the lab's hub serves, under the names of the real ones.

The chat model lies in the repository (``playbooks/models/tiny-chat``); the speech models are made when first
asked for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from ..commands import run
from ..locking import locked
from ..paths import state_directory

CHAT = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
SPEECH = "iic/SenseVoiceSmall"
VOICE_ACTIVITY = "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch"

TINY_CHAT = Path(__file__).parents[3] / "playbooks" / "models" / "tiny-chat"
"""The chat model in the repository; ``tiny_chat.py`` wrote it."""

TEXTS = {
    "hello_world": "hello world",
    "nihao_shijie": "你好世界。",
    "two_segments": "one two three stop",
    "silence": "",
}
"""What is said in each wave of ``speech_models()/waves``."""

_SPEECH_PACKAGES = (
    *("torch==2.13.0", "funasr==1.4.16", "modelscope", "kaldi-native-fbank"),
    *("fastapi", "uvicorn[standard]", "python-multipart"),
    *("openai", "schemathesis", "imageio-ffmpeg"),
)
"""What makes the models, what the speech service runs on, and the clients that try it."""
_GENERATOR = Path(__file__).with_name("sensevoice.py")
_PARAFORMERS = Path(__file__).with_name("paraformer.py")


def hub_root(*, speech: bool = False) -> Path:
    """A folder for Hub with the chat model and, with ``speech``, the two speech models."""
    sources = {CHAT: TINY_CHAT}
    if speech:
        made = speech_models()
        sources |= {SPEECH: made / "SenseVoiceSmall", VOICE_ACTIVITY: made / "fsmn-vad"}
    key = hashlib.sha256()
    for name, source in sources.items():
        for path in sorted(source.iterdir()):
            key.update(f"{name}/{path.name}\n".encode() + path.read_bytes())
    root = _models() / f"hub-{key.hexdigest()[:12]}"
    with locked(_models() / "lock"):
        if not root.is_dir():
            fresh = _fresh_directory()
            for name, source in sources.items():
                shutil.copytree(source, fresh / name)
            fresh.rename(root)
    return root


def speech_models() -> Path:
    """A folder with SenseVoiceSmall, fsmn-vad and waves.

    Made on first use: seconds, plus some minutes for an environment with torch and funasr, which the lab
    keeps (or the interpreter that PROVISION_LAB_FUNASR_PYTHON names, which has them already).
    """
    return _generated("speech", _GENERATOR)


def paraformer_models() -> Path:
    """A folder with paraformer, seaco-paraformer, ct-punc and campplus, all of random weights."""
    return _generated("paraformer", _PARAFORMERS, _GENERATOR)


def _generated(name: str, *sources: Path) -> Path:
    """A folder that the first of these programs has made; the others are what it imports."""
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    made = _models() / f"{name}-{key}"
    if made.is_dir():
        return made
    python = speech_python()
    with locked(_models() / "lock"):
        if not made.is_dir():
            fresh = _fresh_directory()
            run([str(python), str(sources[0]), str(fresh)])
            fresh.rename(made)
    return made


def speech_python() -> Path:
    """An interpreter that has torch (for CPU where pip is configured so) and funasr."""
    given = os.environ.get("PROVISION_LAB_FUNASR_PYTHON")
    if given:
        return Path(given)
    key = hashlib.sha256(repr((_SPEECH_PACKAGES, sys.version_info[:2])).encode()).hexdigest()[:12]
    environment = state_directory() / "environments" / f"speech-{key}"
    with locked(environment.parent / "lock"):
        if not environment.is_dir():
            fresh = environment.with_name("making")
            shutil.rmtree(fresh, ignore_errors=True)
            run([sys.executable, "-m", "venv", str(fresh)])
            run([str(fresh / "bin/python"), "-m", "pip", "install", "--quiet", *_SPEECH_PACKAGES])
            fresh.rename(environment)
    return environment / "bin" / "python"


def _models() -> Path:
    return state_directory() / "models"


def _fresh_directory() -> Path:
    fresh = _models() / "making"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh
