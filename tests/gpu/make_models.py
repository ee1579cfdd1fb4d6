"""Make model directories of real shapes without weights: make_models.py OUT.

Needs tokenizers and transformers. Serve them with ``--load-format dummy``. The shapes are those of the
published models (shapes.json); ``-6L`` in a name says that only the first six layers are kept, so that
one card holds them. Some values of Falcon-H1, Nemotron-H, Zamba2, Jamba, Gemma 3n, Mistral 7B, bge-m3 and the
embedding model are Transformers' defaults or from copies: what is foreseen and what is measured are both of
these files. Models that read images get the files of their processors (processors.json); the ids of
their image tokens are those of the small tokenizer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
SHAPES: dict[str, dict[str, Any]] = json.loads((HERE / "shapes.json").read_text())
PROCESSORS: dict[str, dict[str, Any]] = json.loads((HERE / "processors.json").read_text())
TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"


def tokenizer(tokens: dict[str, str]) -> Any:
    """Return a small tokenizer with a chat template.

    Args:
        tokens: more special tokens, by the name that a processor knows each by.
    """
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    made.train_from_iterator(["hello world how are you " * 20, "你好" * 20], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=tokens
    )
    fast.chat_template = f"{{% for m in messages %}}{TURN}{{% endfor %}}<|im_start|>assistant\n"
    return fast


def main(out: Path) -> None:
    """Write one directory for each shape."""
    for name, config in SHAPES.items():
        files = dict(PROCESSORS.get(name, {}))
        tokens: dict[str, list[str]] = files.pop("tokens", {})
        words = tokenizer({known: token for known, (token, _) in tokens.items()})
        words.save_pretrained(out / name)
        ids = {key: words.convert_tokens_to_ids(token) for token, key in tokens.values() if key}
        for file, content in {"config.json": config | ids, **files}.items():
            (out / name / file).write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
