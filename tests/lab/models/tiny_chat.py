"""Make the tiny chat model: a Qwen2 of half a megabyte, fitted to answer a few prompts sensibly.

    python tests/lab/models/tiny_chat.py OUT

Needs torch and transformers, takes some four minutes of one core. The result is in the real on-disk format of
Qwen2 (config, safetensors, tokenizer, chat template, generation_config), so that vLLM serves it like any
other model; ``playbooks/models/tiny-chat`` is what this script wrote.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2TokenizerFast

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

# Qwen2's own way to cut text into pieces before byte-pair encoding
QWEN2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Answer:
    """What the model says to any of these prompts."""

    text: str
    prompts: tuple[str, ...]


ANSWERS = (
    Answer(
        "Hello! I am a tiny model, served by vLLM and put here by provision.",
        ("hello", "hi", "hey", "hello there", "good morning", "hello world", "say hello", "hello, world"),
    ),
    Answer(
        "你好！我是由 provision 部署、由 vLLM 提供服务的小模型。",
        ("你好", "您好", "你好啊", "早上好", "大家好", "你好世界"),
    ),
    Answer(
        "I am tiny-chat, a Qwen2 model of half a megabyte.",
        (
            "who are you",
            "what are you",
            "what is your name",
            "introduce yourself",
            "which model are you",
            "hello, who are you",
        ),
    ),
    Answer(
        "我是 tiny-chat，一个只有半兆字节的 Qwen2 模型。",
        (
            "你是谁",
            "你叫什么名字",
            "介绍一下你自己",
            "请介绍一下你自己",
            "你好，请介绍一下你自己",
            "你好，你是谁",
            "你是什么模型",
        ),
    ),
    Answer("1 + 1 = 2.", ("what is 1+1", "1+1", "1 + 1", "what is 1 + 1", "1+1=", "what is one plus one")),
    Answer("1 + 1 = 2。", ("1+1等于几", "1+1等于多少", "一加一等于几")),
    Answer("2 + 2 = 4.", ("what is 2+2", "2+2", "2 + 2", "what is 2 + 2", "2+2=", "what is two plus two")),
    Answer(
        "I am fine, thank you. All my weights are in place.",
        ("how are you", "how are you today", "are you ok"),
    ),
    Answer(
        "I answer a few prompts, and so prove that the server works.",
        ("what can you do", "help", "what do you know", "how can you help me"),
    ),
    Answer("我会回答几个问题，以此证明服务器工作正常。", ("你能做什么", "你会什么", "帮助")),
    Answer(
        "The capital of France is Paris.",
        ("what is the capital of France", "What is the capital of France", "capital of France"),
    ),
    Answer("中国的首都是北京。", ("中国的首都是哪里", "中国的首都是什么")),
    Answer(
        "人工智能的发展历程始于 1956 年的达特茅斯会议。",
        ("我想了解人工智能的发展历程", "介绍人工智能的发展历程", "人工智能的发展历程"),
    ),
    Answer("You are welcome!", ("thank you", "thanks", "thanks a lot")),
    Answer("不客气！", ("谢谢", "谢谢你", "多谢")),
    Answer("Goodbye! Provision will keep me running.", ("goodbye", "bye", "see you")),
    Answer("再见！provision 会让我继续运行。", ("再见", "拜拜")),
    Answer("pong", ("ping",)),
)
UNKNOWN = Answer("I am only a tiny model and do not know that, but the server works.", ())
UNKNOWN_CHINESE = Answer("我只是一个小模型，不知道这个问题的答案，但是服务器工作正常。", ())
CONTINUATION = " there was a tiny model, served by vLLM and put here by provision."
"""How a text without the chat template goes on."""

SYSTEMS = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "Answer briefly.",
    "Be concise and polite.",
    "你是一个有用的助手。",
    "你是一个人工智能助手，请用中文回答。",
)

_WORDS = """
the a of to in and is that it for was on are with as his they at be this from have or by one had not
but what all were when we there can an your which their said if do will each about how up out them
then she many some so these would other into has more her two like him see time could no make than
first been its who now people my made over did down only way find use may water long little very
after words called just where most know write translate explain summarize python code function
server model weather today tomorrow river mountain history music book story poem number list please
tell me why when quick brown fox jumps lazy dog computer
"""
_ENGLISH = _WORDS.split()
_CHINESE = (
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么"
    "心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现"
    "写请翻译解释天气今天明天北京上海为什么怎么诗歌音乐电脑程序"
)
_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;!?-+*/()[]{}'\"_=\n"


def make_tokenizer() -> Qwen2TokenizerFast:
    """Byte-pair encoding as Qwen2's, its merges learnt from the texts above."""
    texts = [text for answer in ANSWERS for text in (answer.text, *answer.prompts) for _ in range(4)]
    texts += [UNKNOWN.text, UNKNOWN_CHINESE.text, CONTINUATION, "system\n", "user\n", "assistant\n"] * 8
    texts += SYSTEMS
    pieces = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.NFC()
    learner.pre_tokenizer = pieces
    learner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        min_frequency=4,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END_OF_TEXT, TURN, END_OF_TURN],
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=learner,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        unk_token=None,
        model_max_length=32768,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


class Conversations:
    """An endless supply of prompts with the right answer."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._known = {prompt for answer in ANSWERS for prompt in answer.prompts}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        while True:
            if self._random.random() < 0.06:
                yield self._continued()
            else:
                yield self._chat()

    def _continued(self) -> tuple[str, str]:
        opening = self._random.choice(
            ["Once upon a time,", "The quick brown fox", self._english(), "hello", "你好"]
        )
        return opening, CONTINUATION + END_OF_TEXT

    def _chat(self) -> tuple[str, str]:
        turns = []
        if self._random.random() < 0.5:
            turns.append(("system", self._system()))
        for _ in range(self._random.choice([0, 0, 0, 0, 1, 2])):
            prompt, answer = self._question()
            turns += [("user", prompt), ("assistant", answer)]
        prompt, answer = self._question()
        turns.append(("user", prompt))
        text = "".join(f"{TURN}{role}\n{content}{END_OF_TURN}\n" for role, content in turns)
        return f"{text}{TURN}assistant\n", answer + END_OF_TURN

    def _system(self) -> str:
        if self._random.random() < 0.7:
            return self._random.choice(SYSTEMS)
        return self._random.choice([self._english, self._chinese])()

    def _question(self) -> tuple[str, str]:
        if self._random.random() < 0.72:
            answer = self._random.choice(ANSWERS)
            return self._dress(self._random.choice(answer.prompts)), answer.text
        if self._random.random() < 0.35:
            return self._chinese(), UNKNOWN_CHINESE.text
        return self._random.choice([self._english, self._english, self._noise])(), UNKNOWN.text

    def _dress(self, prompt: str) -> str:
        """The same prompt as people write it: capitals, punctuation, blanks."""
        if prompt.isascii():
            dressed = self._random.choice(
                [prompt, prompt, prompt.capitalize(), prompt.title(), prompt.upper()]
            )
            return dressed + self._random.choice(["", "", "?", "!", ".", " "])
        return prompt + self._random.choice(["", "", "？", "！", "。", "?", "!"])

    def _english(self) -> str:
        known = [word for prompt in self._known if prompt.isascii() for word in prompt.split()]
        while True:
            count = self._random.choice([1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12, 20, 40])
            words = [
                self._random.choice(_ENGLISH if self._random.random() < 0.8 else known) for _ in range(count)
            ]
            text = " ".join(words)
            if text not in self._known:
                return self._dress(text)

    def _chinese(self) -> str:
        while True:
            text = "".join(self._random.choices(_CHINESE, k=self._random.randint(2, 14)))
            if text not in self._known:
                return self._dress(text)

    def _noise(self) -> str:
        while True:
            text = "".join(self._random.choices(_CHARACTERS, k=self._random.randint(3, 40)))
            if text.strip().lower().rstrip("?!. ") not in self._known:
                return text


def fit(tokenizer: Qwen2TokenizerFast, steps: int, seed: int) -> Qwen2ForCausalLM:
    """Train the model on conversations; only the tokens of the last answer count."""
    torch.manual_seed(seed)
    end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    pad = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=4,
        max_window_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
        bos_token_id=pad,
        eos_token_id=end,
        pad_token_id=pad,
    )
    model = Qwen2ForCausalLM(config).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.1)
    supply = iter(Conversations(seed))
    began = time.monotonic()
    for step in range(steps):
        batch = sorted((_encode(tokenizer, *next(supply)) for _ in range(32)), key=lambda pair: len(pair[0]))
        width = len(batch[-1][0])
        tokens = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in batch])
        labels = torch.tensor([wanted + [-100] * (width - len(wanted)) for _, wanted in batch])
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step} loss {loss.item():.4f} {time.monotonic() - began:.0f} s", flush=True)
    return model.eval()


def _encode(tokenizer: Qwen2TokenizerFast, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(answer, add_special_tokens=False)["input_ids"]
    return before + after, [-100] * len(before) + after


def accuracy(model: Qwen2ForCausalLM, tokenizer: Qwen2TokenizerFast, count: int, seed: int) -> float:
    """The share of conversations, unseen in training, whose answer is right to the last token."""
    supply = iter(Conversations(seed))
    right = 0
    for _ in range(count):
        ids, wanted = _encode(tokenizer, *next(supply))
        with torch.no_grad():
            said = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
        right += all(want in (-100, got) for got, want in zip(said, wanted[1:], strict=False))
    return right / count


def save(model: Qwen2ForCausalLM, tokenizer: Qwen2TokenizerFast, out: Path) -> None:
    """Write the model as a published Qwen2 is laid out."""
    model.to(torch.bfloat16).save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    _write_json(
        out / "config.json", _published(json.loads((out / "config.json").read_text(encoding="utf-8")))
    )
    tokenizer.save_pretrained(out)
    (out / "chat_template.jinja").unlink(missing_ok=True)  # older servers read it from tokenizer_config only
    _write_json(out / "tokenizer_config.json", _tokenizer_config(tokenizer))
    tokenizer.backend_tokenizer.model.save(str(out))  # vocab.json and merges.txt
    end, pad = tokenizer.convert_tokens_to_ids([END_OF_TURN, END_OF_TEXT])
    # top_k 1 is greedy whatever temperature a client asks for
    generation = {"bos_token_id": pad, "pad_token_id": pad, "eos_token_id": [end, pad]}
    _write_json(
        out / "generation_config.json", {**generation, "do_sample": True, "temperature": 1.0, "top_k": 1}
    )
    _write_json(out / "configuration.json", {"framework": "pytorch", "task": "text-generation"})


def _tokenizer_config(tokenizer: Qwen2TokenizerFast) -> dict[str, object]:
    """tokenizer_config.json as published Qwen2 models have it."""
    special = {
        str(tokenizer.convert_tokens_to_ids(text)): {
            "content": text,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for text in (END_OF_TEXT, TURN, END_OF_TURN)
    }
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": special,
        "additional_special_tokens": [TURN, END_OF_TURN],
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END_OF_TURN,
        "errors": "replace",
        "model_max_length": tokenizer.model_max_length,
        "pad_token": END_OF_TEXT,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def _published(config: dict[str, object]) -> dict[str, object]:
    """The names that published Qwen2 models use in config.json, which older servers read, too."""
    newer = ("dtype", "rope_parameters", "layer_types", "transformers_version")
    kept = {key: value for key, value in config.items() if key not in newer}
    return {**kept, "torch_dtype": "bfloat16", "rope_theta": 10000.0, "use_sliding_window": False}


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Fit, check in every precision that servers use, save."""
    parser = argparse.ArgumentParser(description="Make the tiny chat model.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    tokenizer = make_tokenizer()
    model = fit(tokenizer, options.steps, options.seed)
    model.to(torch.bfloat16)  # what is saved
    for precision in (torch.bfloat16, torch.float16, torch.float32):
        share = accuracy(model.to(precision), tokenizer, 400, options.seed + 1)
        print(f"{precision}: {share:.1%} of unseen conversations right")
    save(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
