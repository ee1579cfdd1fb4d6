"""What the real parser of an installed vLLM declares and takes; run by the Python of its environment.

It reads from standard input, as JSON, the values to try for each flag, and prints for each flag its choices,
its default, and which of the values it takes.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any, NoReturn

PARSERS = (
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.common.cli_args",
)


class Refused(Exception):
    """The parser does not take the arguments."""


def first(modules: tuple[str, ...], name: str) -> Any:
    """Return an object of this name from the first module that has it."""
    for module in modules:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        if hasattr(found, name):
            return getattr(found, name)
    raise ImportError(name)


def error(message: str) -> NoReturn:
    """Stand for the parser's own end."""
    raise Refused(message)


def main() -> None:
    """Describe the parser."""
    values = json.load(sys.stdin)
    make = first(PARSERS, "make_arg_parser")
    parser = make(first(("vllm.utils.argparse_utils", "vllm.utils"), "FlexibleArgumentParser")(prog="vllm"))
    parser.error = error
    found: dict[str, Any] = {}
    for action in parser._actions:
        for flag in action.option_strings:
            if flag.startswith("--") and not flag.startswith("--no-") and flag not in ("--help", "--config"):
                taken = [value for value in [None, *values] if takes(parser, flag, value)]
                choices = list(action.choices) if action.choices else None
                found[flag] = {"choices": choices, "default": action.default, "takes": taken}
    print("\n" + json.dumps(found, default=str))


def takes(parser: Any, flag: str, value: str | None) -> bool:
    """Whether the parser takes a flag with a value, or with none."""
    words = [] if value is None else [value]
    try:
        parsed = parser.parse_args([flag, *words])
    except (Exception, SystemExit):
        return False
    return value is None or getattr(parsed, "model_tag", None) != value


if __name__ == "__main__":
    main()
