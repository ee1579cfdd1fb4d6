"""Service kind `vllm`: an OpenAI-compatible server.

Fields carry vLLM's own names: each is the flag of that name unless it is marked otherwise, and what is not
set is left to vLLM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import PlainValidator, model_validator
from pydantic import WithJsonSchema as JsonSchema

from provision.config.model import (
    Called,
    Count,
    Duration,
    Name,
    OneOrMany,
    Port,
    Share,
    Text,
    reject,
)
from provision.config.problems import found, quoted
from provision.config.references import ApiKeys
from provision.config.services.arguments import Arguments, json_value
from provision.config.services.base import Listener, Service, Tls
from provision.config.services.gpus import VisibleGpus
from provision.config.services.nodes import Nodes
from provision.kinds.vllm import tokens
from provision.kinds.vllm.flag import Flag, NoFlag

_ALSO = {
    "tls": r"--(ssl[-_]|uds$)",
    "lora": r"--lora[-_]modules$",
    "speculative": r"--speculative[-_](config|model)|-sc$",
    "nodes": (
        r"(--(nnodes|node[-_]rank|master[-_](addr|port)|headless|distributed[-_]executor[-_]backend"
        r"|data[-_]parallel[-_](address|rpc[-_]port|backend|rank|size[-_]local|start[-_]rank"
        r"|external[-_]lb|hybrid[-_]lb))|-[nr])$"
    ),
}
"""Flags that do what a field does; they may be given where the field is not."""

_LENGTH = r"[0-9]+[kKmMgGtT]?|[0-9]+\.[0-9]+[kmgt]|auto"


def _model_length(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and (value > 0 or value == -1):
        return value
    if isinstance(value, str) and re.fullmatch(_LENGTH, value):
        return value
    wrong = f"expected a number of tokens, found {found(value)}"
    if isinstance(value, str):
        wrong = f"{quoted(value)} is not a number of tokens"
    raise reject("wrong-form", wrong, "write 8192, 8k (8000) or 8K (8192)")


ModelLength = Annotated[
    int | str,
    PlainValidator(_model_length),
    JsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -1},
                {"type": "string", "pattern": f"^({_LENGTH})$"},
            ]
        }
    ),
    Called("number of tokens, or auto"),
]


def _speculative(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        hint = "write {model: NAME, num_speculative_tokens: 3}"
        raise reject("wrong-type", f"expected the draft model and its settings, found {found(value)}", hint)
    if "model" in value and not (isinstance(value["model"], str) and value["model"]):
        raise reject(
            "missing-key", f"`model` expects the name of a model, found {found(value['model'])}", at="model"
        )
    return json_value(value)


Speculative = Annotated[
    dict[str, Any], PlainValidator(_speculative), JsonSchema({"type": "object", "minProperties": 1})
]
Names = Annotated[list[Text], OneOrMany(), Called("text, or a list of them")]


def _seconds(value: float) -> str:
    return str(round(value))


class VllmService(Service):
    """A vLLM server."""

    kind: Annotated[Literal["vllm"], NoFlag()]
    """What runs."""
    environment: Annotated[Name, NoFlag()]
    """The environment (of `environments:`) that vLLM is installed in."""
    model: Annotated[Name, NoFlag(also=("--model",))]
    """The model (of `models:`) to serve."""
    lora: Annotated[dict[Name, Name], NoFlag()] = {}
    """LoRA adapters: the name that clients ask for, and the model (of `models:`) that is the adapter."""
    speculative: Annotated[Speculative | None, NoFlag()] = None
    """Speculative decoding: the draft `model` (of `models:`), and any other key of vLLM's configuration."""
    served_model_name: Names | None = None
    """The name, or names, that clients ask for. Default: the name of the service."""
    gpus: Annotated[VisibleGpus | None, NoFlag()] = None
    """The GPUs to use, by index or UUID (CUDA_VISIBLE_DEVICES); not set: all of the host."""
    nodes: Annotated[Nodes | None, NoFlag()] = None
    """The hosts over which it runs as one: `{hosts: [gpu-1, gpu-2]}`. `gpus` are then those of each."""
    host: Text | None = None
    """The address to listen on; not set: every address."""
    port: Port = 8000
    """The port to listen on; 8000 is vLLM's own default."""
    api_key: Annotated[ApiKeys | None, NoFlag(also=("--api-key",))] = None
    """The key that clients must send, or a list of accepted keys. Checks send the first."""
    tls: Annotated[Tls | None, NoFlag()] = None
    """The certificate for TLS: `{cert: PATH, key: PATH}`. Checks verify it with `ca: PATH`."""
    tensor_parallel_size: Count | None = None
    """GPUs that share the work of each layer."""
    pipeline_parallel_size: Count | None = None
    """GPUs that the layers are divided over."""
    data_parallel_size: Count | None = None
    """Copies of the model that share the requests."""
    enable_expert_parallel: Annotated[bool | None, Flag(switch=True)] = None
    """Divide the experts of each layer over the GPUs, instead of dividing each expert."""
    gpu_memory_utilization: Annotated[Share | None, Flag(also=("--device-memory-utilization",))] = None
    """The part of each GPU's memory to use, above 0 and at most 1."""
    max_num_seqs: Count | None = None
    """Maximum number of sequences in one step."""
    max_num_batched_tokens: Count | None = None
    """Maximum number of tokens in one step."""
    max_model_len: Annotated[ModelLength | None, Flag(written=tokens.written)] = None
    """The longest context in tokens: 8192, or 8k (8000), or 8K (8192)."""
    dtype: Text | None = None
    """Type of the weights: auto, half, float16, bfloat16, float, float32."""
    quantization: Text | None = None
    """Quantization method of the weights, such as awq, gptq or fp8."""
    kv_cache_dtype: Text | None = None
    """Type of the key-value cache, such as auto or fp8."""
    enforce_eager: Annotated[bool | None, Flag(switch=True)] = None
    """Never use CUDA graphs: less memory, faster start, slower answers."""
    enable_prefix_caching: bool | None = None
    """Reuse the cache of common prefixes."""
    trust_remote_code: Annotated[bool | None, Flag(switch=True)] = None
    """Run Python code that comes with the model."""
    chat_template: Text | None = None
    """A Jinja file on the host: how messages become a prompt. Default: the model's own."""
    reasoning_parser: Annotated[Text | None, Flag(also=("--enable-reasoning",))] = None
    """What separates the reasoning from the answer, such as deepseek_r1."""
    tool_call_parser: Text | None = None
    """What finds tool calls in the answer, such as hermes."""
    enable_auto_tool_choice: Annotated[bool | None, Flag(switch=True)] = None
    """Let the model choose tools by itself; needs `tool_call_parser`."""
    seed: int | None = None
    """Seed of the random numbers."""
    log_requests: Annotated[bool | None, NoFlag(also=("--enable-log-requests", "--disable-log-requests"))] = (
        None
    )
    """Write each request to the log."""
    log_stats: Annotated[bool | None, NoFlag(also=("--disable-log-stats",))] = None
    """Write statistics to the log."""
    uvicorn_log_level: Literal["critical", "error", "warning", "info", "debug", "trace"] | None = None
    """Log level of the web server."""
    extra_args: Annotated[Arguments, NoFlag()] = []
    """More arguments for vLLM's command line, each item one argument; checked against the version. A mapping
    or a list is written as JSON, in which `{model: NAME}` is the path of a model.
    """
    flags: Annotated[Literal["checked", "unchecked"], NoFlag()] = "checked"
    """Whether `extra_args` is compared with the flags of vLLM's releases; `unchecked` is for other builds."""
    shutdown_timeout: Annotated[Duration | None, Flag(written=_seconds)] = None
    """How long a stop waits for running requests (vLLM 0.18 and later)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sizes = (self.tensor_parallel_size, self.pipeline_parallel_size, self.data_parallel_size)
        needed = prod(size or 1 for size in sizes)
        if self.gpus and self.nodes is None and needed > len(self.gpus):
            message = f"the parallel sizes need {needed} GPUs, but `gpus` lists {len(self.gpus)}"
            raise reject("gpu-count", message, at="gpus")
        if self.enable_auto_tool_choice and self.tool_call_parser is None:
            raise reject(
                "missing-key",
                "`enable_auto_tool_choice` needs `tool_call_parser`",
                at="enable_auto_tool_choice",
            )
        for argument in self.extra_args:
            if isinstance(argument, str):
                self._says_it_once(argument)
            if isinstance(argument, str) and re.match(r"--api[-_]key(=|$)", argument):
                message = "a key in `extra_args` would be seen by every user of the host"
                raise reject("secret-in-yaml", message, "use `api_key`", at="extra_args")
        return self

    def _says_it_once(self, argument: str) -> None:
        """Refuse a flag that says the same as a field."""
        flag = argument.partition("=")[0]
        for field, pattern in _ALSO.items():
            if getattr(self, field) and re.match(pattern, flag):
                message = f"{flag} and the field {field} are about the same"
                raise reject("conflicting-keys", message, "leave one of the two out", at=field)

    def listeners(self) -> Iterator[Listener]:
        """The port of the server, unless it listens on a unix socket instead."""
        if not any(isinstance(word, str) and re.match(r"--uds(=|$)", word) for word in self.extra_args):
            yield Listener(("port",), self.host, self.port, head=True)
        if self.nodes is not None:
            for port in self.nodes.ports:
                yield Listener(("nodes", "port"), None, port, head=True)
