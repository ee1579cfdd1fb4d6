"""Asks the vLLM that is installed whether it would start with these arguments, without starting it.

The controller sends this file as text to run it with an environment's own Python; nothing here imports it.
Exit code 0: it would begin to start. 2: it refuses, in its own words on the last line of standard error.
Anything else: this release could not be asked, which says nothing about the arguments.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

REFUSED, UNKNOWN = 2, 3

PARSER = ("vllm.entrypoints.openai.cli_args", "vllm.entrypoints.launchers.cli_args")
FLEXIBLE = ("vllm.utils.argparse_utils", "vllm.utils")
# Where releases have kept them, the older place of the parser first.


def main(argv: list[str]) -> int:
    """Parse the arguments and make the engine's configuration of them, as the server does first."""
    try:
        parser = found(PARSER, "make_arg_parser")(found(FLEXIBLE, "FlexibleArgumentParser")(prog="vllm"))
        engine = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs
        server = importlib.import_module("vllm.usage.usage_lib").UsageContext.OPENAI_API_SERVER
    except (Exception, SystemExit) as error:
        return say(UNKNOWN, error)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)  # 2 after a sentence
    model = arguments.model
    if os.path.isabs(model) and not os.path.exists(model):
        return say(REFUSED, f"there is no model at {model}")
    try:
        # Who uses it decides some defaults.
        engine.from_cli_args(arguments).create_engine_config(usage_context=server)
    except ValueError as error:
        return say(REFUSED, error)
    except (Exception, SystemExit) as error:
        return say(UNKNOWN, error)  # a driver, a disk, the network: not what was asked
    return 0


def found(modules: tuple[str, ...], name: str) -> Any:
    """Return what the first of these modules that there is calls by that name."""
    for module in modules:
        try:
            there = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(str(error.name)):
                raise  # the module is there, and something that it needs is not
            continue
        if hasattr(there, name):
            return getattr(there, name)
    raise ImportError(f"this vllm has no {name} in {' or '.join(modules)}")


def say(code: int, what: object) -> int:
    """Print one line on standard error; of pydantic's several, those that hold the sentence."""
    lines = [line.strip() for line in str(what).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("Value error, ")] or lines[:1] or [repr(what)]
    print("error: " + said[0].removeprefix("Value error, ").partition(" [type=")[0], file=sys.stderr)
    return code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # no library's exit handlers may change the code, or take their time
