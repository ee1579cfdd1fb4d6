"""What stands for the objects of a package that is only read."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, ClassVar


class Undecided(Exception):
    """What was asked depends on something that is not in the argument modules."""


class Unknown(type):
    """Stands for whatever is not evaluated: torch, a platform, a logger.

    It may be called, read and subscripted. It is a class, so that it can also be part of a type hint.
    """

    def __new__(cls, name: str) -> Unknown:
        return super().__new__(cls, name.rpartition(".")[2] or "unknown", (), {"__module__": name})

    def __init__(cls, name: str) -> None:
        super().__init__(name)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown(f"{cls.__module__}.{name}")

    def __call__(cls, *args: object, **kwargs: object) -> Any:
        return Unknown(f"{cls.__module__}()")

    def __getitem__(cls, key: object) -> Any:
        return Unknown(f"{cls.__module__}[]")

    def __bool__(cls) -> bool:
        raise Undecided(cls.__module__)

    def __iter__(cls) -> Any:
        raise Undecided(cls.__module__)

    def __contains__(cls, key: object) -> bool:
        raise Undecided(cls.__module__)


MISSING = dataclasses.MISSING


@dataclasses.dataclass
class FieldInfo:
    """A default of pydantic: `Field(default=…, gt=0)`."""

    default: Any = MISSING
    default_factory: Any = None
    init: bool | None = None


@dataclasses.dataclass
class Member:
    """A field of a dataclass, with the attributes of `dataclasses.Field`."""

    name: str
    type: Any
    default: Any = MISSING
    default_factory: Any = MISSING
    init: bool = True


class SkipValidation:
    """Stands for `pydantic.SkipValidation`."""

    def __getitem__(self, hint: Any) -> Any:
        return Annotated[hint, self]


def declared(
    default: Any = MISSING, default_factory: Any = MISSING, init: bool = True, **_: object
) -> Member:
    """Stand for `dataclasses.field`."""
    return Member("", None, default, default_factory, init)


def field_info(default: Any = MISSING, *, default_factory: Any = None, **_: object) -> FieldInfo:
    """Stand for `pydantic.Field`."""
    return FieldInfo(default, default_factory)


class Declared:
    """The base of classes that were read: their members are the fields that they declare."""

    members: ClassVar[dict[str, Member]] = {}
    dataclass: ClassVar[bool] = False


def fields(cls: type[Declared]) -> list[Member]:
    """Stand for `dataclasses.fields`."""
    found: dict[str, Member] = {}
    for base in reversed(cls.__mro__):
        found.update(vars(base).get("members", {}))
    return list(found.values())


def is_dataclass(value: object) -> bool:
    """Stand for `dataclasses.is_dataclass`."""
    return isinstance(value, type) and issubclass(value, Declared) and value.dataclass


def plain(value: object) -> Any:
    """Return a default as JSON has it.

    Raises:
        Undecided: it is no plain value.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(item) for item in value]
        return sorted(items, key=str) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    raise Undecided(repr(value))
