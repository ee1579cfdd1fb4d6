"""`typing.NamedTuple`, as far as it is used here."""

from __future__ import annotations

from _operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:

    class NamedTuple(tuple):
        """A tuple with a name for each value: the annotations of the subclass, in their order."""

        __slots__ = ()
        _fields: tuple[str, ...] = ()
        _defaults: dict[str, Any] = {}  # noqa: RUF012 (each subclass gets its own)

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
            for index, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(index)))

        def __new__(cls, *values: Any, **named: Any) -> Any:
            """Take the values in order, by name, or from the defaults."""
            left = cls._fields[len(values) :]
            known = {**cls._defaults, **named}
            if not (len(values) <= len(cls._fields) and set(named) <= set(left) <= set(known)):
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
            return tuple.__new__(cls, (*values, *(known[name] for name in left)))

        def _replace(self, **named: Any) -> Any:
            """Return the same with other values for some names."""
            return type(self)(**{**dict(zip(self._fields, self)), **named})

        def _asdict(self) -> dict[str, Any]:
            """Return names and values."""
            return dict(zip(self._fields, self))

        def __repr__(self) -> str:
            said = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
            return f"{type(self).__name__}({said})"


__all__ = ["NamedTuple"]
