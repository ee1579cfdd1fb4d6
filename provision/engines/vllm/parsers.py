"""Finds vLLM's own parser of arguments, wherever a release has it.

Written into the programs that hosts get (see `programs`).
"""

from __future__ import annotations

import importlib
from typing import Any

PARSER = (
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.launchers.cli_args",  # 0.32
    "vllm.entrypoints.common.cli_args",  # 0.33
)
FLEXIBLE = ("vllm.utils.argparse_utils", "vllm.utils")
# Where releases have these, the older module of the parser first.


def parser() -> Any:
    """Return the parser of the server's arguments."""
    return found(PARSER, "make_arg_parser")(found(FLEXIBLE, "FlexibleArgumentParser")(prog="vllm"))


def found(modules: tuple[str, ...], name: str) -> Any:
    """Return the object of this name from the first module that has it."""
    for module in modules:
        try:
            there = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(str(error.name)):
                raise  # the module exists, but something that it needs does not
            continue
        if hasattr(there, name):
            return getattr(there, name)
    raise ImportError(f"this vllm has no {name} in {' or '.join(modules)}")
