"""Whether the driver runs the CUDA that wheels are built with, before these gigabytes are downloaded.

Minimum drivers: NVIDIA, CUDA Toolkit Release Notes, tables "CUDA Toolkit and Minimum Required Driver Version
for CUDA Minor Version Compatibility" and "CUDA Toolkit and Corresponding Driver Versions". Compatibility
package: NVIDIA, CUDA Compatibility, "Forward Compatibility".
"""

from __future__ import annotations

import glob
import re
from typing import Callable

from provision.host.item import Item
from provision.host.preflight.wheels import named
from provision.host.python import versions
from provision.wire.finding import Finding, fault, warning
from provision.wire.specs.environment import Wheel

VERSION = "/proc/driver/nvidia/version"
"""Where the loaded driver tells its version."""

COMPATIBLE = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
"""The oldest driver that runs programs of a CUDA, of whatever minor version."""

OWN = {
    "11.8": "520.61.05", "12.0": "525.60.13", "12.1": "530.30.02", "12.2": "535.54.03", "12.3": "545.23.06",
    "12.4": "550.54.14", "12.5": "555.42.02", "12.6": "560.28.03", "12.8": "570.26", "12.9": "575.51.03",
    "13.0": "580.65.06",
}  # fmt: skip
"""The oldest driver that a toolkit comes with, which also compiles its kernels at run time."""

FORWARD = "/usr/local/cuda-{major}*/compat/libcuda.so.1"
"""What the package cuda-compat brings: a newer CUDA on an older driver, on data center GPUs."""


def version() -> str | None:
    """Return the version of the loaded driver; None without one."""
    try:
        with open(VERSION, encoding="utf-8", errors="replace") as file:
            found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", file.read())
    except OSError:
        return None
    return found.group(1) if found else None


def too_old(wheel: Wheel, driver: str, instead: Callable[[str], str | None]) -> Finding | None:
    """Return what a driver does not run of a release; None where it runs all of it.

    Args:
        wheel: the release.
        driver: the version of the driver.
        instead: gives what to pin for a CUDA ("vllm==0.19.1"), where that is known better than from `wheel`.
    """
    cuda = wheel.cuda
    if cuda is None:
        return None
    major = cuda.partition(".")[0]
    newest = max(COMPATIBLE, key=int)
    # A later series needs a later driver than the last one that is known.
    least = COMPATIBLE[newest] if int(major) > int(newest) else COMPATIBLE.get(major)
    built = f"{named(wheel)} is built for CUDA {cuda}"
    if least and versions.compare(driver, least) < 0:
        message = f"{built}, which needs driver {least} or newer; this host has {driver}"
        library = next(iter(sorted(glob.glob(FORWARD.format(major=major)))), None)
        if library:
            place = library.rpartition("/")[0]
            return warning("driver-too-old", message, f"set LD_LIBRARY_PATH={place} in `env` of its services")
        kind = fault if wheel.pinned else warning
        return kind("driver-too-old", message, _way_out(wheel, driver, instead, own=False))
    own = OWN.get(cuda)
    if own and versions.compare(driver, own) < 0:
        message = (
            f"{built}, whose own driver is {own} or newer; with {driver} most of it runs, but not kernels "
            "that are compiled at run time from PTX"
        )
        return warning("driver-too-old", message, _way_out(wheel, driver, instead, own=True))
    return None


def _way_out(wheel: Wheel, driver: str, instead: Callable[[str], str | None], own: bool) -> str:
    runs = _newest(driver, own)
    pin = instead(runs) if runs else None
    older = f", or pin {pin}" if pin else _older(wheel, driver, own)
    return f"install a newer driver{older}"


def _newest(driver: str, own: bool) -> str | None:
    """Return the newest CUDA that a driver runs: a series, or with all that it can do (`own`)."""
    table = OWN if own else COMPATIBLE
    run = [cuda for cuda, least in table.items() if versions.compare(driver, least) >= 0]
    return run[-1] if run else None


def _older(wheel: Wheel, driver: str, own: bool) -> str:
    """Return the newest release that this driver runs, as a way out; `own`: with all that the CUDA can do."""
    for cuda, release in wheel.builds:
        least = OWN.get(cuda) if own else COMPATIBLE.get(cuda.partition(".")[0])
        if least and versions.compare(driver, least) >= 0:
            return f", or pin {wheel.name}=={release}, the newest release for a CUDA that it runs ({cuda})"
    return ""


def brings(other: Item) -> bool:
    """Whether the change of a resource installs a driver: packages named for it."""
    return any("nvidia" in name or name.startswith("cuda") for name in other.changes)
