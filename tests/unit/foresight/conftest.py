"""Hosts of playbooks as users write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provision.catalog.catalog import Catalog
from provision.project.load import load
from provision.project.project import Selection

Compile = Callable[..., Catalog]

HEAD = """
- hosts: all
  environments:
    vllm: {packages: ["vllm==0.25.1"]}
    asr: {packages: [funasr, fastapi, uvicorn, python-multipart]}
  models:
    q: {path: /models/q}
    l: {path: /models/l}
  services:
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Return a function that compiles services, each a line of YAML, for the host `box`."""

    def compiled(*services: str, gpus: str = "[]") -> Catalog:
        (tmp_path / "i.yml").write_text(
            f"hosts:\n  box: {{address: 192.0.2.12, user: ops, become: true, gpus: {gpus}}}\n",
            encoding="utf-8",
        )
        text = HEAD + "".join(f"    {each}\n" for each in services)
        (tmp_path / "p.yml").write_text(text, encoding="utf-8")
        return load(Selection((tmp_path / "p.yml",), (tmp_path / "i.yml",))).fleet.catalogs["box"]

    return compiled


def vllm(name: str, fields: str, port: int = 8001, model: str = "q") -> str:
    """Return a vLLM service as a line of YAML."""
    return f"{name}: {{kind: vllm, environment: vllm, model: {model}, port: {port}, {fields}}}"
