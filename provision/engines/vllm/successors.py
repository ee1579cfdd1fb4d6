"""What to write instead of a flag that vLLM has removed.

Each text is the hint of an error. From vLLM's deprecation notes and the pull requests that removed the flags
(among them #18404, #21470, #25335, #28006, #36216, #37612). A removed flag without an entry has no successor
worth naming.
"""

from __future__ import annotations

from packaging.version import Version

from provision.engines.vllm import releases

SUCCESSORS: dict[str, str] = {
    "--calculate-kv-scales": "use a checkpoint that carries its KV cache scales",
    "--cuda-graph-sizes": "use --cudagraph-capture-sizes or --max-cudagraph-capture-size",
    "--device": "leave it out: vLLM finds the device by itself",
    "--disable-async-output-proc": "leave it out: it belonged to the old V0 engine",
    "--disable-frontend-multiprocessing": "leave it out: the front end always runs in a process of its own",
    "--disable-log-requests": "use the field log_requests: false, which knows what each release wants",
    "--disable-mm-preprocessor-cache": "use --mm-processor-cache-gb 0",
    "--enable-lora-bias": "leave it out: LoRA bias is no longer supported",
    "--enable-multimodal-encoder-data-parallel": "use --mm-encoder-tp-mode data",
    "--enable-prompt-adapter": "leave it out: prompt adapters are no longer supported",
    "--enable-reasoning": "leave it out: the field reasoning_parser (--reasoning-parser) is enough",
    "--eplb-log-balancedness": "use --eplb-config.log_balancedness true",
    "--eplb-step-interval": "use --eplb-config.step_interval",
    "--eplb-window-size": "use --eplb-config.window_size",
    "--expand-tools-even-if-tool-choice-none": (
        "leave it out: tools are given even so, and --exclude-tools-when-tool-choice-none turns that off"
    ),
    "--guided-decoding-backend": "use --structured-outputs-config.backend",
    "--guided-decoding-disable-additional-properties": (
        "use --structured-outputs-config.disable_additional_properties true"
    ),
    "--guided-decoding-disable-any-whitespace": "use --structured-outputs-config.disable_any_whitespace true",
    "--guided-decoding-disable-fallback": (
        "leave it out (0.11 alone has --structured-outputs-config.disable_fallback)"
    ),
    "--logits-processor-pattern": "leave it out, and see --logits-processors",
    "--long-lora-scaling-factors": "leave it out: Long LoRA is no longer supported",
    "--lora-extra-vocab-size": "leave it out: adapters cannot add to the vocabulary any more",
    "--max-long-partial-prefills": "leave it out, and see --long-prefill-token-threshold",
    "--max-num-partial-prefills": "leave it out, and see --long-prefill-token-threshold",
    "--max-prompt-adapter-token": "leave it out: prompt adapters are no longer supported",
    "--max-prompt-adapters": "leave it out: prompt adapters are no longer supported",
    "--max-seq-len-to-capture": "use --max-cudagraph-capture-size, which counts tokens of a batch",
    "--multi-step-stream-outputs": "leave it out: it belonged to the old V0 engine",
    "--ngram-prompt-lookup-max": "use --speculative-config.prompt_lookup_max",
    "--ngram-prompt-lookup-min": "use --speculative-config.prompt_lookup_min",
    "--num-lookahead-slots": "use --speculative-config.num_speculative_tokens",
    "--num-redundant-experts": "use --eplb-config.num_redundant_experts",
    "--num-scheduler-steps": "leave it out: the V1 engine has no multi-step scheduling and needs none",
    "--num-speculative-tokens": "use --speculative-config.num_speculative_tokens",
    "--override-pooler-config": "use --pooler-config",
    "--preemption-mode": "leave it out: the V1 engine always recomputes",
    "--prompt-adapters": "leave it out: prompt adapters are no longer supported",
    "--qlora-adapter-name-or-path": "leave it out: it had no effect any more",
    "--rope-scaling": """use --hf-overrides '{"rope_parameters": {...}}' (up to 0.11: "rope_scaling")""",
    "--rope-theta": (
        """use --hf-overrides '{"rope_parameters": {"rope_theta": ...}}' (up to 0.11: "rope_theta" alone)"""
    ),
    "--scheduler-delay-factor": "leave it out: it belonged to the old V0 engine",
    "--speculative-draft-tensor-parallel-size": "use --speculative-config.draft_tensor_parallel_size",
    "--speculative-max-model-len": "use --speculative-config.max_model_len",
    "--speculative-model": "use --speculative-config.model",
    "--speculative-model-quantization": "use --speculative-config.quantization",
    "--swap-space": "leave it out: the V1 engine never swapped the KV cache to memory",
    "--task": "use --runner and --convert (--task embed is --runner pooling --convert embed)",
    "--tokenizer-pool-extra-config": "leave it out: there is no pool of tokenizers any more",
    "--tokenizer-pool-size": "leave it out: there is no pool of tokenizers any more",
    "--tokenizer-pool-type": "leave it out: there is no pool of tokenizers any more",
    "--use-v2-block-manager": "leave it out: there has been only one block manager since",
}


def absence(what: str, flag: str, version: Version) -> tuple[str, str | None]:
    """Return the message and the hint for a flag that some releases have, but not this one.

    Args:
        what: how the user wrote it.
        flag: the long flag, with its dashes.
        version: the release that lacks it.
    """
    spans = releases.history(flag)
    gone = [span.removed for span in spans if span.removed and span.removed <= releases.nearest(version)]
    if gone:
        return f"{what} was removed in vLLM {max(gone)}; the environment has {version}", SUCCESSORS.get(flag)
    return (
        f"{what} needs vLLM {spans[0].added} or later; the environment has {version}",
        f"ask for vllm>={spans[0].added} in the environment",
    )
