"""Make model directories of real shapes without weights: make_models.py OUT.

Needs tokenizers and transformers. Serve them with ``--load-format dummy``. The shapes are those of the
published models (shapes.json); ``-6L`` in a name says that only the first six layers are kept, so that
one card holds them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SHAPES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("shapes.json").read_text())
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
    for name, config in SHAPES.items():
        words.save_pretrained(out / name)
        (out / name / "config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
