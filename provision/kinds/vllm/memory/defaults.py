"""What Transformers takes for keys that a published `config.json` leaves out (5.24, by type of model)."""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
        "max_position_embeddings": 131072,
        "rope_local_base_freq": 10000.0,
    },
    "dots1": {"sliding_window": 4096},
}
"""Keys by the type of a model's text part."""

TIED = {
    *(
        "bert",
        "bloom",
        "cohere",
        "cohere2",
        "ernie4_5",
        "ernie4_5_moe",
        "falcon",
        "falcon_mamba",
        "gemma",
        "gemma2",
    ),
    *(
        "gemma3",
        "gemma3n",
        "gemma4",
        "gpt2",
        "gpt_bigcode",
        "lfm2",
        "lfm2_moe",
        "mamba",
        "modernbert",
        "mpt",
        "opt",
    ),
    *("roberta", "smollm3", "starcoder2", "xlm-roberta", "zamba2"),
}
"""Types whose input and output share one table (`tie_word_embeddings`); of all others they do not."""
