"""The arguments of a package are read from its source: a small one, written as vLLM writes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flags.arguments import declared
from tests.flags.catalogue import joined
from tests.flags.forms import Form, form
from tests.flags.values import Undecided

CONFIG = """
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Annotated, Any, Literal, get_args
import json
import torch
from pydantic import Field, SkipValidation
from vllm.platforms import current_platform

Mode = Literal["fast", "exact"]

class Format(str, Enum):
    AUTO = "auto"
    HF = "hf"

@dataclass
class Base:
    mode: Mode = "fast"
    chunked: SkipValidation[bool] = None
    size: int | None = Field(default=None, ge=1)

@dataclass
class Config(Base):
    dtype: "str | torch.dtype" = "auto"
    patterns: list[str] = field(default_factory=lambda: ["*"])
    device: str = current_platform.device_type

def get_kwargs(cls):
    found = {}
    for each in fields(cls):
        default = each.default
        if hasattr(default, "default_factory"):
            default = default.default
        found[each.name] = {"default": default, "hint": each.type}
    return found
"""

PARSER = """
import argparse
import json
from vllm.config import Config, Format, Mode, get_args, get_kwargs

def optional_type(return_type):
    def _optional_type(val):
        if val == "" or val == "None":
            return None
        return return_type(val)
    return _optional_type

def make_arg_parser(parser):
    group = parser.add_argument_group(title="Config")
    kwargs = get_kwargs(Config)
    group.add_argument("--mode", "-m", choices=sorted(get_args(Mode)), default=kwargs["mode"]["default"])
    group.add_argument("--format", choices=[f.value for f in Format], default=Format.AUTO)
    group.add_argument("--chunked", action=argparse.BooleanOptionalAction, default=None)
    group.add_argument("--size", **{**{"type": optional_type(int)}, "default": kwargs["size"]["default"]})
    group.add_argument("--backend", type=lambda s: s.lower().replace("-", "_"), choices=["a_b"])
    group.add_argument("--old", type=json.loads, help=f"{'--old'} is deprecated")
    group.add_argument("--device", default=kwargs["device"]["default"])
    if not ("serve" in ["vllm"]):
        parser.add_argument("--patterns", nargs="+", type=str, action="append")
    return parser
"""


def read(parser: str = PARSER) -> dict[str, Form]:
    files = {"vllm/config.py": CONFIG, "vllm/entrypoints/openai/cli_args.py": parser}
    return {names[0]: form(settings) for names, settings in declared(files.get)}


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--mode", {"type": "text", "choices": ["exact", "fast"], "default": "fast"}),
        ("--format", {"type": "text", "choices": ["auto", "hf"], "default": "auto"}),
        ("--chunked", {"type": "switch", "negatable": True, "default": None}),
        ("--size", {"type": "int?", "default": None}),
        ("--backend", {"type": "name", "choices": ["a_b"], "default": None}),
        ("--old", {"type": "json", "deprecated": True, "default": None}),
        ("--patterns", {"type": "text", "nargs": "+", "repeated": True, "default": None}),
    ],
)
def test_what_an_argument_accepts(flag: str, expected: dict[str, Any]) -> None:
    assert read()[flag] == expected


def test_a_default_that_depends_on_the_machine_is_left_out() -> None:
    assert read()["--device"] == {"type": "text"}


def test_a_decision_that_depends_on_the_machine_is_no_guess() -> None:
    with pytest.raises(Undecided):
        read(PARSER.replace('if not ("serve" in ["vllm"])', "if missing_name"))


@pytest.mark.parametrize(
    "code", ["().__class__.__bases__", "make_arg_parser.__globals__", "open('/etc/passwd')"]
)
def test_nothing_that_is_read_reaches_beyond_it(code: str) -> None:
    if code.startswith("open"):
        assert read(PARSER.replace("return parser", f"parser.add_argument('--x', default={code})"))[
            "--x"
        ] == {"type": "text"}
    else:
        with pytest.raises(Undecided):
            read(PARSER.replace("return parser", code))


def test_equal_neighbours_are_one_span() -> None:
    old, new = {"type": "int"}, {"type": "size"}
    found = joined({"1": {"--a": old}, "2": {"--a": old}, "3": {"--a": new}, "4": {}, "5": {"--a": new}})
    assert found["--a"] == [
        {"since": "1", "type": "int", "until": "3"},
        {"since": "3", "type": "size", "until": "4"},
        {"since": "5", "type": "size"},
    ]
