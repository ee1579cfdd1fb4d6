"""The peers at their latest releases, in an environment of their own that the benchmark makes once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.commands import run
from tests.lab.errors import LabError
from tests.lab.paths import state_directory

PACKAGES = ("ansible-core", "mitogen", "pyinfra", "matplotlib")

_OLDEST = (3, 12)
"""The oldest Python that the latest ansible-core runs on."""


def cache() -> Path:
    """The directory of what the benchmark keeps between runs."""
    return state_directory() / "bench"


def install(upgrade: bool = False) -> Path:
    """Return the environment with the peers and matplotlib; made (in a minute) when it is not there."""
    path = cache() / "peers"
    done = path / "complete"
    if upgrade or not done.exists():
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        run([_python(), "-m", "venv", str(path)])
        run([str(path / "bin/pip"), "--disable-pip-version-check", "install", "--quiet", *PACKAGES])
        done.touch()
    return path


def releases(environment: Path) -> dict[str, str]:
    """Return package -> release of the peers."""
    listed = run([str(environment / "bin/pip"), "list", "--format", "json", "--disable-pip-version-check"])
    return {entry["name"]: entry["version"] for entry in json.loads(listed) if entry["name"] in PACKAGES}


def _python() -> str:
    check = f"import sys; sys.exit(sys.version_info < {_OLDEST})"
    pyenv = sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python3")), reverse=True)
    for name in (sys.executable, "python3.13", "python3.12", "python3", *pyenv):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", check], capture_output=True, check=False).returncode == 0:
            return path
    raise LabError("the peers need Python 3.12 or newer, and none was found")
