"""A mark in every field that takes a secret, as the schema of playbooks says, by every way they can come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from provision.config import resources
from provision.config.model import Model
from provision.config.playbook import PlayFields
from provision.config.schema import _models
from provision.config.secrets import Secret
from provision.config.services.any import SERVICES
from provision.config.services.base import Service

VAULT = Path(__file__).with_name("vault.yml")
"""Made by the real ansible-vault; the password is in `password` beside it."""

VAULT_MARK = "Mk7qVaultHunt55"
"""At `mark` in it."""

BESIDE: dict[str, dict[str, Any]] = {
    "vllm": {"environment": "e", "model": "m", "port": 8101},
    "asr": {"environment": "e", "model": "m", "vad_model": "m", "port": 8102},
    "container": {"image": "registry.example/a:1", "ports": ["8103:8000"]},
    "program": {"command": ["/usr/bin/serve"], "port": 8104},
    "gateway": {"upstreams": ["program"], "port": 8105},
    "ray": {"environment": "ray"},
}
"""What each kind of service needs besides."""


def holds(annotation: Any) -> bool:
    """Whether a secret can be somewhere in values of a type."""
    return annotation is Secret or any(map(holds, get_args(annotation)))


def fields() -> Iterator[tuple[type[Model], str, Any]]:
    """Yield each field of a playbook that takes secrets: its model, name and type."""
    for model in _models(PlayFields):
        for name, field in model.model_fields.items():
            if holds(field.annotation):
                yield model, name, field.annotation


class Planted:
    """The playbook, and the marks in it.

    Args:
        folder: gets what the references lead to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marks: list[str] = [VAULT_MARK]
        self.env: dict[str, str] = {"ANSIBLE_VAULT_PASSWORD_FILE": str(VAULT.with_name("password"))}
        (folder / "vault.yml").write_bytes(VAULT.read_bytes())
        self._ways = itertools.cycle([self._env, self._file, self._command, self._vault])

    def reference(self) -> dict[str, Any]:
        """Return a reference to a mark, by the next way."""
        return next(self._ways)(f"Mk7qNumber{len(self.marks)}x")

    def play(self, host: str) -> list[dict[str, Any]]:
        """Return a play with a mark in every field.

        Raises:
            AssertionError: a field is new, and this does not know where it belongs.
        """
        play: dict[str, Any] = {
            "hosts": host,
            "environments": {
                "e": {"packages": ["vllm==0.33.0", "funasr", "fastapi", "uvicorn", "python-multipart"]},
                "ray": {"packages": ["ray[default]==2.60.0"]},
                "hub": {"packages": ["huggingface_hub"]},
            },
            "models": {"m": {"path": "/data/m"}},
            "services": {kind: {"kind": kind, **more} for kind, more in BESIDE.items()},
        }
        play["services"]["ray"]["head"] = host
        kinds = {model: kind for kind, model in SERVICES.items()}
        for model, name, annotation in fields():
            value = {f"K{name}": self.reference()} if get_origin(annotation) is dict else self.reference()
            if model in kinds:
                play["services"][kinds[model]][name] = value
            elif model is resources.ModelSource:
                hub = {"huggingface": "owner/name", "endpoint": "http://127.0.0.1:9", "environment": "hub"}
                play["models"]["gated"] = {**hub, name: value}
            elif model is resources.File:
                play["files"] = {f"/etc/{name}": {name: value}}
            elif model is resources.Task:
                play["commands"] = {"use": {"run": "true", "creates": "/srv/used", name: value}}
            else:
                # A part of several kinds of services; their own fields are above.
                assert issubclass(model, Service), f"{model.__name__}.{name} takes secrets: plant one"
        return [play]

    def write(self, name: str, host: str) -> Path:
        """Write the playbook, and return its path."""
        path = self.folder / name
        path.write_text(yaml.safe_dump(self.play(host), sort_keys=False))
        return path

    def _env(self, mark: str) -> dict[str, Any]:
        self.marks.append(mark)
        self.env[f"V{len(self.marks)}"] = mark
        return {"env": f"V{len(self.marks)}"}

    def _file(self, mark: str) -> dict[str, Any]:
        self.marks.append(mark)
        (self.folder / f"given-{len(self.marks)}").write_text(f"{mark}\n")
        return {"file": f"given-{len(self.marks)}"}

    def _command(self, mark: str) -> dict[str, Any]:
        return {"command": ["cat", self._file(mark)["file"]]}

    def _vault(self, mark: str) -> dict[str, Any]:
        self.marks.append(f"{mark}Unused")  # keeps the numbers apart
        return {"vault": "vault.yml", "key": "mark"}
