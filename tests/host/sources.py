"""A project that builds itself, and git: what a package can come from when it is no wheel."""

from __future__ import annotations

import subprocess
from pathlib import Path

BACKEND = """
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wheels import wheel
from pathlib import Path
VERSION = open("version").read().strip()
def build_wheel(directory, config_settings=None, metadata_directory=None):
    return wheel(Path(directory), "demo-app", VERSION).name
build_editable = build_wheel
"""


def source(directory: Path, version: str) -> Path:
    """Write a project that builds itself, without any other package."""
    (directory / "backend").mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["backend"]\n'
    )
    (directory / "version").write_text(version)
    (directory / "backend/backend.py").write_text(BACKEND)
    (directory / "backend/wheels.py").write_text((Path(__file__).parent / "wheels.py").read_text())
    return directory


def git(directory: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=directory, check=True, capture_output=True)
