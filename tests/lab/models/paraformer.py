"""Makes a tiny SeacoParaformer, Paraformer, CT-punc and CAM++ in FunASR's on-disk format: ``OUT/<name>``.

Their weights are random but fixed: what they say means nothing, and is the same each time. That is enough to
hold a service against FunASR's own ``AutoModel`` on the same directories. Runs in a Python that has funasr.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from sensevoice import ASR_CONFIG, write_common  # type: ignore[import-not-found]

CHARACTERS = [*"你好世界一二三四五六七八九十天地人大小上下", *"abcdefghij"]
TOKENS = ["<blank>", "<s>", "</s>", *CHARACTERS, "<unk>"]
PUNCTUATION = ["<unk>", "_", "，", "。", "？", "、"]
SIZE = 16


def encoder(size: int, **more: Any) -> dict[str, Any]:
    """A SANM encoder of one block."""
    return {
        "output_size": SIZE,
        "attention_heads": 2,
        "linear_units": 2 * SIZE,
        "num_blocks": 2,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "attention_dropout_rate": 0.0,
        "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 3,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
        **more,
    }


def decoder(layers: int) -> dict[str, Any]:
    """A SANM decoder."""
    return {
        "attention_heads": 2,
        "linear_units": 2 * SIZE,
        "num_blocks": layers,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "self_attention_dropout_rate": 0.0,
        "src_attention_dropout_rate": 0.0,
        "att_layer_num": layers,
        "kernel_size": 3,
        "sanm_shfit": 0,
    }


PARAFORMER: dict[str, Any] = {
    "model": "Paraformer",
    "model_conf": {"ctc_weight": 0.0, "lsm_weight": 0.1, "predictor_weight": 1.0, "predictor_bias": 1},
    "encoder": "SANMEncoder",
    "encoder_conf": encoder(SIZE),
    "decoder": "ParaformerSANMDecoder",
    "decoder_conf": decoder(2),
    "predictor": "CifPredictorV2",
    "predictor_conf": {"idim": SIZE, "threshold": 1.0, "l_order": 1, "r_order": 1, "tail_threshold": 0.45},
    "frontend": "WavFrontend",
    "frontend_conf": {**ASR_CONFIG["frontend_conf"], "dither": 0.0},
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
}

SEACO: dict[str, Any] = {
    **PARAFORMER,
    "model": "SeacoParaformer",
    "model_conf": {
        **PARAFORMER["model_conf"],
        "inner_dim": SIZE,
        "bias_encoder_type": "lstm",
        "bias_encoder_bid": False,
        "seaco_weight": 1.0,
        "NO_BIAS": len(TOKENS) - 2,
        "train_decoder": True,
    },
    "seaco_decoder": "ParaformerSANMDecoder",
    "seaco_decoder_conf": {**decoder(2), "wo_input_layer": True, "use_output_layer": False},
    "predictor": "CifPredictorV3",
    "predictor_conf": {
        **PARAFORMER["predictor_conf"],
        "smooth_factor2": 0.25,
        "noise_threshold2": 0.01,
        "upsample_times": 3,
        "use_cif1_cnn": False,
        "upsample_type": "cnn_blstm",
    },
}

PUNC: dict[str, Any] = {
    "model": "CTTransformer",
    "model_conf": {
        "ignore_id": 0,
        "embed_unit": SIZE,
        "att_unit": SIZE,
        "dropout_rate": 0.0,
        "punc_list": PUNCTUATION,
        "punc_weight": [1.0] * len(PUNCTUATION),
        "sentence_end_id": 3,
    },
    "encoder": "SANMEncoder",
    "encoder_conf": encoder(SIZE, input_size=SIZE, padding_idx=0),
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": "<unk>"},
}

SPEAKER: dict[str, Any] = {
    "model": "CAMPPlus",
    "model_conf": {"feat_dim": 80, "embedding_size": 192, "growth_rate": 4, "init_channels": 8},
}


def make(folder: Path, config: dict[str, Any], task: str, weights: str = "model.pt") -> None:
    """Write a directory, load it with FunASR, and keep the weights that it began with."""
    from funasr import AutoModel

    metas: dict[str, Any] = {"init_param": weights}
    if "tokenizer" in config:
        metas["tokenizer_conf"] = {"token_list": "tokens.json"}
    if "frontend" in config:
        metas["frontend_conf"] = {"cmvn_file": "am.mvn"}
    write_common(folder, config, task, 560, metas)
    if "tokenizer" in config:
        (folder / "tokens.json").write_text(json.dumps(TOKENS, ensure_ascii=False), encoding="utf-8")
    if "frontend" not in config:
        (folder / "am.mvn").unlink()
    logging.disable(logging.CRITICAL)
    model = AutoModel(model=str(folder), device="cpu", disable_update=True, disable_pbar=True, seed=3).model
    state = model.state_dict()
    for name, value in state.items():
        # One number for all frames decides how many characters are found: let it be about four a second.
        if name == "predictor.cif_output.bias":
            state[name] = torch.full_like(value, -1.2)
    if "decoder.output_layer.bias" in state:
        bias = state["decoder.output_layer.bias"].clone()
        bias[:3] = bias[-1] = -100.0
        state["decoder.output_layer.bias"] = bias
    torch.save(state, folder / weights)


def main(out: Path) -> None:
    """Make all of them."""
    make(out / "paraformer", PARAFORMER, "auto-speech-recognition")
    make(out / "seaco-paraformer", SEACO, "auto-speech-recognition")
    make(out / "ct-punc", PUNC, "punctuation")
    make(out / "campplus", SPEAKER, "speaker-verification", "campplus_cn_common.bin")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
