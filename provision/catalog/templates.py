"""Renders the templates of generated files.

Templates get values that are already quoted for the place where they are used (see `text`), so that a user's
own template cannot forget to quote. An undefined variable is an error.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.loaders import split_template_path

from provision.config import inputs
from provision.config.problems import ConfigError, Position, failure
from provision.config.sandbox import Sandbox
from provision.config.templating import SURROGATE

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped() -> Path:
    """Return the directory of the shipped templates: in the wheel, or at the top level of a checkout."""
    inside = _PACKAGE / "_templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


class Templates:
    """Templates by name, the first of several directories that has one wins.

    Args:
        directories: the user's own; the shipped ones come last.
    """

    def __init__(self, directories: Sequence[Path] = ()) -> None:
        self._directories = directories
        self._environment = _environment((*directories, shipped()))

    def own(self, name: str) -> bool:
        """Whether a template is the user's, and not the shipped one."""
        return any((directory / name).is_file() for directory in self._directories)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of a template.

        Raises:
            ConfigError: at the template's line: no such template, bad syntax, or an undefined variable.
        """
        try:
            return self._environment.get_template(name).render(values)
        except jinja2.TemplateNotFound as error:
            hint = f"it should be in {shipped()}; install provision again"
            raise failure("missing-file", f"there is no template {error.name}", hint=hint) from None
        except Exception as error:  # anything may be raised by what a user's template calls
            raise _problem(error, name) from None


def render_text(source: str, path: Path, values: Mapping[str, object], secret: bool = False) -> str:
    """Return the text of one template file of the user's, for `files: {...: {template: ...}}`.

    Args:
        source: the template.
        path: its file; what it includes is looked for beside it.
        values: the variables.
        secret: the text must not be shown: an error that might quote a value only names its type.

    Raises:
        ConfigError: at the template's line.
    """
    try:
        text = _template(source, path).render(values)
        if SURROGATE.search(text):
            raise failure("template-failure", "it gives half a surrogate pair, which is not text")
        return text
    except Exception as error:  # as above
        raise _problem(error, str(path), secret) from None


@lru_cache(maxsize=256)
def _template(source: str, path: Path) -> jinja2.Template:
    """Compile a template once for all hosts."""
    environment = _environment((path.parent,))
    code = environment.compile(source, path.name, str(path))
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


@lru_cache(maxsize=32)
def _environment(directories: tuple[Path, ...]) -> Sandbox:
    """Return what renders the templates in directories, of which the first that has one wins."""

    def load(template: str) -> tuple[str, str, Callable[[], bool]] | None:
        found = _find(directories, template)
        return found and (*found, lambda: _find(directories, template) == found)

    loader = jinja2.FunctionLoader(load)
    return Sandbox(loader=loader, autoescape=False, trim_blocks=True, lstrip_blocks=True)


def _find(directories: Sequence[Path], template: str) -> tuple[str, str] | None:
    """Return the source of a template and its path."""
    for directory in directories:
        path = directory.joinpath(*split_template_path(template))
        try:
            return inputs.content(path).decode("utf-8"), str(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
    return None


CODES = (
    (jinja2.TemplateNotFound, "missing-file"),
    (jinja2.TemplateSyntaxError, "template-syntax"),
    (jinja2.UndefinedError, "undefined-variable"),
)
"""The codes of errors in templates; all others are a `template-failure`."""


def _problem(error: Exception, name: str, secret: bool = False) -> ConfigError:
    if isinstance(error, ConfigError) and error.problems[0].position:
        return error
    path, line = name, 1
    if isinstance(error, jinja2.TemplateSyntaxError):
        path, line = error.filename or name, error.lineno
    else:
        for frame in traceback.extract_tb(error.__traceback__):
            # Jinja rewrites the frames of a template to the template's own file and line.
            if frame.filename == name or re.search(r"\.j2$", frame.filename):
                path, line = frame.filename, frame.lineno or 1
    code = next((code for kind, code in CODES if isinstance(error, kind)), "template-failure")
    if isinstance(error, ConfigError):
        code = error.problems[0].code
    message, hint = _reason(error, secret), None
    if message is None:
        message = f"it cannot be rendered ({type(error).__name__})"
        hint = "the file is secret, so no more is shown; `secret: false` shows it for a trial"
    return failure(code, f"in the template: {message}", Position(path, line, 1), hint)


def _reason(error: Exception, secret: bool) -> str | None:
    """Return what is wrong in one line; None where that might quote a secret text."""
    if isinstance(error, SecurityError):
        return "it does something that templates are not allowed to do"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template {error.name}"
    text = str(error).strip()
    if secret and not re.fullmatch(r"'[A-Za-z_][A-Za-z0-9_]*' is undefined", text):
        return None
    return text.splitlines()[0] if text else type(error).__name__
