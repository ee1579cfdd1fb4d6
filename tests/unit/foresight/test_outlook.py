"""A host without a GPU is judged in a shorter way, with the same result."""

from __future__ import annotations

import pytest

from provision.foresight import judge
from provision.wire.figures import Figures
from provision.wire.finding import fault
from tests.unit.foresight.conftest import Compile, vllm
from tests.unit.foresight.hosts import gpus, outlook, told

PROGRAM = "p: {kind: program, command: [serve], port: 8005%s}"
CPU = "p: {kind: asr, environment: asr, model: q, vad_model: q, device: cpu, port: 8009, workers: 1}"
WITHOUT = [PROGRAM % "", PROGRAM % ", gpus: []", vllm("p", "max_model_len: 4096"), CPU]


@pytest.mark.parametrize("service", WITHOUT)
@pytest.mark.parametrize("driver", [None, ""])
def test_services_that_name_no_gpu(
    compiled: Compile, monkeypatch: pytest.MonkeyPatch, service: str, driver: str | None
) -> None:
    catalog = compiled(service)
    found = None if driver is None else gpus(driver)
    for learned in {}, {"p": Figures(seconds=3.2)}:
        surveyed = told(found, starting=["p"], learned=learned)
        expected = judge.foresee(catalog, surveyed)
        with monkeypatch.context() as patch:
            patch.setattr(judge, "foresee", None)
            assert outlook(catalog, surveyed) == expected
        assert [each.seconds for each in expected.forecasts] == [each.seconds for each in learned.values()]


def test_what_says_that_there_should_be_one(compiled: Compile) -> None:
    named = compiled(PROGRAM % ", gpus: [0]")
    assert [each.code for each in outlook(named, told(None, starting=["p"])).findings] == ["gpu-missing"]
    stated = compiled(PROGRAM % "", gpus="[H100]")
    assert [each.code for each in outlook(stated, told([], starting=["p"])).findings] == ["gpus-differ"]
    trouble = told(None, starting=["p"]).replace(trouble=fault("gpu-trouble", "no driver"))
    catalog = compiled(vllm("p", "max_model_len: 4096"))
    assert outlook(catalog, trouble) == judge.foresee(catalog, trouble)
    assert outlook(catalog, trouble).findings
