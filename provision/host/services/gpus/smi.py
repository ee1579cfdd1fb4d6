"""Asking the NVIDIA driver's own tool: several questions at once, bounded in time; what its refusals mean.

A driver that hangs takes the tool with it, which then cannot even be killed: it is left behind.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Sequence

from provision.host.capture import Completed
from provision.host.failure import Failure
from provision.host.files.paths import which
from provision.host.machine import Machine
from provision.host.threads import within
from provision.wire.finding import Finding, fault

TOOL = "nvidia-smi"

LIMIT = 15.0
"""Seconds for an answer. Without persistence mode the driver first wakes up each of eight GPUs."""

_DMESG = "look for NVRM and Xid in `dmesg`"

_LATE = Completed(-1, "", "", late=True)

MEANINGS = (
    (
        r"couldn't communicate with the NVIDIA driver",
        "the NVIDIA driver is not loaded",
        f"run `modprobe nvidia`, or install a driver for the kernel that runs; {_DMESG}",
    ),
    (
        r"[Vv]ersion mismatch",
        "the NVIDIA driver was updated, and the old one is still loaded",
        "reboot the host, or stop all that uses its GPUs and load the driver again",
    ),
    (
        r"Insufficient Permissions",
        "the NVIDIA driver does not answer this user",
        "set become: true on the host, or give the user access to /dev/nvidia*",
    ),
    (
        r"libnvidia-ml\.so",
        "the libraries of the NVIDIA driver are missing",
        "install them in the version of the loaded driver; a container gets them with `utility` in "
        "NVIDIA_DRIVER_CAPABILITIES",
    ),
    (
        r"GPU is lost|fallen off the bus|determine the device handle|requires reset",
        "a GPU does not answer",
        f"reboot the host; if that does not help, check the card, its power and its cooling; {_DMESG}",
    ),
    (
        r"No devices were found",
        "the NVIDIA driver finds no GPU",
        f"check with `lspci | grep -i nvidia` that there is one; {_DMESG}",
    ),
    (
        r"access blocked by the operating system",
        "the devices of the NVIDIA driver cannot be opened",
        "check /dev/nvidiactl, and that this container or cgroup may use it",
    ),
    (
        r"Failed to initialize NVML",
        "the NVIDIA driver cannot be used",
        "a container that has lost its GPUs has to be started again; elsewhere reboot",
    ),
)
"""Words of the tool (its manual: RETURN VALUE; NVML: nvmlErrorString), what they mean, and the way out."""


def installed() -> bool:
    """Whether the tool is on this machine."""
    return which(TOOL) is not None


def ask(machine: Machine, *questions: Sequence[str]) -> list[Completed]:
    """Return what the tool answers to each question; they are asked at the same time."""
    answers = within(LIMIT + 2, [partial(_ask, machine, words) for words in questions])
    return [answer or _LATE for answer in answers]


def _ask(machine: Machine, words: Sequence[str]) -> Completed:
    try:
        return machine.run([TOOL, *words], timeout=LIMIT, check=False)
    except Failure as failure:
        return _LATE if "did not end" in failure.message else Completed(-1, "", failure.message)


def trouble(answer: Completed) -> Finding | None:
    """Return what is wrong with the driver, from an answer; None when nothing is."""
    if answer.late:
        message = f"the NVIDIA driver does not answer: {TOOL} has not ended within {LIMIT:.0f} s"
        return fault("driver-failing", message, f"reboot the host; {_DMESG}")
    said = f"{answer.out}\n{answer.err}"
    found = next(((what, hint) for words, what, hint in MEANINGS if re.search(words, said)), None)
    if found is None and answer.code == 0:
        return None
    first = next((line.strip() for line in said.splitlines() if line.strip()), f"exit {answer.code}")
    what, hint = found or ("the NVIDIA driver cannot be asked", f"run `{TOOL}` on the host; {_DMESG}")
    return fault("driver-failing", f"{what}: {first}", hint)
