"""Make a tiny SenseVoiceSmall and fsmn-vad that the real FunASR loads and runs, and waves with known texts.

    python tests/lab/models/sensevoice.py OUT    -> OUT/SenseVoiceSmall, OUT/fsmn-vad, OUT/waves/*.wav

Needs torch, funasr and kaldi-native-fbank; takes some ten seconds. Nothing is trained: the weights are fitted
by least squares so that the model "recognises" a made-up alphabet of tones (one pure tone is one word),
always the same, so that tests can assert the text. The four rich tags follow the request (language, use_itn,
ban_emo_unk) as with the real model. Token ids, vocabulary size, file names, classes and front end are those
of the real model.
"""

from __future__ import annotations

import argparse
import json
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import yaml
from funasr import AutoModel  # noqa: F401  (importing it registers the model classes)
from funasr.frontends.wav_frontend import WavFrontend
from funasr.register import tables
from sentencepiece import sentencepiece_model_pb2

Wave: TypeAlias = Any
"""A numpy array of samples from -1 to 1 (numpy has no types where this is checked)."""

RATE = 16000
VOCABULARY = 25055
WIDTH = 64
"""Output size of the encoder; the classes must fit into it."""
STACKED = 7
"""Frames that the ASR front end stacks into one (lfr_m); it advances by 6."""
FEATURES = 80 * STACKED

TONES = {
    300: (5000, "▁hello"),
    420: (5001, "▁world"),
    560: (5002, "▁one"),
    730: (5003, "▁two"),
    930: (9000, "你"),
    1170: (9001, "好"),
    1460: (9002, "世"),
    1810: (9003, "界"),
    2230: (9004, "。"),
    2740: (5004, "▁three"),
    3360: (5005, "▁stop"),
}
"""Frequency in Hz to the id and the piece of the token that it stands for."""

WAVES = {
    "hello_world": ([300, 420],),
    "nihao_shijie": ([930, 1170, 1460, 1810, 2230],),
    "two_segments": ([560, 730], [2740, 3360]),
    "silence": (),
}
"""The waves to write: the tones of each utterance. See TEXTS in the package for what they say."""

TAGS = {
    24884: "<|zh|>",
    24885: "<|en|>",
    24888: "<|yue|>",
    24892: "<|ja|>",
    24896: "<|ko|>",
    24992: "<|nospeech|>",
    24993: "<|Speech|>",
    24995: "<|BGM|>",
    24997: "<|Laughter|>",
    24999: "<|Applause|>",
    25001: "<|HAPPY|>",
    25002: "<|SAD|>",
    25003: "<|ANGRY|>",
    25004: "<|NEUTRAL|>",
    25009: "<|EMO_UNKNOWN|>",
    25016: "<|withitn|>",
    25017: "<|woitn|>",
}
_NEUTRAL, _EMO_UNKNOWN = 25004, 25009

QUERIES = {
    0: 24884,
    3: 24884,
    4: 24885,
    7: 24888,
    11: 24892,
    12: 24896,
    13: 24992,
    1: 25009,
    2: 24993,
    14: 25016,
    15: 25017,
}
"""Row of SenseVoiceSmall.embed to the tag that it asks for."""

PIECES = "chn_jpn_yue_eng_ko_spectok.bpe.model"

ASR_CONFIG: dict[str, Any] = {
    "encoder": "SenseVoiceEncoderSmall",
    "encoder_conf": {
        "output_size": WIDTH,
        "attention_heads": 4,
        "linear_units": 8,
        "num_blocks": 1,
        "tp_blocks": 0,
        "dropout_rate": 0.1,
        "positional_dropout_rate": 0.1,
        "attention_dropout_rate": 0.1,
        "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,  # FunASR's own spelling
        "selfattention_layer_type": "sanm",
    },
    "model": "SenseVoiceSmall",
    "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
    "tokenizer": "SentencepiecesTokenizer",
    "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    "frontend": "WavFrontend",
    "frontend_conf": {
        "fs": RATE,
        "window": "hamming",
        "n_mels": 80,
        "frame_length": 25,
        "frame_shift": 10,
        "lfr_m": STACKED,
        "lfr_n": 6,
        "cmvn_file": None,
    },
}

VAD_CONFIG: dict[str, Any] = {
    "frontend": "WavFrontendOnline",
    "frontend_conf": {
        "fs": RATE,
        "window": "hamming",
        "n_mels": 80,
        "frame_length": 25,
        "frame_shift": 10,
        "dither": 0.0,
        "lfr_m": 5,
        "lfr_n": 1,
    },
    "model": "FsmnVADStreaming",
    "model_conf": {
        "sample_rate": RATE,
        "detect_mode": 1,
        "snr_mode": 0,
        "max_end_silence_time": 800,
        "max_start_silence_time": 3000,
        "do_start_point_detection": True,
        "do_end_point_detection": True,
        "window_size_ms": 200,
        "sil_to_speech_time_thres": 150,
        "speech_to_sil_time_thres": 150,
        "speech_2_noise_ratio": 1.0,
        "do_extend": 1,
        "lookback_time_start_point": 200,
        "lookahead_time_end_point": 100,
        "max_single_segment_time": 60000,
        "snr_thres": -100.0,
        "noise_frame_num_used_for_snr": 100,
        "decibel_thres": -100.0,
        "speech_noise_thres": 0.6,
        "fe_prior_thres": 0.0001,
        "silence_pdf_num": 1,
        "sil_pdf_ids": [0],
        "speech_noise_thresh_low": -0.1,
        "speech_noise_thresh_high": 0.3,
        "output_frame_probs": False,
        "frame_in_ms": 10,
        "frame_length_ms": 25,
    },
    "encoder": "FSMN",
    "encoder_conf": {
        "input_dim": 400,
        "input_affine_dim": 80,
        "fsmn_layers": 1,
        "linear_dim": 80,
        "proj_dim": 4,
        "lorder": 20,
        "rorder": 0,
        "lstride": 1,
        "rstride": 0,
        "output_affine_dim": 4,
        "output_dim": 248,
    },
}


# -- waves


def tone(frequency: float, seconds: float, amplitude: float = 0.3) -> Wave:
    """A pure tone that starts and ends softly."""
    moments = np.arange(int(RATE * seconds)) / RATE
    sound = amplitude * np.sin(2 * np.pi * frequency * moments)
    edge = int(0.01 * RATE)
    ramp = np.linspace(0, 1, edge)
    sound[:edge] *= ramp
    sound[-edge:] *= ramp[::-1]
    return np.asarray(sound)


def speech(
    frequencies: Sequence[int],
    *,
    length: float = 0.30,
    gap: float = 0.15,
    lead: float = 0.4,
    noise: float = 1e-4,
    seed: int = 0,
) -> Wave:
    """A wave that the model reads as the words of these tones; times in seconds."""
    silence = np.zeros(int(lead * RATE))
    parts = [silence]
    for frequency in frequencies:
        parts += [tone(frequency, length), np.zeros(int(gap * RATE))]
    sound = np.concatenate([*parts, silence])
    return np.asarray(sound + noise * np.random.RandomState(seed).randn(len(sound)))


def write_wave(path: Path, sound: Wave) -> None:
    """Write a mono 16-bit wave file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def write_waves(folder: Path) -> None:
    """Write the waves of WAVES."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, utterances in WAVES.items():
        lead = 1.5 if len(utterances) > 1 else 0.4
        parts = [speech(utterance, lead=lead) for utterance in utterances]
        if not parts:
            parts = [1e-5 * np.random.RandomState(0).randn(RATE * 2)]
        write_wave(folder / f"{name}.wav", np.concatenate(parts))


# -- what both models share


def write_common(
    folder: Path, config: dict[str, Any], task: str, dimension: int, metas: dict[str, Any]
) -> None:
    """Write config.yaml, configuration.json and am.mvn (an identity, as FunASR's load_cmvn reads it)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    configuration = {
        "framework": "pytorch",
        "task": task,
        "model": {"type": "funasr"},
        "pipeline": {"type": "funasr-pipeline"},
        "file_path_metas": {"init_param": "model.pt", "config": "config.yaml", **metas},
    }
    (folder / "configuration.json").write_text(json.dumps(configuration, indent=1), encoding="utf-8")
    zeros, ones = " ".join(["0.0"] * dimension), " ".join(["1.0"] * dimension)
    (folder / "am.mvn").write_text(
        f"<Nnet> \n<Splice> {dimension} {dimension} \n[ 0 ]\n"
        f"<AddShift> {dimension} {dimension} \n<LearnRateCoef> 0 [ {zeros} ]\n"
        f"<Rescale> {dimension} {dimension} \n<LearnRateCoef> 0 [ {ones} ]\n</Nnet> \n",
        encoding="utf-8",
    )


class Features:
    """What a front end makes of a wave: one row per (stacked) frame."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._frontend = WavFrontend(**{"cmvn_file": None, **settings})

    def __call__(self, sound: Wave) -> torch.Tensor:
        rows: torch.Tensor = self._frontend(torch.tensor(sound, dtype=torch.float32)[None], [len(sound)])[0][
            0
        ]
        return rows


# -- SenseVoiceSmall


def write_pieces(path: Path) -> None:
    """Write a sentencepiece model of the real vocabulary's size, with the tags and words at their ids."""
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    model.trainer_spec.vocab_size = VOCABULARY
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = True
    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece
    special = {0: ("<unk>", kinds.UNKNOWN), 1: ("<s>", kinds.CONTROL), 2: ("</s>", kinds.CONTROL)}
    special.update({token: (tag, kinds.USER_DEFINED) for token, tag in TAGS.items()})
    special.update({token: (word, kinds.NORMAL) for token, word in TONES.values()})
    for token in range(VOCABULARY):
        piece = model.pieces.add()
        piece.score = -float(token)
        piece.piece, piece.type = special.get(token, (f"▁x{token}", kinds.NORMAL))
    path.write_bytes(model.SerializeToString())


@dataclass
class Examples:
    """Rows of features, each with the token that it is to be read as."""

    tokens: list[int]
    """The tokens that occur; a class is an index into them."""
    rows: list[torch.Tensor] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)

    def add(self, row: torch.Tensor, token: int, times: int = 1) -> None:
        """Note an example."""
        self.rows += [row] * times
        self.classes += [self.tokens.index(token)] * times


def collect_examples(queries: torch.Tensor, random: np.random.RandomState) -> Examples:
    """Tones of all loudnesses, silence, words in context, and the rows that ask for the tags."""
    examples = Examples([0, *(token for token, _ in TONES.values()), *sorted(set(QUERIES.values()))])
    features = Features(ASR_CONFIG["frontend_conf"])
    half_second = np.arange(RATE // 2) / RATE
    for frequency, (token, _) in TONES.items():
        for amplitude in (0.03, 0.1, 0.2, 0.3, 0.5, 0.8):
            for noise in (0, 1e-4, 1e-3):
                sound = amplitude * np.sin(2 * np.pi * frequency * half_second + random.rand() * 6)
                for row in features(sound + noise * random.randn(RATE // 2))[1:-1]:
                    examples.add(row, token)
    for noise in (0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3):
        for row in features(noise * random.randn(RATE * 3)):
            examples.add(row, 0)
    for seed in range(60):
        _add_words_in_context(examples, features, random, seed)
    for row_number, token in QUERIES.items():
        examples.add(queries[row_number], token, 40)
    return examples


def _add_words_in_context(
    examples: Examples, features: Features, random: np.random.RandomState, seed: int
) -> None:
    """Six words: a stacked frame is read as the tone that most of its frames hold, or as a blank."""
    words = [list(TONES)[i] for i in random.randint(0, len(TONES), 6)]
    length, gap, lead = 0.2 + 0.2 * random.rand(), 0.12 + 0.2 * random.rand(), 0.3
    loudness = (0.1, 0.3, 0.6)[seed % 3] / 0.3
    sound = speech(words, length=length, gap=gap, lead=lead, noise=(0, 1e-4, 3e-4)[seed % 3], seed=seed)
    as_stored = (sound * loudness * 32767).astype("<i2") / 32768.0
    for number, row in enumerate(features(as_stored)):
        middles = [(6 * number + k) * 0.01 + 0.0125 - lead for k in range(-3, 4)]
        held = [
            int(middle // (length + gap)) if middle > 0 and middle % (length + gap) < length else -1
            for middle in middles
        ]
        word = max(set(held), key=held.count)
        examples.add(row, TONES[words[word]][0] if 0 <= word < len(words) else 0)


def fit_classes(examples: Examples, random: np.random.RandomState) -> tuple[torch.Tensor, float]:
    """Least squares from what reaches the encoder's first linear layer to the class; and its accuracy."""
    rows, classes = torch.stack(examples.rows), torch.tensor(examples.classes)
    # what the encoder does before: * sqrt(width), + sinusoidal positions, layer norm
    positions = torch.from_numpy(random.randint(1, 500, len(rows))).float()
    half = FEATURES // 2
    inverse = torch.exp(torch.arange(half).float() * -(math.log(10000.0) / (half - 1)))
    angles = positions[:, None] * inverse
    rows = rows * WIDTH**0.5 + torch.cat([torch.sin(angles), torch.cos(angles)], 1)
    rows = torch.nn.functional.layer_norm(rows, (FEATURES,)).double()
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.double)], 1)
    wanted = torch.nn.functional.one_hot(classes, len(examples.tokens)).double()
    ridge = torch.eye(FEATURES + 1, dtype=torch.double)
    weights = torch.linalg.solve(rows.T @ rows + ridge, rows.T @ wanted).float()
    right = ((rows.float() @ weights).argmax(1) == classes).float().mean().item()
    return weights, right


def write_sensevoice(folder: Path) -> float:
    """Write the ASR model; return the accuracy of the fit."""
    metas = {"tokenizer_conf": {"bpemodel": PIECES}, "frontend_conf": {"cmvn_file": "am.mvn"}}
    write_common(folder, ASR_CONFIG, "auto-speech-recognition", FEATURES, metas)
    write_pieces(folder / PIECES)
    torch.manual_seed(0)
    random = np.random.RandomState(1)
    queries = torch.randn(7 + 7 + 2, FEATURES) * 8.0  # on the scale of log-mel features
    examples = collect_examples(queries, random)
    weights, right = fit_classes(examples, random)
    model = tables.model_classes["SenseVoiceSmall"](
        encoder=ASR_CONFIG["encoder"],
        encoder_conf=ASR_CONFIG["encoder_conf"],
        input_size=FEATURES,
        vocab_size=VOCABULARY,
        **ASR_CONFIG["model_conf"],
    )
    count = len(examples.tokens)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        model.embed.weight.copy_(queries)
        attention = model.encoder.encoders0[0].self_attn
        values = slice(2 * WIDTH, 2 * WIDTH + count)  # behind the query's and the key's rows
        attention.linear_q_k_v.weight[values] = weights[:FEATURES].T
        attention.linear_q_k_v.bias[values] = weights[FEATURES]
        output = model.ctc.ctc_lo
        output.bias.fill_(-60.0)
        for number, token in enumerate(examples.tokens):
            output.weight[token, number] = 20.0
            output.bias[token] = 0.0
        # the unknown emotion wins and neutral is next, which ban_emo_unk then shows
        output.weight[_NEUTRAL, examples.tokens.index(_EMO_UNKNOWN)] = 19.0
        output.bias[_NEUTRAL] = 0.0
    state = {
        key: value.half() if key.startswith("ctc.") else value for key, value in model.state_dict().items()
    }
    torch.save(state, folder / "model.pt")
    return right


# -- fsmn-vad


def write_vad(folder: Path) -> None:
    """Write the voice activity model: speech is what is louder than noise in any band."""
    write_common(
        folder, VAD_CONFIG, "voice-activity-detection", 400, {"frontend_conf": {"cmvn_file": "am.mvn"}}
    )
    features = Features(VAD_CONFIG["frontend_conf"])
    bands = torch.zeros(80, 400)  # each mel band, averaged over the five stacked frames
    for band in range(80):
        bands[band, band::80] = 1 / 5
    second = np.arange(RATE) / RATE
    loud = min(
        (features(0.05 * np.sin(2 * np.pi * frequency * second)) @ bands.T).max(1).values.quantile(0.2).item()
        for frequency in TONES
    )
    noise = 5e-4 * np.random.RandomState(2).randn(RATE * 2)
    quiet = (features(noise) @ bands.T).max().item()
    model = tables.model_classes["FsmnVADStreaming"](
        encoder=VAD_CONFIG["encoder"], encoder_conf=VAD_CONFIG["encoder_conf"], **VAD_CONFIG["model_conf"]
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        encoder = model.encoder
        encoder.in_linear1.linear.weight.copy_(bands)
        encoder.in_linear2.linear.weight.copy_(torch.eye(80))
        encoder.in_linear2.linear.bias.fill_(-quiet)  # with relu: what a band has above the noise
        block = encoder.fsmn[0]
        block.linear.linear.weight[0] = 1.0  # the sum over the bands
        block.affine.linear.weight[:2, 0] = 1.0  # min(sum, c) = relu(sum) - relu(sum - c)
        block.affine.linear.bias[1] = -(loud - quiet)
        encoder.out_linear1.linear.weight[0, 0] = 1.0
        encoder.out_linear1.linear.weight[0, 1] = -1.0
        encoder.out_linear2.linear.weight[0, 0] = -16.0 / (loud - quiet)  # output 0 is silence
        encoder.out_linear2.linear.bias[0] = math.log(247) + 8.0
    torch.save(model.state_dict(), folder / "model.pt")


def main() -> None:
    """Write both models and the waves."""
    parser = argparse.ArgumentParser(description="Make a tiny SenseVoiceSmall, fsmn-vad and waves.")
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    right = write_sensevoice(out / "SenseVoiceSmall")
    write_vad(out / "fsmn-vad")
    write_waves(out / "waves")
    print(f"{right:.2%} of the examples are read right")


if __name__ == "__main__":
    main()
