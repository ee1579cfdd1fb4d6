"""The Jinja environment of all templates: of strings in YAML, and of files.

What a template may reach is data: no attribute that begins with `_`, no method that changes a value, and no
code of this process. What one operator may compute is bounded.
"""

from __future__ import annotations

from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from provision.config.documents import MAX_TEXT
from provision.config.problems import failure


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with the two operators bounded that can fill the memory.

    Args:
        options: as for `jinja2.Environment`. Undefined variables are errors, and the last line end is kept.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, **options: Any) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, **options)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Carry out one of the bounded operators."""
        if operator == "**" and (abs(left) > 10**6 or abs(right) > 64):
            raise failure("template-failure", "the power in the template is too large")
        for sequence, times in ((left, right), (right, left)):
            if hasattr(sequence, "__len__") and len(sequence) * times > MAX_TEXT:
                raise failure("template-failure", f"the template gives more than {MAX_TEXT} characters")
        return super().call_binop(context, operator, left, right)
