"""`{{ variable }}` in strings: compiled once per text, rendered per host.

A string that is exactly one `{{ expression }}` gives the value itself (a number stays a number); any other
string gives text. Undefined variables are errors; so are lists, mappings and null inside a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from provision.config.documents import MAX_DEPTH, MAX_TEXT
from provision.config.problems import ConfigError, did_you_mean, failure, found

if TYPE_CHECKING:
    from provision.config.sandbox import Sandbox

SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Half of a UTF-16 character, which UTF-8 text cannot hold."""

MAX_NUMBER = 10**40
"""Numbers from templates are smaller than this, as those in YAML are."""


class Template:
    """A compiled string."""

    def __init__(self, names: frozenset[str], evaluate: Callable[[dict[str, Any]], Any]) -> None:
        self.names = names
        """The variables that the string may use."""
        self._evaluate = evaluate

    def render(self, variables: Mapping[str, Any]) -> Any:
        """The value for these variables (only those named are looked up); raises `ConfigError`."""
        from jinja2 import UndefinedError
        from jinja2.exceptions import SecurityError

        context = {name: variables[name] for name in self.names if name in variables}
        try:
            value = _plain(self._evaluate(context))
        except ConfigError:
            raise
        except UndefinedError as error:
            raise self._undefined(error, context, variables) from None
        except SecurityError:
            raise _failed("the template does something that templates are not allowed to do") from None
        # An expression may fail in any way that Python code can; whatever it is, the text is at fault.
        except (Exception, RecursionError) as error:
            raise _failed(f"the template cannot be rendered: {_reason(error)}") from None
        return value

    def _undefined(
        self, error: Exception, context: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> ConfigError:
        text = str(error)
        for name in sorted(self.names - set(context)):
            if text == f"'{name}' is undefined":
                near = did_you_mean(name, variables, "known variables")
                hint = near or "define it in the inventory or below `vars:`"
                return failure("undefined-variable", f"undefined variable `{name}`", hint=hint)
        return _failed(f"the template cannot be rendered: {text}")


def _failed(message: str, hint: str | None = None) -> ConfigError:
    return failure("template-failure", message, hint=hint)


def _reason(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0].rstrip(".")
    return text or type(error).__name__


def _plain(value: Any, depth: int = 0) -> Any:
    """The value as plain data: what filters give lazily becomes a list; what is not data is an error."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        # The same numbers as in YAML.
        if not abs(value) < MAX_NUMBER:
            raise _failed("the template gives a number that is too large, or not a number")
        return value
    if isinstance(value, str):
        text = str(value)  # raises for an undefined variable, and drops subclasses of str
        if len(text) > MAX_TEXT:
            raise _failed(f"the template gives more than {MAX_TEXT} characters")
        if not text.isascii() and SURROGATE.search(text):
            raise _failed("the template gives half a surrogate pair, which is not text")
        return text
    if depth > MAX_DEPTH:
        raise _failed(f"the template gives a value nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset, Iterator)):
        return [_plain(item, depth + 1) for item in value]
    str(value)  # raises for an undefined variable
    raise _failed(f"the template gives a {type(value).__name__}, which is not data")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _failed("the template gives a mapping with a key that is not text", "put the key in quotes")
    return str(_plain(key))


def is_template(text: str) -> bool:
    """Whether a string has anything to render."""
    return "{{" in text or "{%" in text or "{#" in text


@lru_cache(maxsize=4096)
def compile_template(text: str) -> Template:
    """The compiled form of a string; raises `ConfigError` for a syntax error."""
    from jinja2 import TemplateSyntaxError, meta, nodes

    environment = _environment()
    try:
        tree = environment.parse(text)
        names = frozenset(meta.find_undeclared_variables(tree))
        output = tree.body[0] if len(tree.body) == 1 else None
        if (
            isinstance(output, nodes.Output)
            and len(output.nodes) == 1
            and not isinstance(output.nodes[0], nodes.TemplateData)
        ):
            source = text.strip().removeprefix("{{").removesuffix("}}").strip("+-")
            expression = environment.compile_expression(source, undefined_to_none=False)
            return Template(names, lambda context: expression(**context))
        template = environment.from_string(tree)
        return Template(names, lambda context: template.render(context))
    except TemplateSyntaxError as error:
        raise failure("template-syntax", f"the template has a syntax error: {_reason(error)}") from None
    except (Exception, RecursionError) as error:
        raise failure("template-syntax", f"the template cannot be read: {_reason(error)}") from None


@lru_cache(maxsize=1)
def _environment() -> Sandbox:
    from provision.config.sandbox import Sandbox

    environment = Sandbox(finalize=_inside_text, cache_size=0)
    environment.globals = {name: environment.globals[name] for name in ("range", "dict")}
    return environment


def _inside_text(value: Any) -> Any:
    """What an expression inside a longer text becomes; booleans are written as YAML writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (list, dict, tuple, set)):
        what = "null" if value is None else found(value)
        hint = "use `{{ name }}` alone to keep the value itself, or a filter such as `| join(' ')`"
        raise _failed(f"{what} cannot be part of a text", hint)
    return value
