"""Python environments that are installed once, by ``provision``, and lie below those of many hosts.

For tests of what runs in an environment; its installation is tested elsewhere, and takes minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import machine
from .base import Base
from .errors import LabError
from .lab import Lab
from .locking import locked
from .paths import state_directory

ENVIRONMENTS = "/opt/provision/environments"
"""Where hosts have them."""

SECONDS = 1500
"""For one installation, on a busy machine."""


def installed(lab: Lab, environments: dict[str, Any], base: Base) -> str:
    """Return the layer (see ``Lab.add``) with these environments, as a playbook declares them.

    It is kept for later labs, by what is declared, the base and pip's configuration.
    """
    key = repr((json.dumps(environments), base.ensure().name, machine.pip_configuration().text("")))
    place = state_directory() / "cache" / "environments" / hashlib.sha256(key.encode()).hexdigest()[:12]
    with locked(place.parent / "lock"):
        if not place.is_dir():
            _install(lab, environments, base, place)
    return f"{place}:{ENVIRONMENTS}"


def _install(lab: Lab, environments: dict[str, Any], base: Base, place: Path) -> None:
    (host,) = lab.add(f"maker-{os.getpid()}", base=base)
    playbook = host.directory / "environments.yml"
    playbook.write_text(json.dumps([{"hosts": host.name, "environments": environments}]), encoding="utf-8")
    words = [sys.executable, "-m", "provision", "apply", str(playbook), "--yes", "-i", str(lab.inventory)]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        if ended.returncode:
            raise LabError(f"the environments cannot be installed: {ended.stdout[-3000:]}{ended.stderr}")
        made = host.directory / "upper" / ENVIRONMENTS.lstrip("/")
        host.stop()
        shutil.move(made, place)
    finally:
        lab.remove(host.name)
