"""Records: what one half writes the other reads, and nothing is silently dropped or made up."""

from __future__ import annotations

import importlib
import json
import pickle
import pkgutil
from typing import ClassVar

import pytest

import provision.wire
from provision.wire.record import Mismatch, Record, Variant, many, one


class Part(Record):
    name: str
    size: int | None = None


class Whole(Record):
    title: str
    parts: list[Part] = many(Part)
    best: Part | None = one(Part, default=None)
    words: list[str] = []  # noqa: RUF012


class Shape(Variant):
    TAG: ClassVar[str] = "shape"
    colour: str = "red"


class Circle(Shape):
    NAME: ClassVar[str] = "circle"
    radius: float


class Square(Shape):
    NAME: ClassVar[str] = "square"
    side: float


def test_plain_data_and_back() -> None:
    whole = Whole(title="a", parts=[Part(name="x")], best=Part(name="y", size=2))
    crossed = json.loads(json.dumps(whole.plain()))
    assert crossed["parts"] == [{"name": "x", "size": None}]
    assert Whole.parse(crossed) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "Whole lacks `title` and lacks `parts`"),
        ({"title": "a", "parts": [], "colour": 1}, "Whole has no field `colour`"),
        ({"title": "a", "parts": [{"nane": "x"}]}, "Part lacks `name` and has no field `nane`"),
        ({"title": "a", "parts": [3]}, "Part is not a mapping"),
        (None, "Whole is not a mapping"),
    ],
)
def test_a_field_too_many_or_too_few(data: object, said: str) -> None:
    with pytest.raises(Mismatch) as raised:
        Whole.parse(data)
    assert str(raised.value) == said


def test_no_two_records_share_a_default() -> None:
    first, second = Part(name="a"), Whole(title="b", parts=[])
    second.words.append("c")
    assert Whole(title="d", parts=[]).words == []
    assert first.replace(size=3) == Part(name="a", size=3)


def test_variants_are_told_apart_by_their_word() -> None:
    circle = Shape.parse({"shape": "circle", "colour": "blue", "radius": 2})
    assert isinstance(circle, Circle)
    assert circle == Circle(colour="blue", radius=2)
    assert list(circle.plain()) == ["shape", "colour", "radius"]
    assert Square.parse({"shape": "square", "side": 1}).colour == "red"
    for data in ({"shape": "oval"}, {"radius": 2}, [], None):
        with pytest.raises(Mismatch, match="unknown shape"):
            Shape.parse(data)
    with pytest.raises(Mismatch, match="Circle lacks `radius`"):
        Shape.parse({"shape": "circle"})
    with pytest.raises(Mismatch, match="unknown shape 'circle'"):
        Square.parse({"shape": "circle", "radius": 2})


def test_what_an_older_version_has_written() -> None:
    assert Part.recall({"name": "a", "gone": 1}) == Part(name="a", size=None)
    recalled = Whole.recall({"parts": [{"name": "x"}]})
    assert (recalled.title, recalled.parts, recalled.words) == (None, [Part(name="x")], [])


def test_every_record_can_be_read() -> None:
    """No name of a variant is used twice, and every module of the contract can be imported by itself."""
    for module in pkgutil.walk_packages(provision.wire.__path__, "provision.wire."):
        importlib.import_module(module.name)

    def every(kind: type[Record]) -> list[type[Record]]:
        return [kind, *(each for sub in kind.__subclasses__() for each in every(sub))]

    ours = [kind for kind in every(Record) if kind.__module__.startswith("provision.wire.")]
    named = [(kind.__mro__, kind.NAME) for kind in ours if kind.NAME]
    tags = [(getattr(kind, "TAG", ""), kind.NAME) for kind in ours if kind.NAME]
    assert len(named) > 25
    assert len(tags) == len(set(tags))
    assert all(kind.__doc__ for kind in ours)
