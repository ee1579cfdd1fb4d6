"""Which files of a model are weights as pickles."""

from __future__ import annotations

import pytest

from provision.host.models import pickles


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["config.json", "pytorch_model-00001-of-00002.bin"], ["pytorch_model-00001-of-00002.bin"]),
        (["model.pt", "am.mvn", "config.yaml"], ["model.pt"]),
        (["a.ckpt", "b.pth", "c.pkl"], ["a.ckpt", "b.pth", "c.pkl"]),
        (["model.safetensors", "pytorch_model.bin"], []),
        (["model.Q4.gguf", "pytorch_model.bin"], []),
        (["model.safetensors", "other/pytorch_model.bin"], ["other/pytorch_model.bin"]),
        (["training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state_0.pth"], []),
        ([], []),
    ],
)
def test_pickles_count_where_nothing_safe_is_beside_them(names: list[str], found: list[str]) -> None:
    assert pickles.among(names) == found


def test_many_are_told_in_short_with_the_way_out() -> None:
    (note,) = pickles.note([f"pytorch_model-{n}.bin" for n in range(5)], hub=True, speech=False)
    assert note.sentence() == (
        "weights are pickles, which can contain code: pytorch_model-0.bin, pytorch_model-1.bin, "
        "pytorch_model-2.bin and 2 more; prefer a model with safetensors, or pin a `revision`, or lock it"
    )


def test_for_speech_there_is_no_other_format() -> None:
    (note,) = pickles.note(["model.pt"], hub=False, speech=True)
    assert note.hint == "take it only from somebody you trust"
