"""How to connect to a server, as far as its own command line says it: nobody has to declare it twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.config.services.base import Spoken

NAMES = ("--served-model-name", "--served_model_name", "--model-name", "--alias")
"""Flags of vLLM and SGLang, LMDeploy, and llama.cpp by which a model gets the name that requests use."""

CERTIFICATES = ("--ssl-certfile", "--ssl-cert-file", "--certfile")
"""Flags of vLLM, SGLang and uvicorn, of llama.cpp, and of gunicorn that make a server speak TLS."""

KEYS = ("VLLM_API_KEY", "LLAMA_API_KEY", "INFINITY_API_KEY")
"""Variables from which vLLM, llama.cpp and Infinity take the key that clients must send."""

KEY_FIELD = "api_key_env"
"""The field that names the variable with the key."""


def key(service: Spoken) -> str | None:
    """Return the variable that holds the key; None when no key is known of."""
    return service.api_key_env or next((name for name in KEYS if name in service.env), None)


def model(service: Spoken, command: Sequence[str]) -> str | None:
    """Return the name that requests ask for; None when only the server knows it."""
    return service.served_model_name or value(command, NAMES)


def tls(service: Spoken, command: Sequence[str]) -> bool:
    """Say whether the server speaks TLS."""
    return service.tls is not None or value(command, CERTIFICATES) is not None


def value(command: Sequence[str], flags: Sequence[str]) -> str | None:
    """Return the first value of the first of these flags that a command line has."""
    for index, word in enumerate(command):
        name, equals, given = word.partition("=")
        if name in flags and equals:
            return given
        if name in flags and index + 1 < len(command):
            return command[index + 1]
    return None
