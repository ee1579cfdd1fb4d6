"""What a model's `config.json` says of its shape.

Follows vLLM 0.25.1: `transformers_utils/model_arch_config_convertor.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from provision.kinds.vllm.memory.context import longest, table, usual
from provision.kinds.vllm.memory.defaults import DEFAULTS, TIED
from provision.kinds.vllm.memory.families import FILMS, Family, family
from provision.kinds.vllm.memory.layers import layers
from provision.kinds.vllm.memory.parts import Config, Heads, Latent, Layer, Mixer, State, UnknownShape, whole
from provision.kinds.vllm.memory.quantization import Quantization, quantization


@dataclass(frozen=True)
class Architecture:
    """The shape of a model.

    - `name`: of the class that vLLM loads, such as Qwen2ForCausalLM
    - `family`: what is particular about it; None when provision does not know the name
    - `context`: the longest context that vLLM allows, in tokens
    - `length`: the context when `max_model_len` is not set, in tokens
    - `positions`: numbers in the tables of positions
    - `drafters`: layers for multi-token prediction, which are loaded for speculative decoding only
    - `vision`, `audio`: the configuration of its encoder of images and of sound, if it has one
    - `own_code`: it comes with Python code of its own (`auto_map`)
    """

    name: str
    family: Family | None
    hidden: int
    vocabulary: int
    layers: tuple[Layer, ...]
    dtype: str
    tied: bool
    context: int
    length: int
    positions: int
    quantization: Quantization | None = None
    drafters: int = 0
    vision: Config = field(default_factory=dict)
    audio: Config = field(default_factory=dict)
    text: Config = field(default_factory=dict)
    own_code: bool = False

    @property
    def mixers(self) -> Iterator[Mixer]:
        """What mixes tokens, of all layers."""
        return (mixer for layer in self.layers for mixer in layer.mixers)

    @property
    def hybrid(self) -> bool:
        """Whether some layers keep a state instead of keys and values."""
        return any(isinstance(mixer, State) for mixer in self.mixers)

    @property
    def films(self) -> bool:
        """Whether it takes films beside images."""
        return bool(self.vision) and self.name.startswith(FILMS)

    @property
    def keeps(self) -> bool:
        """Whether anything is kept of a sequence; an encoder of texts keeps nothing."""
        if self.family and self.family.embedder:
            return False
        return any(not isinstance(mixer, Heads) or mixer.kept for mixer in self.mixers)

    @property
    def latent(self) -> bool:
        """Whether its attention is MLA."""
        return any(isinstance(mixer, Latent) for mixer in self.mixers)

    @property
    def experts(self) -> bool:
        """Whether it is a mixture of experts."""
        return any(layer.experts for layer in self.layers)


def read(config: Config) -> Architecture:
    """Read a `config.json`.

    Raises:
        UnknownShape: it is not of a language model, or lacks what the shape is computed from.
    """
    try:
        return _read(config)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise UnknownShape(f"its config.json has a value of another form: {error}") from None


def _read(config: Config) -> Architecture:
    # Of Qwen's Omni models, vLLM loads what thinks, and not what speaks.
    config = {**config, **(config.get("thinker_config") or {}), "architectures": config.get("architectures")}
    text = _text(config)
    name = str((config.get("architectures") or [""])[0])
    known = family(name, text)
    found = layers(text)
    return Architecture(
        name=name,
        family=known,
        hidden=whole(text, "hidden_size", "n_embd"),
        vocabulary=whole(text, "padded_vocab_size", "vocab_size"),
        layers=found,
        dtype=_dtype(config, text),
        tied=_tied(config, text),
        context=longest(text),
        length=usual(text),
        positions=table(text, found),
        quantization=quantization(config, text),
        drafters=_drafters(text, known),
        vision=_part(config, "vision_config"),
        audio=_part(config, "audio_config"),
        text=text,
        own_code=bool(config.get("auto_map")),
    )


def _text(config: Config) -> Config:
    inner = config.get("text_config") or config.get("llm_config") or config.get("language_config")
    text = {**inner} if isinstance(inner, Mapping) else {**config}
    kind = str(text.get("model_type") or config.get("model_type") or "")
    return {**DEFAULTS.get(kind.replace("gemma3", "gemma3_text").replace("_text_text", "_text"), {}), **text}


def _part(config: Config, name: str) -> Config:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _tied(config: Config, text: Config) -> bool:
    """Say whether input and output share one table: what the whole configuration says, then its text part."""
    for place in (config, text):
        if place.get("tie_word_embeddings") is not None:
            return bool(place["tie_word_embeddings"])
    return str(text.get("model_type")).removesuffix("_text") in TIED


def _dtype(config: Config, text: Config) -> str:
    for place in (config, text, _part(config, "vision_config")):
        value = place.get("torch_dtype") or place.get("dtype")
        if isinstance(value, str):
            return value.removeprefix("torch.")
    # Then vLLM takes the type of the weights, which is this one wherever a config.json does not say it.
    return "bfloat16"


def _drafters(text: Config, known: Family | None) -> int:
    """Return the layers for multi-token prediction that the files have."""
    said = text.get("num_nextn_predict_layers") or text.get("mtp_num_hidden_layers")
    return int(said or (known.drafters if known else 0))
