"""Build vLLM's own classes of models without memory, as on an H100, and print what each GPU would hold.

    python build.py SHAPES [SIZE …]

SHAPES is a JSON file with a `config.json` by name; SIZE is a tensor_parallel_size (1, 2, 8). Printed is what
`tests/unit/kinds/vllm/built.yml` has: bytes of all tensors, bytes of the longest sequence, tokens of 20 GiB.
It runs on any machine, in an environment with PyTorch for CPUs, the Python packages that vLLM needs, and its
Python files (of the wheel, unpacked). What is compiled is replaced: it is asked for, and never run.
"""

# ruff: noqa: E402 (what is compiled is replaced before it is imported)

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

os.environ |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}

AVAILABLE = 20 * 2**30
CARD = types.SimpleNamespace(
    name="NVIDIA H100 80GB HBM3", total_memory=85_019_000_000, multi_processor_count=132
)
EXTENSIONS = (
    "_C",
    "_C_stable_libtorch",
    "_moe_C",
    "_moe_C_stable_libtorch",
    "_flashmla_C",
    "_flashmla_extension_C",
)


class Nothing:
    """Stands for whatever is not here: any attribute is a function that returns its first argument."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.world_size = 1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **_: given[0] if given else None


class Operator(Nothing):
    """Stands for a compiled function, and for its overloads."""

    def __call__(self, *_: Any, **__: Any) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return self


class Extension(types.ModuleType, Nothing):
    """Stands for a compiled module."""


for _name in (*EXTENSIONS, "vllm_flash_attn._vllm_fa2_C", "vllm_flash_attn._vllm_fa3_C"):
    _module = Extension(f"vllm.{_name}")
    _module.__spec__ = importlib.machinery.ModuleSpec(_module.__name__, None)
    sys.modules[_module.__name__] = _module

import torch
import torch.library

_found = torch._ops._OpNamespace.__getattr__
_building = False


def _operator(space: Any, name: str) -> Any:
    try:
        return _found(space, name)
    except AttributeError:
        # While vLLM looks for what it can fuse, only what says whether the card supports something is there.
        if "supports" in name or (_building and not name.startswith("__")):
            return Operator()
        raise


_register, _fake = torch.library.Library.impl, torch.library.register_fake


def _ours(name: Any) -> bool:
    return not str(name).startswith("torchvision")


def _implement(library: Any, *given: Any, **named: Any) -> None:
    if _ours(library.ns):
        _register(library, *given, **named)


def _faked(name: Any, *given: Any, **named: Any) -> Any:
    return _fake(name, *given, **named) if _ours(name) else lambda function: function


_replaced: dict[Any, dict[str, Any]] = {
    torch._ops._OpNamespace: {"__getattr__": _operator},
    torch.library.Library: {"impl": _implement},
    torch.library: {"register_fake": _faked},
    torch.version: {"cuda": "13.0"},
    torch.accelerator: {"current_device_index": lambda: torch.device("meta")},
    torch.cuda: {
        "is_available": lambda: True,
        "device_count": lambda: 8,
        "current_device": lambda: torch.device("meta"),
        "set_device": lambda *_: None,
        "get_device_capability": lambda *_: (9, 0),
        "get_device_name": lambda *_: CARD.name,
        "get_device_properties": lambda *_: CARD,
        "Stream": Nothing,
        "Event": Nothing,
        "current_stream": Nothing,
    },
}
for _place, _values in _replaced.items():
    for _name, _value in _values.items():
        setattr(_place, _name, _value)

import vllm.platforms
import vllm.utils.import_utils
import vllm.vllm_flash_attn.flash_attn_interface as flash
from vllm.platforms import cuda

flash.FA2_AVAILABLE = flash.FA3_AVAILABLE = True
flash.is_fa_version_supported = lambda version, *_: version in (2, 3)
vllm.utils.import_utils.has_deep_gemm = lambda: True
cuda.NonNvmlCudaPlatform.import_kernels = classmethod(lambda _: None)
cuda.NonNvmlCudaPlatform.device_count = classmethod(lambda _: 8)
cuda.NonNvmlCudaPlatform.is_fully_connected = classmethod(lambda *_: True)
vllm.platforms._current_platform = cuda.NonNvmlCudaPlatform()

import vllm.distributed.parallel_state as parallel
from torch.overrides import TorchFunctionMode
from vllm.config import get_layers_from_vllm_config, set_current_vllm_config
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.model_executor.models import registry
from vllm.usage.usage_lib import UsageContext
from vllm.utils.torch_utils import set_default_torch_dtype
from vllm.v1.core import kv_cache_utils

registry._run_in_subprocess = lambda function: function()
registry._LazyRegisteredModel._load_modelinfo_from_cache = lambda *_: None
registry._LazyRegisteredModel._save_modelinfo_to_cache = lambda *_: None


class Group(Nothing):
    """Stands for the first of several processes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.world_size, self.ranks = size, list(range(size))
        self.rank = self.rank_in_group = self.local_rank = 0
        self.is_first_rank = self.is_last_rank = True
        self.device_group = self.cpu_group = types.SimpleNamespace(size=lambda: size, rank=lambda: 0)
        self.use_custom_op_call = False


class Meta(TorchFunctionMode):
    """Puts on the meta device what is asked for on a GPU."""

    def __torch_function__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        named = dict(named or {})
        if "cuda" in str(named.get("device", "")):
            named["device"] = "meta"
        return function(*("meta" if str(each) in ("cuda", "cuda:0") else each for each in given), **named)


def _keeps(layer: Any) -> bool:
    """Say whether a layer keeps keys and values of its own, instead of using those of another layer."""
    return not getattr(layer, "kv_sharing_target_layer_name", None)


def build(config: dict[str, Any], size: int) -> list[int | None]:
    """Build a model: bytes of all tensors, bytes of the longest sequence, tokens of 20 GiB."""
    global _building
    for name, count in {"TP": size, "EP": size, "WORLD": size, "PP": 1, "DP": 1, "DCP": 1, "PCP": 1}.items():
        setattr(parallel, f"_{name}", Group(count))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        wanted = EngineArgs(
            model=folder, skip_tokenizer_init=True, load_format="dummy", tensor_parallel_size=size
        )
        engine = wanted.create_engine_config(UsageContext.OPENAI_API_SERVER)
    _building = True
    dtype = set_default_torch_dtype(engine.model_config.dtype)
    with set_current_vllm_config(engine, check_compile=False):
        with dtype, torch.device("meta"), Meta():
            model = initialize_model(vllm_config=engine)
        vllm.platforms.current_platform.update_block_size_for_backend(engine)
        layers = get_layers_from_vllm_config(engine, AttentionLayerBase)
        pages = {name: layer.get_kv_cache_spec(engine) for name, layer in layers.items() if _keeps(layer)}
    tensors = {id(each): each for each in (*model.parameters(), *model.buffers())}.values()
    held = sum(each.numel() * each.element_size() for each in tensors)
    groups = kv_cache_utils.get_kv_cache_groups(
        engine, {name: page for name, page in pages.items() if page is not None}
    )
    divided = kv_cache_utils.get_kv_cache_config_from_groups(engine, groups, AVAILABLE)
    needed = kv_cache_utils._max_memory_usage_bytes_from_groups(engine, groups)
    return [held, needed, kv_cache_utils.get_kv_cache_capacity(engine, divided)[0] if groups else None]


if __name__ == "__main__":
    for _name, _config in json.loads(Path(sys.argv[1]).read_text()).items():
        _sizes = [int(each) for each in sys.argv[2:]] or [1, 2, 8]
        for _size in _sizes:
            try:
                print(_name, _size, build(_config, _size), flush=True)
            except Exception as error:  # a size that does not divide, or a model that vLLM does not know
                print(_name, _size, type(error).__name__, str(error).replace("\n", " "), flush=True)
