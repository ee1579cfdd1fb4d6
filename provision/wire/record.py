"""Records: plain data with a name and a type for each field, the same for whoever makes and whoever reads it.

A subclass declares its fields as annotations; those without a value must be given. `parse` reads what `plain`
has written. A field too many or too few is an error, never a silent default.

`dataclasses` could do it, but takes longer to import than a converged run of the host side takes in all.
"""

from __future__ import annotations

from typing import Any, ClassVar, Mapping, TypeVar, dataclass_transform

R = TypeVar("R", bound="Record")


class Mismatch(ValueError):
    """Data does not fit a record: the two halves disagree about its fields."""


class Nested:
    """How the values of a field become records: made by `one` and `many`."""

    def __init__(self, of: type[Record], many: bool, default: dict[str, Any]) -> None:
        self.of = of
        self.many = many
        self.default = default

    def parse(self, data: Any) -> Any:
        """Return records for plain data."""
        if data is None:
            return None
        if not self.many:
            return self.of.parse(data)
        if not isinstance(data, list):
            raise Mismatch(f"no list of {self.of.__name__}")
        return [self.of.parse(each) for each in data]


def one(of: type[Record], **default: Any) -> Any:
    """Declare a field with a record in it, or None where that is its default."""
    return Nested(of, False, default)


def many(of: type[Record], **default: Any) -> Any:
    """Declare a field with a list of records in it."""
    return Nested(of, True, default)


class _Table:
    """A table of a record, made when it is first asked for: a run uses few of the records that it imports."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, record: Record | None, cls: type[Record]) -> Any:
        _declare(cls)
        return getattr(cls, self._name)


_TABLES: Any = [_Table(name) for name in ("FIELDS", "DEFAULTS", "NESTED")]


def _declare(cls: type[Record]) -> None:
    """Read the fields of a record from its annotations, after those of the record that it is based on."""
    base: type[Record] = cls.__bases__[0]
    said = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 (which needs a newer Python)
    own = [name for name, kind in said.items() if "ClassVar" not in kind]
    defaults, nested = dict(base.DEFAULTS), dict(base.NESTED)
    for name in own:
        value = cls.__dict__.get(name, Ellipsis)
        if isinstance(value, Nested):
            nested[name] = value
            value = value.default.get("default", Ellipsis)
        if value is not Ellipsis:
            defaults[name] = value
        else:
            defaults.pop(name, None)
    cls.FIELDS = (*base.FIELDS, *(name for name in own if name not in base.FIELDS))
    cls.DEFAULTS, cls.NESTED = defaults, nested


@dataclass_transform(kw_only_default=True, field_specifiers=(one, many))
class Record:
    """A typed message; see the module."""

    FIELDS: ClassVar[tuple[str, ...]] = ()
    """The names of the fields, in the order of their declaration."""

    DEFAULTS: ClassVar[dict[str, Any]] = {}
    """The values of the fields that may be left out."""

    NESTED: ClassVar[dict[str, Nested]] = {}
    """The fields that hold records."""

    NAME: ClassVar[str] = ""
    """What tells a variant from the others; see `Variant`."""

    def __init_subclass__(cls) -> None:
        cls.FIELDS, cls.DEFAULTS, cls.NESTED = _TABLES

    def __init__(self, /, **values: Any) -> None:
        known = self.FIELDS
        for name in known:
            if name not in values:
                if name not in self.DEFAULTS:
                    raise Mismatch(_difference(type(self), values))
                values[name] = _own(self.DEFAULTS[name])
        if len(values) != len(known):
            raise Mismatch(_difference(type(self), values))
        self.__dict__.update(values)

    @classmethod
    def parse(cls: type[R], data: Any) -> R:
        """Return the record that plain data stands for.

        Raises:
            Mismatch: a field is missing or unknown; the message names record and field.
        """
        if not isinstance(data, dict):
            raise Mismatch(f"{cls.__name__} is not a mapping")
        if cls.NESTED:
            data = dict(data)
            for name, nested in cls.NESTED.items():
                if name in data:
                    data[name] = nested.parse(data[name])
        return cls(**data)

    @classmethod
    def recall(cls: type[R], data: Mapping[str, Any]) -> R:
        """Return the record for what an older version may have written to disk.

        Fields that are not known any more are dropped; those that are missing get their default, or None.
        """
        values = {name: _own(cls.DEFAULTS.get(name)) for name in cls.FIELDS}
        for name in cls.FIELDS:
            if name in data:
                nested = cls.NESTED.get(name)
                values[name] = nested.parse(data[name]) if nested else data[name]
        return cls(**values)

    def plain(self) -> dict[str, Any]:
        """Return the record as plain data, every field in it."""
        values = self.__dict__
        data = {name: values[name] for name in self.FIELDS}
        for name in self.NESTED:
            data[name] = _plain(data[name])
        return data

    def replace(self: R, **values: Any) -> R:
        """Return a copy with other values for some fields."""
        return type(self)(**{**self.__dict__, **values})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({said})"


class Variant(Record):
    """One of several records that may stand in the same place, told apart by a word in the plain data.

    The first subclass names the key of that word as `TAG`; each of its subclasses names its word as `NAME`.
    """

    TAG: ClassVar[str] = ""
    VARIANTS: ClassVar[dict[str, type[Record]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "TAG" in cls.__dict__:
            cls.VARIANTS = {}
        elif cls.NAME:
            cls.VARIANTS[cls.NAME] = cls

    @classmethod
    def parse(cls: type[R], data: Any) -> R:
        """Return the variant that plain data stands for.

        Raises:
            Mismatch: no variant has this name, or a field is missing or unknown.
        """
        tag: str = getattr(cls, "TAG", "")
        fields = dict(data) if isinstance(data, dict) else {}
        name = fields.pop(tag, None)
        variants: dict[Any, type[R]] = {cls.NAME: cls} if cls.NAME else getattr(cls, "VARIANTS", {})
        if not isinstance(name, str) or name not in variants:
            raise Mismatch(f"unknown {tag} {name!r}")
        return super(Variant, variants[name]).parse(fields)

    def plain(self) -> dict[str, Any]:
        """Return the record as plain data, its word first."""
        return {self.TAG: self.NAME, **super().plain()}


def _own(value: Any) -> Any:
    """Return a default that nobody else changes."""
    return value.copy() if isinstance(value, (list, dict)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.plain()
    return [each.plain() for each in value] if isinstance(value, list) else value


def _difference(kind: type[Record], values: Mapping[str, Any]) -> str:
    missing = [f"lacks `{name}`" for name in kind.FIELDS if name not in values and name not in kind.DEFAULTS]
    unknown = [f"has no field `{name}`" for name in values if name not in kind.FIELDS]
    return f"{kind.__name__} {' and '.join([*missing, *unknown])}"
