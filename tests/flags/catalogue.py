"""The catalogue: for each flag what it accepts, by spans of releases."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from tests.flags.arguments import declared
from tests.flags.forms import Form, form
from tests.flags.wheels import Wheel

INVERSES = {"--enable-": "--disable-", "--disable-": "--enable-"}
"""What a flag with a `--no-` form is also called since 0.33, when it is turned around."""

CONFIG = {"--config": {"type": "text", "default": None}}
"""The parser of every release reads it before all other arguments, whether it is declared or not."""


def flags(version: str) -> dict[str, Form]:
    """Return the flags of a release, with their dashes; `of` names the flag that a shorter one stands for."""
    wheel = Wheel(version)
    inverts = "class EnableDisableAction(" in (wheel.read("vllm/utils/argparse_utils.py") or "")
    found: dict[str, Form] = dict(CONFIG)
    inverses: dict[str, Form] = {}
    for names, settings in declared(wheel.read):
        long = [name for name in names if name.startswith("--")]
        found.update({name: form(settings) for name in long})
        found.update({name: {"of": long[0]} for name in names if name not in long and name.startswith("-")})
        if inverts and settings.get("action") is argparse.BooleanOptionalAction:
            for name in long:
                for prefix, inverse in INVERSES.items():
                    if name.startswith(prefix):
                        inverses[inverse + name.removeprefix(prefix)] = {"type": "switch", "inverts": name}
    return {**inverses, **found}


def joined(releases: Mapping[str, Mapping[str, Form]]) -> dict[str, list[Form]]:
    """Return for each flag its forms, each with the first release that has it, and the first without it."""
    order = [*releases]
    names = sorted({name for found in releases.values() for name in found})
    catalogue: dict[str, list[Form]] = {}
    for name in names:
        spans: list[Form] = []
        before: Form | None = None
        for version in order:
            now = releases[version].get(name)
            if now != before:
                if before is not None:
                    spans[-1]["until"] = version
                if now is not None:
                    spans.append({"since": version, **now})
            before = now
        catalogue[name] = spans
    return catalogue


def text(releases: Mapping[str, Mapping[str, Form]]) -> str:
    """Return the data file, one line a form."""
    lines = [f' "versions": {json.dumps([*releases])}']
    flags = [f"  {json.dumps(name)}: [\n{_rows(spans)}]" for name, spans in joined(releases).items()]
    return "{\n" + lines[0] + ',\n "flags": {\n' + ",\n".join(flags) + "\n }\n}\n"


def _rows(spans: list[dict[str, Any]]) -> str:
    return ",\n".join(f"   {json.dumps(span, ensure_ascii=False)}" for span in spans)
