"""Renders the templates of generated files.

Templates get values that are already quoted for the place they stand in (see `text`), so that a template of
the user's own cannot forget it. An undefined variable is an error.
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
from provision.config.problems import ConfigError, Position, Problem, failure
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
        self._environment = _environment((*directories, shipped()))

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the text of a template.

        Raises:
            ConfigError: at the template's line: no such template, bad syntax, or an undefined variable.
        """
        try:
            return self._environment.get_template(name).render(values)
        except jinja2.TemplateNotFound as error:
            where = f"it should be in {shipped()}; install provision again"
            raise ConfigError(
                [Problem("missing-file", None, f"there is no template {error.name}", where)]
            ) from None
        except Exception as error:  # anything may be raised by what a user's template calls
            raise _problem(error, name) from None


def render_text(source: str, path: Path, values: Mapping[str, object], secret: bool = False) -> str:
    """Return the text of one template file of the user's, for `files: {...: {template: ...}}`.

    Args:
        source: the template.
        path: where it stands; what it includes is looked for beside it.
        values: the variables.
        secret: the text must not be shown: an error that may quote a value only says what kind it is.

    Raises:
        ConfigError: at the template's line.
    """
    try:
        text = _template(source, path).render(values)
        if SURROGATE.search(text):
            raise failure("template-failure", "it gives half a surrogate pair, which is no text")
        return text
    except Exception as error:  # as above
        raise _problem(error, str(path), secret) from None


@lru_cache(maxsize=256)
def _template(source: str, path: Path) -> jinja2.Template:
    """Compile a template once for all hosts."""
    environment = _environment((path.parent,))
    code = environment.compile(source, path.name, str(path))
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


class _Loader(jinja2.BaseLoader):
    """Finds templates in directories, the first that has one wins; what was looked for is noted."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        found = self._find(template)
        if found is None:
            raise jinja2.TemplateNotFound(template)
        path, source = found
        return source, str(path), lambda: self._find(template) == found

    def _find(self, template: str) -> tuple[Path, str] | None:
        parts = split_template_path(template)
        for directory in self._directories:
            path = directory.joinpath(*parts)
            try:
                return path, inputs.content(path).decode("utf-8")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
        return None


@lru_cache(maxsize=32)
def _environment(directories: tuple[Path, ...]) -> Sandbox:
    return Sandbox(loader=_Loader(directories), autoescape=False, trim_blocks=True, lstrip_blocks=True)


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
    message, hint = _reason(error, secret), None
    if message is None:
        message = f"it cannot be rendered ({type(error).__name__})"
        hint = "the file is secret, so no more is shown; `secret: false` shows it for a trial"
    return failure(_code(error), f"in the template: {message}", Position(path, line, 1), hint)


def _code(error: Exception) -> str:
    if isinstance(error, ConfigError):
        return error.problems[0].code
    if isinstance(error, jinja2.TemplateNotFound):
        return "missing-file"
    if isinstance(error, jinja2.TemplateSyntaxError):
        return "template-syntax"
    if isinstance(error, SecurityError):
        return "template-failure"
    return "undefined-variable" if isinstance(error, jinja2.UndefinedError) else "template-failure"


def _reason(error: Exception, secret: bool) -> str | None:
    """Say what is wrong in one line; None where that may quote a text that is secret."""
    if isinstance(error, SecurityError):
        return "it does what templates may not do"
    if isinstance(error, jinja2.TemplateNotFound):
        return f"there is no template {error.name}"
    text = str(error).strip()
    if secret and not re.fullmatch(r"'[A-Za-z_][A-Za-z0-9_]*' is undefined", text):
        return None
    return text.splitlines()[0] if text else type(error).__name__
