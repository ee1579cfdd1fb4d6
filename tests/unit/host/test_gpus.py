"""What nvidia-smi says of GPUs, of links between them, and of a driver that fails.

nvidia_smi/ has its real output on two H200s, and that on an H100 with driver 580.159.04, whose devices or
library were taken away from it: `failing.json`, `query-gpu-h100.csv`, `version`. Everything else here is
written in its format, after
- the MIG User Guide of NVIDIA ("Getting Started with MIG"), for a divided GPU,
- NVIDIA/nccl#1505, for the links of eight GPUs with network cards,
- huggingface/candle#733 and canonical/inference-snaps#128, for a driver that does not know compute_cap,
- intel/llvm#17614, NVIDIA/nvidia-docker#1553 and AlexeyAB/darknet#86, for drivers that fail,
- the manual of nvidia-smi, for values in brackets.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from provision.host.capture import Completed
from provision.host.machine import Machine
from provision.host.services.gpus import cards, links, memory, smi
from provision.host.services.gpus.memory import MIB
from provision.wire.survey import Gpu
from tests.host.smi import TABLE, install, tool, uuid
from tests.host.smi import cards as idle

REAL = Path(__file__).parent / "nvidia_smi"


def test_two_real_h200s() -> None:
    found = cards.parse((REAL / "query-gpu.csv").read_text())
    assert found[1] == Gpu(
        index=1,
        uuid="GPU-1f872c78-7620-e0ff-b025-27e1420454bd",
        name="NVIDIA H200",
        memory=143156 * MIB,
        used=0,
        capability=[9, 0],
    )
    assert len(found) == 2
    assert links.parse((REAL / "nvidia-smi.txt").read_text()) == [[0, 1, "NV18"]]
    assert [each.bytes for each in memory.parse((REAL / "query-compute-apps.csv").read_text())] == [
        129884 * MIB
    ] * 2


def test_a_real_h100() -> None:
    (gpu,) = cards.parse((REAL / "query-gpu-h100.csv").read_text())
    assert (gpu.name, gpu.memory, gpu.trouble) == ("NVIDIA H100 80GB HBM3", 81079 * MIB, None)


def row(**values: str) -> str:
    """Return a line about one GPU, with other values for some fields."""
    fields = dict(zip(cards.FIELDS, idle(1).split(", "), strict=True))
    return ", ".join({**fields, **{name.replace("_", "."): value for name, value in values.items()}}.values())


@pytest.mark.parametrize(
    ("value", "trouble"),
    [
        ("[N/A]", None),
        ("[Not Supported]", None),
        ("[Unknown Error]", "Unknown Error"),
        ("[GPU is lost]", "GPU is lost"),
        ("[GPU requires reset]", "GPU requires reset"),
        ("ERR!", "ERR!"),
    ],
)
def test_a_value_that_is_none(value: str, trouble: str | None) -> None:
    (gpu,) = cards.parse(row(memory_total=value, memory_used=value, memory_free=value))
    assert (gpu.memory, gpu.used, gpu.trouble) == (None, None, trouble)


def test_without_free_memory_the_total_has_to_do() -> None:
    (gpu,) = cards.parse(row(memory_free="[N/A]"))
    assert gpu.memory == 143771 * MIB


def test_eight_cards() -> None:
    assert [gpu.index for gpu in cards.parse(idle(8))] == list(range(8))


NICS = """\
\x1b[4m        GPU0    GPU1    GPU2    NIC0    CPU Affinity    NUMA Affinity   GPU NUMA ID\x1b[0m
GPU0     X      NV12    SYS     PXB     48-63,176-191   3               N/A
GPU1    NV12     X      NODE    PXB     48-63,176-191   3               N/A
GPU2    SYS     NODE     X      SYS     16-31,144-159   1               N/A
NIC0    PXB     PXB     SYS      X

Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)

NIC Legend:

  NIC0: mlx5_0
"""


def test_links_beside_network_cards() -> None:
    assert links.parse(NICS) == [[0, 1, "NV12"], [0, 2, "SYS"], [1, 2, "NODE"]]
    assert links.parse("") == links.parse("Failed to initialize NVML: Unknown Error\n") == []


LISTING = f"""\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: {uuid(0)})
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 1g.5gb      Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {uuid(1)})
"""

DIVIDED = """\
| NVIDIA-SMI 535.161.07             Driver Version: 535.161.07   CUDA Version: 12.2     |
| MIG devices:                                                                          |
+------------------+--------------------------------+-----------+-----------------------+
| GPU  GI  CI  MIG |                   Memory-Usage |        Vol|      Shared           |
|      ID  ID  Dev |                     BAR1-Usage | SM     Unc| CE ENC DEC OFA JPG    |
|==================+================================+===========+=======================|
|  0    1   0   0  |              37MiB / 19968MiB  | 42      0 |  3   0    2    0    0 |
|                  |               0MiB / 32767MiB  |           |                       |
+------------------+--------------------------------+-----------+-----------------------+
|  0   11   0   1  |              12MiB /  4864MiB  | 14      0 |  1   0    0    0    0 |
|                  |               0MiB /  8191MiB  |           |                       |
"""


def test_a_divided_gpu_is_followed_by_its_instances() -> None:
    whole = cards.parse(f"{row(mig_mode_current='Enabled')}\n{idle(2).splitlines()[1]}")
    first, large, small, second = cards.with_instances(whole, LISTING, DIVIDED)
    assert first.mig == [large.uuid, small.uuid]
    assert second.mig is None
    assert (large.index, large.name, large.mig) == (0, "NVIDIA H200 MIG 3g.20gb", None)
    assert (large.memory, large.used) == (19968 * MIB, 37 * MIB)
    assert (small.uuid, small.memory) == ("MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d", 4864 * MIB)


def test_a_gpu_that_is_to_be_divided_and_has_no_instance() -> None:
    (gpu,) = cards.with_instances(cards.parse(row(mig_mode_current="Enabled")), "", "")
    assert gpu.mig == []


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
            "the latest NVIDIA driver is installed and running.",
            9,
            "is not loaded",
        ),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124",
            18,
            "was updated",
        ),
        ("Failed to initialize NVML: Insufficient Permissions", 4, "does not answer this user"),
        ("Failed to initialize NVML: Unknown Error", 255, "cannot be used"),
        ("Unable to determine the device handle for GPU0000:07:00.0: Unknown Error", 255, "a GPU does not"),
        (
            "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to "
            "recover this GPU",
            15,
            "a GPU does not",
        ),
        ("No devices were found", 6, "finds no GPU"),
        (
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the "
            "NVIDIA Display Driver is properly installed and present in your system.",
            12,
            "libraries",
        ),
        ("Segmentation fault", 139, "cannot be asked: Segmentation fault"),
        ("", 1, "exit 1"),
    ],
)
def test_what_a_failing_driver_says_is_explained(said: str, code: int, message: str) -> None:
    found = smi.trouble(Completed(code, said + "\n", ""))
    assert found is not None
    assert message in found.message
    assert found.hint
    assert said.partition("\n")[0] in found.message
    assert smi.trouble(Completed(0, idle(1), "")) is None


@pytest.mark.parametrize(
    "real", json.loads((REAL / "failing.json").read_text()), ids=lambda each: each["how"]
)
def test_what_a_real_driver_said_without_its_devices(
    real: dict[str, Any], machine: Machine, tmp_path: Path
) -> None:
    said = real["said"]
    install(tmp_path / "bin", tool(said, said, said, said, said, code=real["code"]))
    found = cards.read(machine).trouble
    assert found is not None
    meanings = [what for _, what, _ in smi.MEANINGS]
    assert any(found.message == f"{what}: {said.splitlines()[0]}" for what in meanings)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose nvidia-smi is the stand-in in `tmp_path/bin`."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return Machine(lambda event: None, str(tmp_path / "state"))


def test_all_that_is_asked(machine: Machine, tmp_path: Path) -> None:
    install(
        tmp_path / "bin",
        tool(idle(2), f"7, {uuid(1)}, 500, python3", links="\tGPU0\tGPU1\nGPU0\t X \tPIX\nGPU1\tPIX\t X "),
    )
    found = cards.read(machine)
    assert (found.driver, found.cuda, found.trouble) == ("580.159.04", "13.0", None)
    assert [gpu.uuid for gpu in found.gpus or []] == [uuid(0), uuid(1)]
    assert found.links == [[0, 1, "PIX"]]
    assert found.holders == [memory.Holder(7, "python3", uuid(1), 500 * MIB)]


def test_a_driver_that_does_not_know_a_field_is_asked_without_it(machine: Machine, tmp_path: Path) -> None:
    known = ", ".join(idle(1).split(", ")[:7])
    script = (
        "#!/bin/sh\n"
        'case "$1" in\n'
        "*compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; echo; exit 2;;\n"
        "*mig.mode*) echo 'Field \"mig.mode.current\" is not a valid field to query.'; echo; exit 2;;\n"
        f"--query-gpu*) echo '{known}';;\n"
        "esac\n"
    )
    install(tmp_path / "bin", script)
    found = cards.read(machine)
    assert found.trouble is None
    assert found.driver == "580.159.04"
    (gpu,) = found.gpus or []
    assert (gpu.memory, gpu.capability, gpu.mig) == (143156 * MIB, None, None)


def test_a_broken_driver_has_no_gpus_and_says_why(machine: Machine, tmp_path: Path) -> None:
    said = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124"
    install(tmp_path / "bin", tool(said, said, said, said, said, code=18))
    found = cards.read(machine)
    assert (found.gpus, found.driver, found.cuda, list(found.holders)) == ([], None, None, [])
    assert found.trouble is not None
    assert found.trouble.code == "driver-failing"


@pytest.mark.parametrize("ignores", ["", "trap '' TERM; "])
def test_a_tool_that_hangs_is_not_waited_for(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignores: str
) -> None:
    monkeypatch.setattr(smi, "LIMIT", 1.0)
    install(tmp_path / "bin", f"#!/bin/sh\n{ignores}sleep 30 & wait; sleep 30\n")
    found = cards.read(machine)
    assert found.trouble is not None
    assert "has not ended within 1 s" in found.trouble.message


def test_without_a_driver_there_is_nothing_to_tell(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if not os.path.exists("/dev/nvidiactl"):
        assert cards.read(machine) == cards.Cards()


def test_the_table_names_the_newest_cuda() -> None:
    assert cards._cuda((REAL / "nvidia-smi.txt").read_text()) == cards._cuda(TABLE) == "13.0"
    assert cards._cuda("CUDA Version: N/A") is None
