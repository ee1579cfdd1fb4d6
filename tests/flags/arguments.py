"""The arguments that a release declares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.flags.modules import Package
from tests.flags.values import Unknown

PARSERS = (
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.common.cli_args",
)


class _Environment:
    """Stands for the variables of the environment, none of which is set."""

    def is_set(self, name: str) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return Unknown(f"vllm.envs.{name}")


INSTEAD: dict[str, Any] = {
    "vllm.envs": _Environment(),
    "vllm.logger": Unknown("vllm.logger"),
    "vllm.platforms": Unknown("vllm.platforms"),
    "vllm.plugins": Unknown("vllm.plugins"),
    "vllm.utils:LazyLoader": lambda *names: Unknown(names[-1]),
    "vllm.utils.import_utils:LazyLoader": lambda *names: Unknown(names[-1]),
    "vllm.config:get_attr_docs": lambda cls: defaultdict(str),
    "vllm.config.utils:get_attr_docs": lambda cls: defaultdict(str),
    "vllm.engine.arg_utils:_maybe_add_docs_url": lambda cls: "",
    "vllm.engine.arg_utils:is_in_doc_build": lambda: False,
}
"""What is taken for modules, and for names of modules: messages, help texts and machines are not declared."""


class Recorder:
    """Stands for a parser: it keeps what it is told to accept."""

    def __init__(self) -> None:
        self.arguments: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def add_argument(self, *flags: str, **settings: Any) -> None:
        """Note an argument."""
        self.arguments.append((flags, settings))

    def add_argument_group(self, *_: Any, **__: Any) -> Recorder:
        """Return the parser itself: groups are for the help text."""
        return self


def declared(read: Callable[[str], str | None]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Return the arguments of a release, each as `add_argument` gets it."""
    package = Package("vllm", read, INSTEAD)
    name = next(name for name in PARSERS if read(name.replace(".", "/") + ".py") is not None)
    recorder = Recorder()
    package.module(name).get("make_arg_parser")(recorder)
    return recorder.arguments
