"""Make model directories of real shapes without weights: make_models.py OUT.

Needs tokenizers and transformers. Serve them with ``--load-format dummy``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

COMMON = {"hidden_act": "silu", "torch_dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 2}
QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
}
QWEN3 = {**QWEN2, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 128}
LLAMA = {**QWEN2, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 5e5}
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)
SHAPES: dict[str, tuple[dict[str, Any], tuple[int, ...], bool]] = {
    "qwen2.5-7b": (QWEN2, (3584, 28, 28, 4, 18944, 152064, 32768), False),
    "r1-distill-qwen-1.5b": (QWEN2, (1536, 28, 12, 2, 8960, 151936, 131072), False),
    "wenyu-14b": (QWEN2, (5120, 48, 40, 8, 13824, 152064, 32768), False),
    "qwen3-0.6b": (QWEN3, (1024, 28, 16, 8, 3072, 151936, 40960), True),
    "llama-3.1-8b": (LLAMA, (4096, 32, 32, 8, 14336, 128256, 131072), False),
}
TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"


def tokenizer() -> Any:
    """Return a small tokenizer with a chat template."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    made.train_from_iterator(["hello world how are you " * 20, "你好" * 20], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = f"{{% for m in messages %}}{TURN}{{% endfor %}}<|im_start|>assistant\n"
    return fast


def main(out: Path) -> None:
    """Write one directory for each shape."""
    words = tokenizer()
    for name, (family, sizes, tied) in SHAPES.items():
        config = {**COMMON, **family, **dict(zip(SIZES, sizes, strict=True)), "tie_word_embeddings": tied}
        words.save_pretrained(out / name)
        (out / name / "config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
