"""Classes that `dataclasses` completes when they are used: as if it had done so at once."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field

import pytest

from provision.dataclass import dataclass


@dataclass(frozen=True)
class Frozen:
    """It cannot be changed."""

    name: str
    parts: tuple[str, ...] = ()


@dataclass
class Open:
    """It can."""

    name: str = "x"
    parts: list[str] = field(default_factory=list)


@dataclass
class Derived(Open):
    """It has more."""

    more: int = 0


@dataclass(repr=False)
class Own:
    """It has methods of its own."""

    name: str

    def __repr__(self) -> str:
        return "own"

    def __eq__(self, other: object) -> bool:
        return other == 7


def raw(cls: type, **values: object) -> object:
    """Return an object as pickle makes it: without a call of the class."""
    made: object = cls.__new__(cls)
    vars(made).update(values)
    return made


def test_objects_that_nobody_has_called_the_class_for() -> None:
    one = raw(Frozen, name="a", parts=())
    assert repr(one) == "Frozen(name='a', parts=())"
    assert one == Frozen("a")
    assert {one: 1}[Frozen("a")] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "b"  # type: ignore[attr-defined]


@pytest.mark.parametrize("use", [repr, hash, dataclasses.fields, dataclasses.asdict, copy.copy])
def test_any_first_use_completes_it(use: Callable[[object], object]) -> None:
    cls = dataclass(frozen=True)(type("Fresh", (), {"__annotations__": {"name": str}, "__doc__": ""}))
    one = raw(cls, name="a")
    use(one)
    assert one == cls("a")
    assert [each.name for each in dataclasses.fields(cls)] == ["name"]


def test_what_is_based_on_it_has_its_fields() -> None:
    assert Derived("a", more=2) == Derived("a", [], 2)
    assert dataclasses.replace(Derived("a"), more=3) == Derived("a", [], 3)
    assert Open().parts is not Open().parts


def test_its_own_methods_stay() -> None:
    assert repr(Own("a")) == "own"
    assert Own("a") == 7


def test_a_pickle_of_it() -> None:
    assert pickle.loads(pickle.dumps(Frozen("a", ("b",)))) == Frozen("a", ("b",))


def test_a_pattern_by_position() -> None:
    match Frozen("a"):
        case Frozen(name):
            assert name == "a"
