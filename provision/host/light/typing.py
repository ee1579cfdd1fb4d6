"""What `from typing import …` gets when the host side runs from its archive (`modules.py`).

The annotations of the host side are never evaluated, so most names only have to exist. `typing` itself takes
5 ms to import.
"""

from __future__ import annotations

from _operator import itemgetter


class Form:
    """Any name that only annotations use: it can be subscripted, called and inherited from."""

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __class_getitem__(cls, parameters: object) -> type[Form]:
        return cls


Any = BinaryIO = Callable = ClassVar = Collection = Dict = Generic = Hashable = Iterable = Iterator = List = (
    Form
)
Mapping = Optional = Sequence = Tuple = Type = TypeVar = Union = Form

TYPE_CHECKING = False


def dataclass_transform(**options: object) -> object:
    """Tell type checkers only."""
    return lambda cls: cls


class NamedTuple(tuple):  # type: ignore[type-arg]  # Python 3.8 cannot subscript it
    """A tuple with a name for each value: the annotations of the subclass, in their order."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: dict[str, object] = {}  # noqa: RUF012 (each subclass gets its own)

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(itemgetter(index)))

    def __new__(cls, *values: object, **named: object) -> NamedTuple:
        """Take the values in order, by name, or from the defaults."""
        left = cls._fields[len(values) :]
        known = {**cls._defaults, **named}
        if not (len(values) <= len(cls._fields) and set(named) <= set(left) <= set(known)):
            raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
        return tuple.__new__(cls, (*values, *(known[name] for name in left)))

    def _replace(self, **named: object) -> NamedTuple:
        """Return the same with other values for some names."""
        return type(self)(**{**self._asdict(), **named})

    def _asdict(self) -> dict[str, object]:
        """Return names and values."""
        return dict(zip(self._fields, self))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"{type(self).__name__}({said})"


def __getattr__(name: str) -> object:
    import typing

    return getattr(typing, name)
