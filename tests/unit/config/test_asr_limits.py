"""A playbook accepts for the speech service what the app on the host accepts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from provision.asr import settings
from provision.asr.declared import OPTIONS, Option
from provision.kinds.asr.fields import OPTION_FIELDS, AsrService

FIELDS = {name: OPTIONS[name] for name in OPTION_FIELDS}

EDGES: list[Any] = [-1, 0, 1, 0.5, 256, 257, 65535, 65536]


def values(option: Option) -> list[Any]:
    if isinstance(option.default, bool):
        return [True, False]
    if isinstance(option.default, str):
        return [*(option.choices or ()), option.default, "klingon"]
    return EDGES


def takes_playbook(name: str, value: Any) -> bool:
    service = {"kind": "asr", "environment": "e", "model": "m", "vad_model": "v"}
    try:
        AsrService.model_validate({**service, OPTION_FIELDS[name]: value})
    except ValidationError:
        return False
    return True


def takes_app(name: str, option: Option, value: Any) -> bool:
    flag = name.replace("_", "-")
    words = [f"--{flag}={value}"]
    if isinstance(option.default, bool):
        words = [f"--{flag}" if value else f"--no-{flag}"]
    try:
        settings.parse([*words, "--model", "/m", "--vad-model", "/v"], {})
    except SystemExit:
        return False
    return True


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_takes_what_the_app_takes(name: str) -> None:
    option = FIELDS[name]
    for value in values(option):
        if name in ("host", "device") or (name == "port" and value == 0):
            continue  # the app tries any address or device at its start; port 0 is for tests of the app
        assert takes_playbook(name, value) == takes_app(name, option, value), value


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_has_the_default_of_the_app(name: str) -> None:
    option = FIELDS[name]
    if name != "host":  # a playbook's server is for others; one started by hand is not
        assert AsrService.model_fields[OPTION_FIELDS[name]].default == option.default


def test_every_option_is_a_setting_with_its_default() -> None:
    found = settings.parse(["--model", "/m", "--vad-model", "/v", "--workers", "1"], {})
    assert {name: getattr(found, name) for name in OPTIONS} == {
        name: option.default for name, option in OPTIONS.items()
    }
