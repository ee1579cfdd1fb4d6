"""Known failures of vLLM.

The texts are those of its sources; several versions of a sentence are matched by what they share.
"""

from __future__ import annotations

import re
from typing import Sequence

from provision.host.services.failures.known.known import Known
from provision.host.services.gpus import memory

MOVED = 4.0
"""GiB beyond the weights that vLLM itself does not need: it took 0.8 to 2.6 GiB in ten real starts."""


def _nothing_left(found: re.Match[str], log: str) -> str:
    """Say what took the memory of the KV cache: the model itself, or meanwhile another process."""
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


KNOWN: Sequence[Known] = (
    # -- the command line
    Known(
        "unknown-flag",
        r"error: unrecognized arguments: (.+)",
        "this vLLM does not know {0}: remove it from the service (extra_args?), or pin a vLLM that has it",
    ),
    Known(
        "arguments-refused",
        r"error: argument (\S+): (invalid choice: .+|expected .+|invalid .+)",
        "correct {0}: {1}",
    ),
    # -- memory of the GPU
    Known(
        "gpu-memory",
        r"Free memory on device \S+ \(([\d.]+)/([\d.]+) GiB\) on startup is less than (?:desired|the engine)"
        r".*?\(([\d.]+), ([\d.]+) GiB\)",
        "only {0} of {1} GiB of the GPU are free and gpu_memory_utilization {2} asks for {3}: end what holds "
        "it, or lower gpu_memory_utilization",
    ),
    Known(
        "gpu-memory",
        r"Free memory on device .* is less than",
        "the GPU is in use: end what holds its memory, or lower gpu_memory_utilization",
    ),
    Known(
        "gpu-memory",
        r"Error in memory profiling\. Initial free memory ([\d.]+) GiB, current free memory ([\d.]+) GiB",
        "another process freed memory of the GPU while vLLM measured it ({0} GiB were free before, "
        "{1} GiB after): apply again when nothing else starts or stops on this GPU",
    ),
    Known("gpu-memory", r"No available memory for the cache blocks", _nothing_left),
    Known(
        "context-length",
        r"max seq len \((\d+)\).*?\(([\d.]+) GiB KV cache is needed.*?available KV cache memory "
        r"\(([\d.]+) GiB\).*?estimated maximum model length is (\d+)",
        "max_model_len {0} needs {1} GiB of KV cache and {2} GiB are free: set max_model_len to {3} or "
        "less, or raise gpu_memory_utilization",
    ),
    Known(
        "context-length",
        r"max seq len \((\d+)\) is larger than the maximum number of tokens .*?KV cache \((\d+)\)",
        "set max_model_len to {1} or less (it is {0}), or raise gpu_memory_utilization",
    ),
    Known(
        "context-length",
        r"KV cache is needed, which is larger than the available KV cache memory",
        "lower max_model_len, or raise gpu_memory_utilization",
    ),
    Known(
        "gpu-memory",
        r"GPU \d+ has a total capacity of ([\d.]+) GiB.*?this process has ([\d.]+) GiB memory in use",
        _out_of_memory,
    ),
    Known(
        "gpu-memory",
        r"(?:CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError|CUDA error: out of memory)",
        "the GPU ran out of memory: lower gpu_memory_utilization, max_num_seqs or max_model_len, or use more "
        "GPUs",
    ),
    # -- the model
    Known(
        "context-length",
        r"max_model_len \((\d+)\) is greater than the derived max_model_len \(\w+=(\d+)",
        "this model reads {1} tokens at most: set max_model_len to {1} or less (it is {0})",
    ),
    Known(
        "parallel-size",
        r"attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)",
        "tensor_parallel_size must divide the model's {0} attention heads, and {1} does not",
    ),
    Known(
        "parallel-size",
        r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)",
        "tensor_parallel_size × pipeline_parallel_size is {0} and the service sees {1} GPUs: lower it, or "
        "give more gpus",
    ),
    Known(
        "gpu-too-old",
        r"Bfloat16 is only supported on GPUs with compute capability",
        "this GPU is too old for bfloat16: set dtype: half",
    ),
    Known(
        "unknown-architecture",
        r"Model architectures \[(.+?)\] (?:are not supported|failed to be inspected)",
        "this vLLM does not know the architecture {0}: pin a newer vllm in the environment, or take another "
        "model",
    ),
    Known(
        "untrusted-code",
        r"(?:contains custom code|trust_remote_code=True)",
        "the model contains its own code: if you trust it, set trust_remote_code: true",
    ),
    Known(
        "model-incomplete",
        r"(?:HeaderTooLarge|header too large|MetadataIncompleteBuffer|InvalidHeaderDeserialization"
        r"|incomplete metadata|safetensors[^\n]*\n(?:[^\n]*\n){0,3}?[^\n]*\bMemoryError\b)",
        "a weight file is damaged: `provision apply --deep` checks every file of the model and fetches what "
        "is broken",
    ),
    Known(
        "model-incomplete",
        r"Cannot find any model weights with `([^`]+)`",
        "{0} contains no weights (*.safetensors): `provision apply --deep` fetches what is missing, or name "
        "another model",
    ),
    Known(
        "wrong-model",
        r"(?:The size of tensor a \(\d+\) must match|Attempted to load weight \(|s(?:hape|ize) mismatch for)",
        "the weights do not fit the model's config.json: take both from the same model and revision",
    ),
    Known(
        "wrong-model",
        r"No adapter found for (\S+)",
        "there is no LoRA adapter at {0}: correct the path, or declare it under `models:` and name it in "
        "`lora`",
    ),
    Known(
        "wrong-model",
        r"Cannot find the config file for (\w+)",
        "the model is not quantized by {0}: leave `quantization` out, or take a model that is",
    ),
    Known(
        "chat-template",
        r"chat template string \(([^)]+)\) appears path-like, but doesn't exist",
        "there is no chat template at {0}: correct `chat_template`, or declare the file under `files:`",
    ),
    Known(
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
    Known(
        "chat-template",
        r"(?:default chat template is no longer allowed|chat template .*(?:not defined|must be provided))",
        "the model has no chat template: set chat_template, or check it by `completion:` instead of `chat:`",
    ),
)

LAST: Sequence[Known] = (
    Known(
        "engine-died",
        r"EngineDeadError",
        "the engine's process ended without an error of its own, so something killed it: `dmesg` on the host "
        "tells whether the machine ran out of memory",
    ),
    Known(
        "engine-died",
        r"(?:Worker|Engine core) proc \S+ died unexpectedly",
        "a process of vLLM died: unless a traceback before it says why, `dmesg` on the host does (out of "
        "memory: take a smaller model; invalid opcode: this build of vLLM is for newer CPUs)",
    ),
)
"""What vLLM says when one of its processes has failed: it counts where nothing else does."""
