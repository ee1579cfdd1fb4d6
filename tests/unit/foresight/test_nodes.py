"""What is foreseen of a service over several hosts: each of its GPUs has its part of the whole."""

from __future__ import annotations

from pathlib import Path

from provision.catalog.catalog import Catalog
from provision.project.load import load
from provision.project.project import Selection
from provision.wire.rollout import Outlook
from tests.unit.foresight.hosts import described, gpus, outlook, told

LARGE = described("/models/l", "Qwen2.5-32B-Instruct")

PLAY = """
- hosts: [g1, g2]
  environments: {vllm: {packages: ["vllm==0.25.1"]}}
  models: {l: {path: /models/l}}
  services:
    a: {kind: vllm, environment: vllm, model: l, port: 8001, nodes: {hosts: [g1, g2]}, SIZES}
"""

HOSTS = """
hosts:
  g1: {address: 192.0.2.1, user: ops, become: true}
  g2: {address: 192.0.2.2, user: ops, become: true}
"""


def catalogs(folder: Path, sizes: str) -> dict[str, Catalog]:
    (folder / "i.yml").write_text(HOSTS)
    (folder / "p.yml").write_text(PLAY.replace("SIZES", sizes))
    return load(Selection((folder / "p.yml",), (folder / "i.yml",))).fleet.catalogs


def foreseen(folder: Path, sizes: str, there: str, host: str = "g2") -> Outlook:
    surveyed = told(gpus(there), models=[LARGE], starting=["a"])
    return outlook(catalogs(folder, sizes)[host], surveyed)


def weights(found: Outlook) -> list[int]:
    return [taker.weights or 0 for load in found.loads for taker in load.takers]


def test_the_gpus_of_all_nodes_share_the_weights(tmp_path: Path) -> None:
    for sizes in ("tensor_parallel_size: 4", "tensor_parallel_size: 2, pipeline_parallel_size: 2"):
        found = foreseen(tmp_path, f"{sizes}, max_model_len: 4096", "4xL4")
        assert "does_not_fit" not in [each.verdict for each in found.forecasts]
        assert [load.index for load in found.loads if load.takers] == [0, 1]
        # A quarter of 61 GiB, of stages the larger one.
        assert all(15 < each / 2**30 < 17 for each in weights(found)[:2])


def test_each_node_has_whole_copies_of_data_parallel_ones(tmp_path: Path) -> None:
    found = foreseen(tmp_path, "data_parallel_size: 2, max_model_len: 4096", "1xH100")
    assert [each.verdict for each in found.forecasts] == ["fits"]
    assert weights(found)[0] / 2**30 > 60


def test_what_does_not_fit_says_the_numbers_and_what_the_nodes_have_together(tmp_path: Path) -> None:
    found = foreseen(
        tmp_path, "tensor_parallel_size: 2, max_model_len: 4096, gpu_memory_utilization: 0.85", "2xL4"
    )
    (finding,) = [each for each in found.findings if each.code == "gpu-memory"]
    assert finding.message.startswith("service a on GPU 0 (of 2 on 2 nodes): ")
    assert "GiB" in finding.message
    assert finding.hint == "set tensor_parallel_size: 4"


def test_a_node_has_too_few_gpus(tmp_path: Path) -> None:
    found = foreseen(tmp_path, "tensor_parallel_size: 8", "2xL4")
    assert found.findings[0].message == (
        "service a: the parallel sizes need 8 GPUs, 4 on each of 2 nodes, and the host has 2"
    )
    assert found.findings[0].hint == "make their product 4 or less"
