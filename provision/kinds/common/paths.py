"""The paths in the fields of a service, and which of them it writes to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname, normpath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from provision.config.services.base import Service

Loc = tuple[str | int, ...]

NOT_PATHS = frozenset(
    {"kind", "supervisor", "user", "checks", "tags", "served_model_name", "host", "sandbox"}
)
"""Fields in which a text with a slash is not a path of the host."""

# fmt: off
CACHES = frozenset({
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE",
    "HF_XET_CACHE", "HF_MODULES_CACHE", "TRANSFORMERS_CACHE", "SENTENCE_TRANSFORMERS_HOME",
    "MODELSCOPE_CACHE", "MODELSCOPE_HOME", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT", "VLLM_ASSETS_CACHE",
    "VLLM_XLA_CACHE_PATH", "VLLM_TORCH_PROFILER_DIR", "VLLM_RPC_BASE_PATH",
    "VLLM_LORA_RESOLVER_CACHE_DIR", "OUTLINES_CACHE_DIR", "XGRAMMAR_CACHE_DIR", "TRITON_HOME",
    "TRITON_CACHE_DIR", "TRITON_DUMP_DIR", "TRITON_OVERRIDE_DIR", "TORCH_HOME", "TORCH_EXTENSIONS_DIR",
    "TORCHINDUCTOR_CACHE_DIR", "PYTORCH_KERNEL_CACHE_PATH", "TORCH_TRACE", "TORCH_LOGS_OUT",
    "FLASHINFER_WORKSPACE_BASE", "FLASHINFER_CACHE_DIR", "FLASHINFER_JIT_DIR", "FLASHINFER_CUBIN_DIR",
    "DG_JIT_CACHE_DIR", "SGLANG_DG_CACHE_DIR", "TILELANG_CACHE_DIR", "TVM_HOME", "NUMBA_CACHE_DIR",
    "CUDA_CACHE_PATH", "CUPY_CACHE_DIR", "MIOPEN_USER_DB_PATH", "MIOPEN_CUSTOM_CACHE_DIR",
    "AITER_JIT_DIR", "ASCEND_WORK_PATH", "ASCEND_CACHE_PATH", "ASCEND_PROCESS_LOG_PATH",
    "TORCHAIR_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR", "TIKTOKEN_CACHE_DIR", "TIKTOKEN_RS_CACHE_DIR",
    "MPLCONFIGDIR", "PADDLE_HOME", "PADDLE_PDX_CACHE_HOME", "LMCACHE_LOCAL_DISK", "OLLAMA_MODELS",
    "OLLAMA_TMPDIR", "XINFERENCE_HOME", "GPUSTACK_DATA_DIR", "RAY_TMPDIR", "XDG_CACHE_HOME",
    "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "HOME", "TMPDIR", "TEMP",
    "TMP", "PROMETHEUS_MULTIPROC_DIR", "PYTHONPYCACHEPREFIX", "WANDB_DIR",
})
# fmt: on
"""Variables that name a directory which is written to."""

TEMPORARY = frozenset({"TMPDIR", "TEMP", "TMP"})

_WRITES = (
    "log|logs|logging|access[-_]?log|error[-_]?log|cache|download|downloads|output|outputs|out|tmp|temp|temporary"
    "|work|workspace|uds|socket|sock|unix[-_]?socket|pid|save|dump|spool|state|upload|uploads|storage|profiler"
    "|profile|trace|traces|results?|recordings?|slot[-_]?save"
)
_ENDS = "dir|directory|path|file|folder|root|base|home"
_WRITING = re.compile(rf"(?:^|.*[-_.])(?:{_WRITES})(?:[-_]?(?:{_ENDS}))?", re.IGNORECASE)
_FILE = re.compile(r".*(?:uds|socket|sock|file|pid|access[-_]?log|error[-_]?log|out)$", re.IGNORECASE)
"""Names of options and variables whose value is written to, and those of single files."""

SURE = frozenset({"download-dir", "log-dir", "cache-dir", "log-file", "uds", "socket"})
"""Options and fields, with dashes, whose value is known to be written to."""

_LISTS = re.compile(r"(?:.*_)?PATH$|LD_PRELOAD$|CLASSPATH$")
"""Variables that list places to search; one that cannot be read is skipped."""

_SCHEMES = re.compile(r"\b(?:file|unix|ipc|sqlite|lmdb|leveldb):/{2,4}(?=[A-Za-z0-9._])")
_STARTS = re.compile(r"""(?:^|(?<=[=:,;@<>&|\s"'`(\[{]))(/[^\s:,;"'`)\]}<>&|]*)""")
_FLAG = re.compile(r"^-[A-Za-z](?=/)")


class UsedPath(NamedTuple):
    """One path in the fields of a service.

    Args:
        loc: the place in the service.
        path: absolute and normalized.
        writes: the directory to write to because of it, or None for a path that is read.
        sure: whether what is written to is known by name, and not only guessed.
        listed: whether it is one of several places to search.
    """

    loc: Loc
    path: str
    writes: str | None = None
    sure: bool = False
    listed: bool = False


def paths_in(text: str) -> list[str]:
    """Return the absolute paths in a text: the whole of it, `--flag=/path`, `name=/path`, `a:b`, JSON, a
    command for a shell, or the path of a socket. URLs of the web do not count.
    """
    plain = _FLAG.sub("", _SCHEMES.sub("/", text))
    found = [match for match in _STARTS.findall(plain) if not match.startswith("//")]
    if text.startswith("/") and ":" not in text and "," not in text:
        found.insert(0, text)  # it may contain blanks
    return list(dict.fromkeys(normpath(path) for path in found if path != "/"))


def used_paths(service: Service) -> Iterator[UsedPath]:
    """Give each path in the fields of a service."""
    for name in type(service).model_fields:
        if name in NOT_PATHS:
            continue
        value = getattr(service, name)
        if name == "env":
            for variable, text in value.items():
                if isinstance(text, str):
                    yield from _of_variable(variable, text)
        elif name == "writable":
            yield from (UsedPath((name, index), path, path, True) for index, path in enumerate(value))
        elif name == "working_directory" and value is not None:
            yield UsedPath((name,), value, value)
        else:
            yield from _of_value((name,), value, name)


def _of_variable(variable: str, text: str) -> Iterator[UsedPath]:
    sure = variable in CACHES or variable.startswith("FLASHINFER_")
    listed = _LISTS.match(variable) is not None and not sure
    for path in paths_in(text):
        if variable in TEMPORARY and path in ("/tmp", "/var/tmp"):
            continue
        writes = sure or (not listed and _WRITING.fullmatch(variable) is not None)
        yield UsedPath(("env", variable), path, _place(variable, path) if writes else None, sure, listed)


def _of_value(loc: Loc, value: object, name: str) -> Iterator[UsedPath]:
    """Give the paths of a value; `name` is its key or its flag."""
    if isinstance(value, str):
        yield from _of_text(loc, value, name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _of_value((*loc, str(key)), item, str(key))
    elif isinstance(value, Sequence):
        flag = name
        for index, item in enumerate(value):
            yield from _of_value((*loc, index), item, flag)
            flag = item if isinstance(item, str) and item.startswith("-") else name
    elif hasattr(type(value), "model_fields"):
        for field in type(value).model_fields:  # type: ignore[attr-defined]
            yield from _of_value((*loc, field), getattr(value, field), field)


def _of_text(loc: Loc, text: str, name: str) -> Iterator[UsedPath]:
    flag, equals, rest = text.partition("=")
    if equals and flag.startswith("-"):
        name, text = flag, rest
    named = name.lstrip("-")
    writes = _WRITING.fullmatch(named) is not None
    sure = named.replace("_", "-") in SURE
    for path in paths_in(text):
        yield UsedPath(loc, path, _place(named, path) if writes else None, sure)


def _place(name: str, path: str) -> str | None:
    """Return the directory to write to: that of a file, which will be created, or the path itself."""
    place = dirname(path) if _FILE.match(name) else path
    return place if place != "/" else None
