"""Who installs the packages of an environment: uv where it does as pip would, else pip."""

from __future__ import annotations

import os
from typing import Sequence

from provision.host.failure import Failure
from provision.host.python import pip_configuration, uv
from provision.host.python.pip import Pip


def install(pip: Pip, installer: str, requirements: Sequence[str]) -> None:
    """Install requirements and what they need.

    Args:
        pip: the environment's pip; whatever it has been told counts for uv, too.
        installer: `pip`, `uv`, or `auto`: uv, and pip for what uv cannot do, which is said in the output.
        requirements: as pip writes them ("vllm==0.33.0", "-e /src/x").

    Raises:
        Failure: it did not work, or `uv` is asked for and cannot do as pip has been told.
    """
    if installer == "pip":
        pip.install(requirements)
        return
    try:
        _uv(pip).install(requirements)
    except uv.Unfit as unfit:
        if installer == "uv":
            raise
        pip.machine.output(pip.id, f"pip installs instead of uv: {unfit.message}")
        pip.install(requirements)


def _uv(pip: Pip) -> uv.Uv:
    options = pip.options
    told = pip_configuration.with_options(pip_configuration.read(pip.machine, pip.environment), options)
    if "extra-index-url" in told and "index-url" not in told:
        try:
            told["index-url"] = pip_configuration.default_index(pip.machine, pip.environment)
        except Failure as failure:
            raise uv.Unfit(
                "pip-failed", f"this pip does not say where it looks by itself: {failure.message}"
            ) from None
    try:
        settings = pip_configuration.translate(told, os.environ)
    except pip_configuration.NoCounterpart as missing:
        raise uv.Unfit(
            "pip-failed",
            f"uv has no counterpart for {missing}",
            hint="let pip install it: installer: pip, or auto",
        ) from None
    return uv.Uv(pip, uv.obtain(pip.machine, pip), settings)
