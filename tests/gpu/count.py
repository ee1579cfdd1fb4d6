"""Count the parameters of models by Transformers' own classes, built without memory.

    python count.py SHAPES

SHAPES is a JSON file with a `config.json` by name. Printed is what `tests/unit/kinds/vllm/counted.yml` has as
`parameters`. It needs PyTorch and Transformers, no GPU and no weights.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

THINKERS = {
    "Qwen2_5OmniModel": "Qwen2_5OmniThinkerForConditionalGeneration",
    "Qwen3OmniMoeForConditionalGeneration": "Qwen3OmniMoeThinkerForConditionalGeneration",
}
"""The part that vLLM loads, by the name of the whole."""


def count(config: dict[str, Any]) -> int:
    """Return the parameters of a model; those that input and output share count once."""
    name = config["architectures"][0]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        read = transformers.AutoConfig.from_pretrained(folder)
    if name in THINKERS:
        name, read = THINKERS[name], read.thinker_config
    with torch.device("meta"):
        model = getattr(transformers, name)(read)
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    for _name, _config in json.loads(Path(sys.argv[1]).read_text()).items():
        print(_name, count(_config), flush=True)
