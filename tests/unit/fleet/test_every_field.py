"""Every field of every kind of service is of effect: what is dropped on the way would be wrong in silence."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from pydantic import ValidationError

from provision.catalog.catalog import Catalog
from provision.config.problems import ConfigError
from provision.config.services.any import SERVICES as KINDS
from tests.unit.fleet.conftest import ROOT, TWO, Project

PLAY: dict[str, Any] = {
    "hosts": "all",
    "environments": {
        "e": {"packages": ["vllm==0.33.0", "funasr", "fastapi", "uvicorn", "python-multipart", "modelscope"]},
        "other": {
            "packages": ["vllm==0.33.0", "funasr", "fastapi", "uvicorn", "python-multipart", "modelscope"]
        },
        "ray": {"packages": ["ray[default]==2.60.0"]},
        "ray-2": {"packages": ["ray[default]==2.59.0"]},
    },
    "models": {
        "m": {"path": "/data/m"},
        "v": {"path": "/data/v"},
        "other": {"path": "/data/other"},
    },
}

SERVICES: dict[str, dict[str, Any]] = {
    "vllm": {"environment": "e", "model": "m"},
    "asr": {"environment": "e", "model": "m", "vad_model": "v"},
    "container": {"image": "registry.example/a:1", "ports": ["8000:8000"]},
    "program": {"command": ["/usr/bin/serve"], "port": 8000},
    "gateway": {"upstreams": ["behind"]},
    "ray": {"environment": "ray", "head": "gpu-box"},
}
"""What each kind needs."""

GUESSES: list[Any] = [
    True,
    False,
    7,
    0.5,
    "90s",
    "other",
    "/data/other",
    "8G",
    ["other"],
    [1],
    ["/data/other"],
    ["8000:8000"],
    {"OTHER": "value"},
    {"env": "OTHER"},
]
"""Tried in order as another value of a field: the first that validates is taken."""

VALUES: dict[tuple[str, str], Any] = {
    ("any", "checks"): [{"http": "/other"}],
    ("any", "supervisor"): "script",
    ("any", "stop_timeout"): "20m",
    ("any", "tls"): {"ca": "/etc/tls/ca.pem"},
    ("any", "user"): "somebody",
    ("any", "sandbox"): {"PrivateTmp": "no"},
    ("container", "devices"): ["/dev/other"],
    ("container", "ulimits"): {"memlock": -1},
    ("container", "healthcheck"): {"test": "true"},
    ("container", "cpuset"): "0-3",
    ("container", "pid"): "host",
    ("asr", "device"): "cuda:1",
    ("asr", "language"): "zh",
    ("container", "image"): "registry.example/b:1",
    ("container", "ports"): ["8001:8000"],
    ("container", "volumes"): ["/data:/data:ro"],
    ("container", "restart"): "on-failure",
    ("container", "network"): "host",
    ("container", "ipc"): "host",
    ("container", "engine"): "podman",
    ("program", "command"): ["/usr/bin/other"],
    ("asr", "tls"): {"cert": "/etc/tls/cert.pem", "key": "/etc/tls/key.pem"},
    ("vllm", "dtype"): "float16",
    ("vllm", "extra_args"): ["--max-log-len", "9"],
    ("vllm", "lora"): {"adapter": "other"},
    ("vllm", "nodes"): {"hosts": ["gpu-2", "gpu-box"]},
    ("vllm", "speculative"): {"model": "other", "num_speculative_tokens": 3},
    ("program", "socket"): "/run/other.sock",
    ("vllm", "log_stats"): False,
    ("vllm", "tls"): {"cert": "/etc/tls/cert.pem", "key": "/etc/tls/key.pem"},
    ("vllm", "uvicorn_log_level"): "debug",
    ("gateway", "upstreams"): ["behind", "other"],
    ("gateway", "keys"): {"other": {"env": "OTHER"}},
    ("gateway", "addresses"): {"gpu-box": "10.9.9.9"},
    ("gateway", "tls"): "self-signed",
    ("gateway", "paths"): ["POST /other"],
    ("gateway", "limits"): {"body": "1MiB"},
    ("gateway", "timeouts"): {"answer": "1m"},
    ("gateway", "metrics"): {"port": 8999},
    ("ray", "environment"): "ray-2",
    ("ray", "head"): "gpu-2",
    ("ray", "addresses"): {"gpu-box": "10.9.9.9"},
    ("ray", "port"): 7000,
    ("ray", "min_worker_port"): 20100,
    ("ray", "max_worker_port"): 21000,
    ("ray", "dashboard_port"): 8265,
    ("ray", "resources"): {"nvme": 1},
    ("ray", "temp_dir"): "/srv/ray",
}
"""Another value for a field that no guess fits, or where a guess would be of no effect for good reason."""

BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("vllm", "enable_auto_tool_choice"): {"tool_call_parser": "hermes"},
    ("vllm", "nodes"): {"tensor_parallel_size": 2},
    ("container", "api_key_env"): {"env": {"other": "key"}},
    ("program", "api_key_env"): {"env": {"other": "key"}},
    ("program", "socket"): {"port": None},
    ("program", "served_model_name"): {"checks": [{"chat": "hello"}]},
}
"""What a field needs beside it, or is of no effect without."""


REFUSED = {
    ("container", "writable"),
    ("container", "sandbox"),
    ("gateway", "supervisor"),
    ("ray", "checks"),
}
"""What a kind refuses with a way out."""

_before: dict[str, str] = {}
"""What was compiled without another value."""


def compiled(project: Project, kind: str, service: dict[str, Any]) -> Catalog:
    behind = {"kind": "program", "command": ["/usr/bin/serve"], "tls": {}}
    others = {"behind": {**behind, "port": 9001}, "other": {**behind, "port": 9002}}
    play = {**PLAY, "services": {**others, "s": {"kind": kind, **service}}}
    return project.compile(json.dumps([play]), hosts=TWO if "nodes" in service or kind == "ray" else ROOT)


def outcome(catalog: Catalog) -> str:
    """Return all that goes to the host, as text."""
    return repr([(each.id, each.spec, each.needs) for each in catalog.resources])


def another(project: Project, kind: str, field: str, base: dict[str, Any]) -> Catalog:
    """Compile the service with another value of the field."""
    given = VALUES.get((kind, field), VALUES.get(("any", field)))
    problems = []
    for value in GUESSES if given is None else [given]:
        if value == base.get(field, KINDS[kind].model_fields[field].default):
            continue
        service = {**base, field: value}
        try:
            KINDS[kind].model_validate({"kind": kind, **service})  # the quicker way to most refusals
            return compiled(project, kind, service)
        except (ValidationError, ConfigError) as error:
            problems.append(f"{value}: {error}")
    hint = "add one to VALUES here, and to BESIDE what it needs beside it"
    pytest.fail(f"no value fits `{field}` of {kind}; {hint}\n" + "\n".join(problems))


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (kind, field)
        for kind, service in KINDS.items()
        for field in service.model_fields
        if field not in ("kind", "tags", "flags")  # these only select, or let pass
        and (kind, field) not in REFUSED
    ],
)
def test_a_field_changes_what_goes_to_the_host(project: Project, kind: str, field: str) -> None:
    base = copy.deepcopy({**SERVICES[kind], **BESIDE.get((kind, field), {})})
    key = json.dumps([kind, base])
    if key not in _before:
        _before[key] = outcome(compiled(project, kind, base))
    assert outcome(another(project, kind, field, base)) != _before[key]
