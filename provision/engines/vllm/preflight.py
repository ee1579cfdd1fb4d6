"""Asks the vLLM that is installed whether it would start with these arguments, without starting it.

`programs` makes one text of this file and what it imports, which an environment's own Python runs on hosts.
Exit code 0: it would start. 2: it refuses, and its own message is the last line of standard error. Any other:
this release could not be asked, which says nothing about the arguments.
"""

from __future__ import annotations

import importlib
import os
import sys

from provision.engines.vllm.parsers import parser

REFUSED, UNKNOWN = 2, 3


def main(argv: list[str]) -> int:
    """Parse the arguments and create the engine's configuration, as the server does first."""
    try:
        reads = parser()
        engine = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs
        server = importlib.import_module("vllm.usage.usage_lib").UsageContext.OPENAI_API_SERVER
    except (Exception, SystemExit) as error:
        return say(UNKNOWN, error)
    try:
        arguments = reads.parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)  # 2 after an error message
    model = arguments.model
    if os.path.isabs(model) and not os.path.exists(model):
        return say(REFUSED, f"there is no model at {model}")
    try:
        # Some defaults depend on the usage context.
        engine.from_cli_args(arguments).create_engine_config(usage_context=server)
    except ValueError as error:
        return say(REFUSED, error)
    except (Exception, SystemExit) as error:
        return say(UNKNOWN, error)  # a driver, a disk, the network: not the arguments
    return 0


def say(code: int, what: object) -> int:
    """Print one line on standard error; of pydantic's several lines, the one with the message."""
    lines = [line.strip() for line in str(what).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("Value error, ")] or lines[:1] or [repr(what)]
    print("error: " + said[0].removeprefix("Value error, ").partition(" [type=")[0], file=sys.stderr)
    return code


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # exit handlers of libraries could change the code, or take long
