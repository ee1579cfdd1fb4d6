"""What the GPUs of a host themselves say against a service: missing, divided, in trouble, too slow a link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from provision.foresight.naming import called, listed, whole
from provision.foresight.subject import Subject
from provision.wire.finding import Finding, fault, information, warning
from provision.wire.questions import Surveyed
from provision.wire.survey import Gpu

LINKED = 3
"""From so many GPUs on that share each layer, a slow link between them is worth a word."""


def against(subject: Subject) -> Iterator[Finding]:
    """Give what speaks against a service before its memory is looked at."""
    if subject.needed == 0:
        return
    if not subject.surveyed.gpus:
        yield from _without(subject)
        return
    yield from _missing(subject)
    for gpu in subject.visible.gpus[: subject.needed]:
        yield from _single(subject, gpu)
    yield from _together(subject)


def _without(subject: Subject) -> Iterator[Finding]:
    stake = subject.stake
    if stake.cards and not stake.implied and subject.surveyed.trouble is None:
        # Not an error: what this run installs may bring a driver, and there are other GPUs than NVIDIA's.
        message = "it names GPUs, and no driver of NVIDIA answers on this host"
        found = warning("gpu-missing", message, "look at `nvidia-smi` on the host")
        yield subject.about(found, ("gpus", "device"))


def _missing(subject: Subject) -> Iterator[Finding]:
    there, missing = subject.visible
    for name in missing:
        known = called(whole(subject.surveyed.gpus or []))
        message = f"there is no GPU {name}; the host has {known}"
        yield subject.about(_judged(subject)("gpu-missing", message, "correct the list"), ("gpus", "device"))
    needed = subject.needed
    if needed is not None and not missing and needed > len(there):
        most = len(there) * subject.nodes
        if subject.nodes > 1:
            every = f"{needed * subject.nodes} GPUs, {needed} on each of {subject.nodes} nodes"
        else:
            every = f"{needed} GPUs"
        message = f"the parallel sizes need {every}, and the host has {len(there)}"
        hint = f"make their product {most} or less"
        sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
        yield subject.about(fault("gpu-count", message, hint), sizes)


def _single(subject: Subject, gpu: Gpu) -> Iterator[Finding]:
    fields = ("gpus", "device")
    if gpu.trouble is not None:
        # A value that cannot be read, such as that of a fan, stops nothing; without memory nothing starts.
        judged = fault if gpu.memory is None else warning
        hint = f"look at `nvidia-smi -i {gpu.index} -q` on the host, or use another GPU"
        yield subject.about(judged("gpu-trouble", f"the driver says {gpu.trouble}", hint), fields, [gpu])
    if gpu.mig == []:
        message = "it is set up to be divided (MIG), and has no instance that a process could use"
        hint = "make one by `nvidia-smi mig`, or turn MIG off by `nvidia-smi -mig 0`"
        yield subject.about(_judged(subject)("gpu-divided", message, hint), fields, [gpu])
    elif gpu.mig:
        message = f"it is divided (MIG) into {len(gpu.mig)}, and the service sees only the first part"
        hint = f"name the part to use by its UUID, such as {gpu.mig[0]}"
        yield subject.about(warning("gpu-divided", message, hint), fields, [gpu])


def _judged(subject: Subject) -> Callable[[str, str, str], Finding]:
    """Return what a missing GPU is: an error where one is needed; a program may run without."""
    return warning if subject.needed is None else fault


def _together(subject: Subject) -> Iterator[Finding]:
    used = subject.used
    names = list(dict.fromkeys(gpu.name for gpu in used))
    if len(names) > 1:
        message = f"its GPUs are of different kinds, {listed(names)}: the smallest decides"
        yield subject.about(warning("gpus-differ", message, "use GPUs of one kind"), ("gpus",), used)
    by_index = any(name.isdecimal() for name in subject.stake.cards)
    kinds = {gpu.name for gpu in whole(subject.surveyed.gpus or ())}
    if len(kinds) > 1 and by_index:
        message = (
            "the host has GPUs of different kinds, and CUDA counts the fastest first if nobody says otherwise"
        )
        hint = "name GPUs by UUID, or set `CUDA_DEVICE_ORDER: PCI_BUS_ID` in `env`"
        yield subject.about(information("gpu-order", message, hint), ("gpus", "device"))
    if len(used) >= LINKED and (slow := _slow(subject.surveyed, used)):
        message = f"no NVLink between {slow}: sharing each layer over {len(used)} GPUs is slow"
        yield subject.about(information("no-nvlink", message), ("tensor_parallel_size",))


def _slow(surveyed: Surveyed, used: list[Gpu]) -> str | None:
    """Return two GPUs that reach each other without NVLink, and how; None where all have one."""
    links = {frozenset((one, other)): how for one, other, how in surveyed.links}
    for one, other in combinations((gpu.index for gpu in used), 2):
        how = links.get(frozenset((one, other)))
        if how is not None and not str(how).startswith("NV"):
            return f"GPU {one} and GPU {other} ({how})"
    return None
