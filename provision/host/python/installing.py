"""Who installs the packages of an environment: uv where it does as pip would, else pip."""

from __future__ import annotations

import os
from typing import Sequence

from provision.host.failure import Failure
from provision.host.python import pip_configuration, uv
from provision.host.python.pip import Pip


def install(pip: Pip, installer: str, requirements: Sequence[str], *, exactly: bool = False) -> None:
    """Install requirements and what they need.

    Args:
        pip: the environment's pip; its configuration counts for uv, too.
        installer: `pip`, `uv`, or `auto`: uv, and pip for what uv cannot do; the output then says so.
        requirements: as pip writes them ("vllm==0.33.0", "-e /src/x").
        exactly: these alone, each in one version, whatever the constraints say; they may have hashes.

    Raises:
        Failure: it did not work, or `uv` is asked for and cannot do what pip is configured to do.
    """
    if exactly:
        pip = pip._replace(spec=pip.spec.replace(constraints=[]))
    if installer == "pip":
        pip.install(requirements, dependencies=not exactly)
        return
    try:
        _uv(pip).install(requirements, exactly=exactly)
    except uv.Unfit as unfit:
        if installer == "uv":
            raise
        pip.machine.output(pip.id, f"pip installs instead of uv: {unfit.message}")
        pip.install(requirements, dependencies=not exactly)


def _uv(pip: Pip) -> uv.Uv:
    machine, spec = pip.machine, pip.spec
    configuration = pip_configuration.with_options(pip_configuration.read(machine, spec.path), spec)
    if "extra-index-url" in configuration and "index-url" not in configuration:
        try:
            configuration["index-url"] = pip_configuration.default_index(machine, spec.path)
        except Failure as failure:
            raise uv.Unfit(
                "pip-failed", f"this pip does not tell its default index: {failure.message}"
            ) from None
    try:
        settings = pip_configuration.translate(configuration, os.environ)
    except pip_configuration.NoCounterpart as missing:
        raise uv.Unfit(
            "pip-failed",
            f"uv has no counterpart for {missing}",
            hint="let pip install it: installer: pip, or auto",
        ) from None
    return uv.Uv(pip, uv.obtain(machine, pip), settings)
