"""Makes `provision/engines/vllm/flags.json` from the released packages of vLLM: `python -m tests.flags`.

Nothing of a package is imported or run. Its argument modules are read as syntax trees, and the few functions
that declare arguments are evaluated by `evaluator`, with their own classes, defaults and helper functions.
"""
