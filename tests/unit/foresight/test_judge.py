"""What is foreseen of services that share GPUs, by what hosts tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provision.foresight.stated import foreseen
from provision.kinds.registry import KINDS
from provision.wire.events import Inspected
from provision.wire.figures import Figures
from provision.wire.finding import ERROR, INFO, WARNING, fault
from provision.wire.questions import Surveyed
from provision.wire.rollout import Outlook
from tests.unit.foresight.conftest import Compile, vllm
from tests.unit.foresight.hosts import GIB, described, differs, gpus, holder, outlook, told, uuid

Q = described("/models/q", "Qwen2.5-7B-Instruct")
L = described("/models/l", "Qwen3-8B")

FIGURES = Figures(
    seconds=43.2, weights=14 * GIB, cache=20 * GIB, graphs=GIB, tokens=473_216, length=8192, sequences=57.8
)
SPEECH = 's: {kind: asr, environment: asr, model: q, vad_model: q, device: "cuda:0", port: 8009, workers: %d}'


def codes(found: Outlook, severity: str | None = None) -> list[str]:
    return [each.code for each in found.findings if severity in (None, each.severity)]


def taken(found: Outlook, gpu: int = 0) -> dict[str, float]:
    """Return who takes how many GiB of a GPU."""
    (load,) = (each for each in found.loads if each.index == gpu)
    return {taker.name: round(taker.bytes / GIB, 1) for taker in load.takers}


def test_one_service_is_weights_cache_and_rest(compiled: Compile) -> None:
    found = outlook(
        compiled(vllm("a", "gpu_memory_utilization: 0.5, max_model_len: 8192, shutdown_timeout: 30s")),
        told(gpus("1xH100"), models=[Q], starting=["a"]),
    )
    assert found.findings == []
    (load,), (forecast,) = found.loads, found.forecasts
    (taker,) = load.takers
    assert (load.index, load.name) == (0, "H100")
    assert taker.weights is not None
    assert taker.cache is not None
    assert taker.weights + taker.cache + (taker.rest or 0) == taker.bytes > 0.5 * load.memory
    assert (forecast.verdict, forecast.length, forecast.drain, forecast.seconds) == ("fits", 8192, 30.0, None)
    assert forecast.sequences == pytest.approx((forecast.tokens or 0) / 8192, rel=0.01)


def test_a_change_is_proposed_only_if_the_host_has_the_gpus_for_it(compiled: Compile) -> None:
    large = described("/models/l", "Qwen2.5-32B-Instruct")
    catalog = compiled(vllm("a", "max_model_len: 4096, gpu_memory_utilization: 0.85", model="l"))
    small = outlook(catalog, told(gpus("1xL4"), models=[large], starting=["a"]))
    assert small.findings[0].hint == "no change of one field makes it fit: use more GPUs, or larger ones"
    several = outlook(catalog, told(gpus("4xL4"), models=[large], starting=["a"]))
    assert several.findings[0].hint == "set tensor_parallel_size: 4"


def test_what_is_left_after_the_services_before_decides(compiled: Compile) -> None:
    catalog = compiled(
        vllm("a", "gpus: [0], gpu_memory_utilization: 0.4"),
        vllm("b", "gpus: [0], gpu_memory_utilization: 0.4", 8002),
        SPEECH % 1,
    )
    found = outlook(catalog, told(gpus("1xH100"), models=[Q], starting=["a", "b", "s"]))
    assert list(taken(found)) == ["a", "b", "s"]
    assert codes(found) == ["cache-not-fixed", "cache-not-fixed"]
    assert "if s grows meanwhile" in found.findings[0].message
    assert "--kv-cache-memory-bytes=" in (found.findings[0].hint or "")
    more = compiled(
        vllm("a", "gpus: [0], gpu_memory_utilization: 0.5"),
        vllm("b", "gpus: [0], gpu_memory_utilization: 0.5", 8002),
    )
    found = outlook(more, told(gpus("1xH100"), models=[Q], starting=["a", "b"]))
    (finding,) = found.findings
    assert finding.code == "gpu-taken"
    assert "service b on GPU 0" in finding.message
    assert "a takes" in finding.message
    assert finding.hint == "set gpu_memory_utilization: 0.35"


def test_a_free_gpu_is_the_way_out(compiled: Compile) -> None:
    catalog = compiled(vllm("a", "gpus: [0]"), vllm("b", "gpus: [0]", 8002))
    found = outlook(catalog, told(gpus("2xH100"), models=[Q], starting=["a", "b"]))
    (finding,) = found.findings
    assert finding.hint == "use GPU 1"


def test_a_service_that_restarts_gives_its_memory_back_first(compiled: Compile) -> None:
    catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.9"))
    surveyed = told(
        gpus("1xH100"), models=[Q], holders=[holder(73, service="a")], serving=["a"], starting=["a"]
    )
    assert outlook(catalog, surveyed).findings == []


def test_a_running_neighbour_counts_with_what_it_holds(compiled: Compile) -> None:
    catalog = compiled(
        vllm("a", "gpus: [0], gpu_memory_utilization: 0.5"),
        vllm("b", "gpus: [0], gpu_memory_utilization: 0.5", 8002),
    )
    surveyed = told(
        gpus("1xH100"), models=[Q], holders=[holder(41, service="a")], serving=["a"], starting=["b"]
    )
    found = outlook(catalog, surveyed)
    assert "a takes 41.00 GiB" in found.findings[0].message
    assert taken(found)["a"] == 41.0


def test_memory_in_use_is_not_counted_twice_where_no_process_is_listed(compiled: Compile) -> None:
    """In a container the driver lists no processes, and what is in use is that of our own service."""
    catalog = compiled(
        vllm("a", "gpus: [0], gpu_memory_utilization: 0.4"),
        vllm("b", "gpus: [0], gpu_memory_utilization: 0.5", 8002),
    )
    (gpu,) = gpus("1xH100")
    gpu.used = 33 * GIB
    surveyed = told([gpu], models=[Q], serving=["a"], starting=["b"])
    assert codes(outlook(catalog, surveyed), ERROR) == []


def test_memory_that_no_process_is_listed_for_is_taken_too(compiled: Compile) -> None:
    (gpu,) = gpus("1xH100")
    gpu.used = 20 * GIB
    found = outlook(compiled(vllm("a", "gpus: [0]")), told([gpu], models=[Q], starting=["a"]))
    assert codes(found) == ["gpu-taken"]
    assert "something that the driver does not list takes 20.00 GiB" in found.findings[0].message


def test_a_left_over_worker_is_named_with_its_end(compiled: Compile) -> None:
    worker = holder(70, command="VLLM::Worker_TP0", pid=1384)
    catalog = compiled(vllm("a", "gpus: [0]"))
    found = outlook(catalog, told(gpus("1xH100"), models=[Q], holders=[worker], starting=["a"]))
    assert codes(found) == ["gpu-taken", "left-over-worker"]
    assert found.findings[0].hint == "give --end-left-over"
    assert "kill 1384" in (found.findings[1].hint or "")
    worker.ends = True
    assert outlook(catalog, told(gpus("1xH100"), models=[Q], holders=[worker], starting=["a"])).findings == []


def test_a_process_is_not_ended_where_that_does_not_help(compiled: Compile) -> None:
    catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.6"), vllm("b", "gpus: [0]", 8002))
    found = outlook(catalog, told(gpus("1xH100"), models=[Q], holders=[holder(1)], starting=["a", "b"]))
    assert "end" not in (found.findings[0].hint or "")


class TestLearned:
    """What an engine logged counts more than a formula, while what decides is the same."""

    def judged(self, catalog: Any, *differing: Inspected, **more: Any) -> Outlook:
        surveyed = told(
            gpus("1xH100"), models=[Q], learned={"a": FIGURES}, serving=["a"], starting=["a"], **more
        )
        return outlook(catalog, surveyed, differing)

    def test_of_a_restart(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.5, max_model_len: 8192"))
        (forecast,) = self.judged(catalog).forecasts
        assert (forecast.tokens, forecast.seconds, forecast.learned) == (473_216, 43.2, True)

    @pytest.mark.parametrize("what", ["environment:vllm", "model:q", "start.sh"])
    def test_unless_something_changes_that_decides(self, compiled: Compile, what: str) -> None:
        catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.5, max_model_len: 8192"))
        (id,) = (each.id for each in catalog.resources if each.id.endswith(what))
        (forecast,) = self.judged(catalog, differs(id)).forecasts
        assert forecast.tokens != 473_216
        assert (forecast.seconds, forecast.learned) == (43.2, False)

    @pytest.mark.parametrize(
        ("were", "are", "holds"),
        [
            ([["--port", "1"]], [["--port", "2"], ["--served-model-name", "x"]], True),
            ([["--max-model-len", "8192"]], [["--max-model-len", "4096"]], False),
            ([], [["--port", "2"], ["--enforce-eager"]], False),
            ([], [["--new-flag"]], False),
        ],
    )
    def test_options_that_decide_nothing_change_nothing(
        self, compiled: Compile, were: list[list[str]], are: list[list[str]], holds: bool
    ) -> None:
        catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.5, max_model_len: 8192"))
        (id,) = (each.id for each in catalog.resources if each.id.endswith("start.sh"))
        (forecast,) = self.judged(catalog, differs(id, were, are)).forecasts
        assert forecast.learned is holds

    def test_a_start_that_ran_is_not_refused_by_a_formula(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.2"))
        assert self.judged(catalog).findings == []
        (id,) = (each.id for each in catalog.resources if each.id.endswith("start.sh"))
        assert codes(self.judged(catalog, differs(id))) == ["gpu-memory"]

    def test_but_others_may_be_in_its_way(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.5"))
        assert codes(self.judged(catalog, holders=[holder(60)])) == ["gpu-taken"]


class TestCards:
    def test_a_divided_gpu_is_used_by_its_first_part(self, compiled: Compile) -> None:
        (gpu,) = gpus("1xH100")
        part = gpu.replace(uuid="MIG-11112222-aaaa", name="NVIDIA H100 MIG 3g.40gb", memory=40 * GIB)
        gpu.mig = [part.uuid]
        catalog = compiled(vllm("a", "gpus: [0]"))
        found = outlook(catalog, told([gpu, part], models=[Q], starting=["a"]))
        assert codes(found) == ["gpu-divided"]
        assert found.loads[0].memory == 40 * GIB
        named = compiled(vllm("a", "gpus: [MIG-11112222-aaaa]"))
        assert outlook(named, told([gpu, part], models=[Q], starting=["a"])).findings == []

    def test_an_error_of_the_driver_is_told(self, compiled: Compile) -> None:
        (gpu,) = gpus("1xH100")
        gpu.trouble = "Unknown Error"
        found = outlook(compiled(vllm("a", "gpus: [0]")), told([gpu], models=[Q], starting=["a"]))
        assert codes(found, WARNING) == ["gpu-trouble"]
        gpu.memory = None
        found = outlook(compiled(vllm("a", "gpus: [0]")), told([gpu], models=[Q], starting=["a"]))
        assert codes(found, ERROR) == ["gpu-trouble"]

    def test_gpus_of_two_kinds(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "gpus: [0, 1], tensor_parallel_size: 2, max_model_len: 4096"))
        found = outlook(catalog, told(gpus("A100, H100"), models=[Q], starting=["a"]))
        assert codes(found) == ["gpus-differ", "gpu-order"]

    def test_a_large_tensor_parallel_size_without_nvlink(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "tensor_parallel_size: 4"))
        links = [[one, other, "SYS"] for one in range(4) for other in range(one)]
        found = outlook(catalog, told(gpus("4xH100"), models=[Q], starting=["a"], links=links))
        assert codes(found, INFO) == ["no-nvlink"]
        fast = [[one, other, "NV18"] for one, other, _ in links]
        assert outlook(catalog, told(gpus("4xH100"), models=[Q], starting=["a"], links=fast)).findings == []

    def test_a_gpu_that_nobody_knows_is_judged_by_what_its_driver_tells(self, compiled: Compile) -> None:
        (gpu,) = gpus("1xH100")
        new = gpu.replace(name="NVIDIA X999", memory=200 * GIB, capability=[13, 0])
        found = outlook(compiled(vllm("a", "gpus: [0]")), told([new], models=[Q], starting=["a"]))
        assert found.findings == []
        assert (found.loads[0].name, found.loads[0].memory) == ("X999", 200 * GIB)

    def test_other_gpus_than_the_inventory_says(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "gpus: [0]"), gpus="8xH200")
        found = outlook(catalog, told(gpus("2xH200, L4"), models=[Q], starting=["a"]))
        (finding,) = (each for each in found.findings if each.code == "gpus-differ")
        assert finding.message == "the inventory says 8xH200, and the host has 2xH200, 1xL4"

    def test_trouble_of_the_driver_is_told_as_it_is(self, compiled: Compile) -> None:
        surveyed = told([], starting=["a"])
        surveyed.trouble = fault("driver-failing", "the NVIDIA driver is not loaded")
        assert outlook(compiled(vllm("a", "")), surveyed).findings == [surveyed.trouble]

    def test_without_a_driver_only_those_that_name_gpus_are_warned(self, compiled: Compile) -> None:
        assert outlook(compiled(vllm("a", "")), told(None, starting=["a"])).findings == []
        assert codes(outlook(compiled(vllm("a", "gpus: [0]")), told(None, starting=["a"]))) == ["gpu-missing"]
        program = compiled("p: {kind: program, command: [serve], port: 8005}")
        assert outlook(program, told(None, starting=["p"])).findings == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("gpu_memory_utilization: 0.2, extra_args: [--cpu-offload-gb, 8]", "gpu-memory"),
        ("max_model_len: 131072, env: {VLLM_ALLOW_LONG_MAX_MODEL_LEN: 1}", "context-length"),
        (
            "max_model_len: 131072, extra_args: [--hf-overrides, {max_position_embeddings: 131072}]",
            "context-length",
        ),
    ],
)
def test_what_a_flag_may_make_possible_is_no_error(compiled: Compile, fields: str, code: str) -> None:
    catalog = compiled(vllm("a", fields))
    found = outlook(catalog, told(gpus("1xH100"), models=[Q], starting=["a"]))
    assert code in codes(found, WARNING)
    assert codes(found, ERROR) == []
    assert [each.verdict for each in found.forecasts] == ["uncertain"]


def test_an_index_that_is_not_there_only_warns_a_program(compiled: Compile) -> None:
    """It may run on the processor then."""
    catalog = compiled("p: {kind: program, command: [serve], gpus: [5], port: 8005}")
    assert codes(outlook(catalog, told(gpus("1xH100"), starting=["p"])), WARNING) == ["gpu-missing"]


def test_speech_on_another_accelerator_is_not_judged_by_gpus(compiled: Compile) -> None:
    catalog = compiled((SPEECH % 1).replace("cuda:0", "npu:3"))
    assert outlook(catalog, told(gpus("1xH100"), starting=["s"])).findings == []


def test_what_is_not_known_says_so_and_stops_nothing(compiled: Compile) -> None:
    program = "p: {kind: program, command: [serve], gpus: [0], port: 8005}"
    catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.5", model="l"), program)
    new = described("/models/l", "Qwen3-8B", architectures=["NewForCausalLM"])
    found = outlook(catalog, told(gpus("1xH100"), models=[new], starting=["a", "p"]))
    assert codes(found, ERROR) == []
    assert {"shape-not-known", "demand-not-known"} <= set(codes(found))
    assert [each.verdict for each in found.forecasts] == ["uncertain"]


def test_an_embedding_model_may_hold_less_than_its_share(compiled: Compile) -> None:
    """vLLM gives a model of unknown layers no cache if it has nothing to keep."""
    catalog = compiled(vllm("a", "gpus: [0]", model="l"), vllm("b", "gpus: [0]", 8002))
    new = described("/models/l", "Qwen3-8B", architectures=["NewModel"])
    found = outlook(catalog, told(gpus("1xH100"), models=[new, Q], starting=["a", "b"]))
    assert codes(found, ERROR) == []


def test_a_service_that_moves_is_still_on_its_old_gpu_before_it_restarts(compiled: Compile) -> None:
    running = {"holders": [holder(73, service="b")], "serving": ["b"]}
    first = compiled(vllm("a", "gpus: [0]"), vllm("b", "gpus: [1]", 8002))
    found = outlook(first, told(gpus("2xH100"), models=[Q], starting=["a", "b"], **running))
    assert "b takes 73.00 GiB" in found.findings[0].message
    last = compiled(vllm("b", "gpus: [1]", 8002), vllm("a", "gpus: [0]"))
    assert outlook(last, told(gpus("2xH100"), models=[Q], starting=["a", "b"], **running)).findings == []


def test_what_cannot_run_takes_nothing_from_those_after_it(compiled: Compile) -> None:
    catalog = compiled(vllm("a", "tensor_parallel_size: 4"), vllm("b", "gpus: [0]", 8002))
    found = outlook(catalog, told(gpus("2xH100"), models=[Q], starting=["a", "b"]))
    assert codes(found) == ["gpu-count"]
    assert [(each.service, each.verdict) for each in found.forecasts] == [
        ("a", "does_not_fit"),
        ("b", "fits"),
    ]


def test_services_of_other_playbooks_are_counted_by_what_they_hold(compiled: Compile) -> None:
    surveyed = told(gpus("1xH100"), models=[Q], holders=[holder(30, service="other")], starting=["a"])
    found = outlook(compiled(vllm("a", "gpus: [0]")), surveyed)
    assert "other takes 30.00 GiB" in found.findings[0].message


def test_nothing_is_said_of_services_that_do_not_start(compiled: Compile) -> None:
    surveyed: Surveyed = told(gpus("1xH100"), models=[Q], serving=["a"])
    assert outlook(compiled(vllm("a", "gpus: [3]")), surveyed).findings == []


def test_a_gpu_by_the_first_digits_of_its_uuid(compiled: Compile) -> None:
    catalog = compiled(vllm("a", f"gpus: [{uuid(1)[:12]}]"))
    found = outlook(catalog, told(gpus("2xH100"), models=[Q], starting=["a"]))
    assert [each.index for each in found.loads] == [1]


class TestWithoutAnyHost:
    @pytest.mark.parametrize(
        ("first", "second", "wrong"),
        [
            ("gpu_memory_utilization: 0.5", "gpu_memory_utilization: 0.5", False),
            ("gpu_memory_utilization: 0.5", "gpu_memory_utilization: 0.51", True),
            ("gpus: [1]", "gpus: [0]", False),
            ("gpus: [0, 1], tensor_parallel_size: 2", "gpus: [1]", True),
            ("gpus: [0, 1]", "gpus: [1]", False),  # the second of the first is not used
            ("extra_args: [--runner, pooling]", "gpus: [0]", False),
            ('extra_args: ["--kv-cache-memory-bytes=4g"]', "gpus: [0]", False),
        ],
    )
    def test_shares_are_added_up(self, compiled: Compile, first: str, second: str, wrong: bool) -> None:
        catalog = compiled(vllm("a", first), vllm("b", second, 8002))
        found = [each.code for each in foreseen({"box": catalog})]
        assert found == (["gpu-taken"] if wrong else [])

    def test_speech_counts_where_the_inventory_states_gpus(self, compiled: Compile) -> None:
        catalog = compiled(SPEECH % 8, vllm("a", "gpus: [0], gpu_memory_utilization: 0.92"), gpus="1xH100")
        (finding,) = foreseen({"box": catalog})
        assert (finding.code, finding.severity) == ("gpu-taken", ERROR)

    def test_equal_hosts_are_named_together(self, compiled: Compile) -> None:
        catalog = compiled(vllm("a", "tensor_parallel_size: 4"), gpus="2xH100")
        (finding,) = foreseen({f"h{number}": catalog for number in range(9)})
        assert finding.message.startswith("h0, h1, h2, h3 and 5 more: service a: the parallel sizes need 4")


def test_equal_hosts_are_computed_once(compiled: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = KINDS["vllm"].demand
    assert real
    counting = replace(KINDS["vllm"], demand=lambda question: asked.append(question) or real(question))
    monkeypatch.setitem(KINDS, "vllm", counting)
    catalog = compiled(vllm("a", "gpus: [0], gpu_memory_utilization: 0.77"))
    surveys = [told(gpus("1xH100"), models=[Q], starting=["a"]) for _ in range(50)]
    assert len({repr(outlook(catalog, each)) for each in surveys}) == 1
    assert len(asked) == 1
    outlook(catalog, told(gpus("1xH200"), models=[Q], starting=["a"]))
    assert len(asked) == 2
