"""The base of all typed configuration, and the types of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
)
from pydantic import WithJsonSchema as JsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from provision.config.problems import found, is_one_line, quoted

PATTERN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
PATTERN_ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
PATTERN_UNIX_NAME = r"[a-z_][a-z0-9_-]{0,30}\$?"
_PATTERN_DURATION = r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+"
_PATTERN_SIZE = r"([0-9]+(?:\.[0-9]+)?) ?(?:([KMGT]?)(i?)B?|([kmgt])b?|b)"
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 366 * 86400.0
_ENDLESS = 2**53


class Model(BaseModel):
    """Strict and unchangeable: unknown keys are errors, and no value is converted to another type.

    Keys that start with `x-` are the user's own; they are gone before a model sees its data.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,
    )

    elsewhere: ClassVar[str | None] = None
    """The section of elsewhere.yml with the keys that other tools have and this model has not."""


def reject(code: str, message: str, hint: str | None = None, at: str | None = None) -> PydanticCustomError:
    """The error for a validator to raise: its code, a sentence about the value, and the way out.

    A validator of a whole model names the key at fault as `at`.
    """
    # Pydantic fills in its template from the context; the braces of a message must not be taken for that.
    context = {"code": code, "message": message, "hint": hint or "", "at": at or ""}
    return PydanticCustomError("provision", "{message}", context)


@dataclass(frozen=True)
class Range:
    """A number between two bounds; `above` excludes its bound."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    whole: bool = True

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema
        if self.whole:
            low, high = (None if bound is None else int(bound) for bound in (self.low, self.high))
            schema = core_schema.int_schema(strict=True, ge=low, le=high)
        else:
            schema = core_schema.float_schema(
                strict=True, ge=self.low, le=self.high, gt=self.above, allow_inf_nan=False
            )
        return core_schema.no_info_before_validator_function(self._check, schema)

    def _check(self, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not self._holds(value):
            raise reject("out-of-range", f"expected {self.describe()}, found {found(value)}")
        return value

    def _holds(self, value: float) -> bool:
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
        )

    def describe(self) -> str:
        """What is expected, in words."""
        noun = "a whole number" if self.whole else "a number"
        if self.above is not None and self.high is not None:
            return f"{noun} above {self.above:g} and at most {self.high:g}"
        if self.above is not None:
            return f"{noun} above {self.above:g}"
        if self.low is not None and self.high is not None and self.high < _ENDLESS:
            return f"{noun} from {self.low:g} to {self.high:g}"
        return f"{noun} of at least {self.low:g}" if self.low is not None else noun


def one_line(value: str) -> str:
    """Return a text without control characters; for use as a validator."""
    if not is_one_line(value):
        raise reject(
            "unsafe-text", "the text holds a line break or another control character", "it must be one line"
        )
    return value


def _not_empty(value: str) -> str:
    if not value.strip():
        raise reject("empty-value", "the text is empty")
    return value


def _lines(value: str) -> str:
    if _CONTROL_IN_LINES.search(value):
        raise reject("unsafe-text", "the text holds a control character that does not belong in a text file")
    return value


def matching(pattern: str, message: str, hint: str, code: str = "wrong-form") -> Callable[[str], str]:
    """Return a validator that requires the whole text to have a form.

    Args:
        pattern: a regular expression.
        message: what to say of a text that has another form; `{}` stands for it.
        hint: shows the form.
        code: of the finding.
    """

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise reject(code, message.format(quoted(value)), hint)
        return value

    return check


def shaped(pattern: str, what: str, hint: str) -> AfterValidator:
    """Require the whole text to have a form; `what` names it, `hint` shows it."""
    return AfterValidator(matching(pattern, f"expected {what}, found text {{}}", hint))


name = matching(
    PATTERN_NAME,
    "the name {} is not safe",
    "use letters, digits and . _ - (at most 63), beginning with a letter or digit",
    "unsafe-name",
)
"""Return a name that is safe in paths and unit names; for use as a validator."""

_env_name = matching(
    PATTERN_ENV_NAME,
    "{} cannot be the name of an environment variable",
    "use letters, digits and _, beginning with a letter",
    "unsafe-name",
)

_unix_name = matching(
    PATTERN_UNIX_NAME,
    "{} cannot be the name of a user or group",
    "use lower-case letters, digits, _ and -, beginning with a letter",
    "unsafe-name",
)


def host_path(value: str) -> str:
    """Return an absolute path in its plain form; for use as a validator."""
    if not value.startswith("/"):
        raise reject("wrong-path", f"expected an absolute path, found {found(value)}")
    if not is_one_line(value):
        raise reject("unsafe-text", "the path holds a line break or another control character")
    parts = value.split("/")[1:]
    if value != "/" and any(part in ("", ".", "..") for part in parts):
        clean = "/" + "/".join(part for part in parts if part not in ("", "."))
        hint = f"write `{clean}`" if ".." not in parts else "write it without `..`"
        raise reject("wrong-path", f"the path {quoted(value)} is not in its plain form", hint)
    return value


def _not_nothing(seconds: float) -> float:
    if seconds == 0:
        raise reject("out-of-range", "expected a length of time above 0, found 0", "write such as 90s or 5m")
    return seconds


def _duration(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and re.fullmatch(_PATTERN_DURATION, value):
        parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", value)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    else:
        raise reject(
            "wrong-form", f"expected a duration, found {found(value)}", "write 90 (seconds), 90s, 5m or 1h30m"
        )
    if not 0 <= seconds <= _LONGEST:
        raise reject("out-of-range", f"expected a duration between 0 and one year, found {found(value)}")
    return seconds


def _byte_size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(_PATTERN_SIZE, value) if isinstance(value, str) else None
    if match is None:
        raise reject(
            "wrong-form",
            f"expected a size, found {found(value)}",
            "write a number of bytes, 512MiB, 20GB, or 16g as docker does (GiB)",
        )
    number, prefix, binary, small = match.groups()
    factor: int = (1024 if binary or small else 1000) ** " KMGT".index((prefix or small or " ").upper())
    return round(float(number) * factor)


def _file_mode(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise reject(
            "wrong-form", f"expected a file mode, found {found(value)}", f'put it in quotes: "0{abs(value)}"'
        )
    if not isinstance(value, str) or not re.fullmatch(r"[0-7]{3,4}", value):
        raise reject("wrong-form", f"expected a file mode, found {found(value)}", 'write it as "0644"')
    return value.zfill(4)


def _argv_or_shell(value: Any) -> Any:
    if isinstance(value, str) and value.strip():
        return _lines(value)
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, str) and "\0" not in item for item in value)
    ):
        return value
    raise reject(
        "wrong-type",
        f"expected a shell text or a list of arguments, found {found(value) if value else 'nothing'}",
    )


def one_of(model: Model, what: str, keys: Sequence[str]) -> str:
    """Return the one of these keys that has a value; raises unless it is exactly one.

    Args:
        model: that has them.
        what: what messages call it, such as "a file".
        keys: the names of the fields.
    """
    given = [key for key in keys if getattr(model, key) is not None]
    if len(given) == 1:
        return given[0]
    *first, last = (f"`{key}`" for key in keys)
    said = " and ".join(f"`{key}`" for key in given) or "none of them"
    raise reject("one-of-keys", f"{what} has one of {', '.join(first)} or {last}, found {said}")


def nothing_but(model: Model, key: str, what: str) -> None:
    """Refuse keys beside one that leaves them without a meaning; `what` says for what they have none."""
    useless = sorted(model.model_fields_set - {key})
    if useless:
        field = type(model).model_fields[useless[0]]
        other = field.alias or useless[0]
        hint = "leave one of the two out"
        raise reject("conflicting-keys", f"`{other}` has no meaning for {what}", hint, at=other)


def one_or_many(value: Any) -> Any:
    """Let a single text stand for a list of one."""
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class Called:
    """What the documentation calls the values of a type: "text, or a list of arguments"."""

    words: str


@dataclass(frozen=True)
class OneOrMany:
    """Lets a single text stand for a list of one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(one_or_many, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


@dataclass(frozen=True)
class OrNothing:
    """Lets nothing (`name:`) stand for a mapping without keys."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_or_empty, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"type": "null"}]}


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


def unique(values: list[Any]) -> list[Any]:
    """Refuse a list that names something twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise reject("declared-twice", f"{found(value)} is listed twice")
    return values


Text = Annotated[str, AfterValidator(one_line), AfterValidator(_not_empty)]
"""One line of text, not empty."""

Line = Annotated[str, AfterValidator(one_line)]
"""One line of text, maybe empty."""

Lines = Annotated[str, AfterValidator(_lines)]
"""Text of any number of lines."""

Name = Annotated[str, AfterValidator(name), JsonSchema({"type": "string", "pattern": f"^{PATTERN_NAME}$"})]
"""An identifier that is safe in paths and unit names."""

EnvName = Annotated[str, AfterValidator(_env_name)]
"""The name of an environment variable."""

UnixName = Annotated[
    str, AfterValidator(_unix_name), JsonSchema({"type": "string", "pattern": f"^{PATTERN_UNIX_NAME}$"})
]
"""The name of a user or group."""

HostPath = Annotated[str, AfterValidator(host_path), JsonSchema({"type": "string", "pattern": "^/"})]
"""An absolute path on the host, in its plain form (no `..`, no double or trailing slash)."""

Port = Annotated[int, Range(1, 65535)]
"""A TCP port."""

Count = Annotated[int, Range(1, _ENDLESS)]
"""A whole number of at least 1."""

NotNegative = Annotated[int, Range(0, _ENDLESS)]
"""A whole number of at least 0."""

Share = Annotated[float, Range(above=0, high=1, whole=False)]
"""A number above 0 and at most 1."""

Duration = Annotated[
    float,
    PlainValidator(_duration),
    JsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": f"^{_PATTERN_DURATION}$"},
            ]
        }
    ),
]
"""A length of time: a number of seconds, or a text such as 500ms, 90s, 5m, 1h30m; in seconds."""

PositiveDuration = Annotated[Duration, AfterValidator(_not_nothing)]
"""A length of time above 0, in seconds."""

ByteSize = Annotated[
    int,
    PlainValidator(_byte_size),
    JsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": f"^{_PATTERN_SIZE}$"},
            ]
        }
    ),
]
"""A size: a number of bytes, or a text such as 512MiB or 20GB; 16g is docker's word for 16GiB; in bytes."""

FileMode = Annotated[
    str, PlainValidator(_file_mode), JsonSchema({"type": "string", "pattern": "^[0-7]{3,4}$"})
]
"""Permission bits in octal, as text of four digits."""

Command = Annotated[
    str | list[str],
    PlainValidator(_argv_or_shell),
    JsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
"""Text for `sh`, or an argument vector."""

Tags = Annotated[list[Name], OneOrMany()]
"""Words to select plays and services by."""
