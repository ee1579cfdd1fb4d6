"""Whatever a host tells before services start, the controller judges it, or says that it cannot."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from provision.transport.reading import read
from provision.wire.questions import Surveyed
from tests.unit.foresight.conftest import Compile, vllm
from tests.unit.foresight.hosts import PUBLISHED, described, gpus, outlook, told
from tests.unit.rollout.test_events import sent
from tests.unit.whatever import ANYTHING, record

CONFIGS = [
    st.fixed_dictionaries(
        {
            key: st.one_of(st.just(value), st.just(value), st.just(value), ANYTHING)
            for key, value in each["config"].items()
        }
    )
    for each in PUBLISHED.values()
]


@settings(max_examples=200, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(record(Surveyed))
def test_anything(compiled: Compile, data: dict[str, Any]) -> None:
    catalog = compiled(vllm("a", "gpu_memory_utilization: 0.5"))
    surveyed = read(sent({**data, "starting": ["a"]}), "box")
    assert isinstance(surveyed, Surveyed)
    outlook(catalog, surveyed)


@settings(max_examples=300, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.one_of(CONFIGS))
def test_any_config_of_a_model(compiled: Compile, config: dict[str, Any]) -> None:
    catalog = compiled(vllm("a", "gpu_memory_utilization: 0.5"))
    model = described("/models/q", next(iter(PUBLISHED))).replace(config=config)
    surveyed = read(sent(told(gpus("1xH100"), models=[model], starting=["a"]).plain()), "box")
    assert isinstance(surveyed, Surveyed)
    outlook(catalog, surveyed)
