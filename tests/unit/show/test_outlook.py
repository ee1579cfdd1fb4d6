"""How a plan shows what is foreseen: bars, consequences, and findings, in each format."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree

from provision.show.formats import FORMATS
from provision.show.items import Run
from provision.show.report import Report
from provision.show.terminal.differences import plan_lines
from provision.show.terminal.lasting import lasting
from provision.show.words import columns
from provision.wire import events, rollout
from provision.wire.finding import fault, information, warning
from provision.wire.survey import Forecast, Load, Taker

GIB = 2**30

ENGINE = Taker(
    name="r1", foreign=False, bytes=40 * GIB, weights=14 * GIB, cache=24 * GIB, rest=2 * GIB, learned=True
)
SPEECH = Taker(name="asr", foreign=False, bytes=4 * GIB)
FOREIGN = Taker(name="/usr/bin/python3 train.py (pid 77)", foreign=True, bytes=8 * GIB)

WRONG = fault("gpu-taken", "service b: too much", "use GPU 1").replace(where="p.yml:9:12")
DOUBT = warning("may-not-fit", "service c: perhaps").replace(where="p.yml:11:3")
KNOW = information("no-nvlink", "service d: slow")


def load(index: int, *takers: Taker) -> Load:
    return Load(index=index, name="H100", memory=80 * GIB, takers=list(takers))


def forecast(service: str = "r1", **fields: object) -> Forecast:
    known = {
        "tokens": 473_216,
        "length": 8192,
        "sequences": 57.76,
        "seconds": 43.2,
        "learned": True,
        "drain": 30.0,
    }
    return Forecast(**{"service": service, "verdict": "fits", **known, **fields})


def outlook(host: str = "h1", **fields: object) -> rollout.Outlook:
    return rollout.Outlook(**{"host": host, "loads": [], "forecasts": [], **fields})


def text(*found: events.Event, hosts: tuple[str, ...] = ("h1",)) -> str:
    report = Report(hosts)
    for event in found:
        report.take(event)
    for host in hosts:
        report.take(events.Done(host=host, ok=True))
    return "\n".join(plan_lines(report))


def test_golden() -> None:
    found = outlook(
        loads=[load(0, ENGINE, SPEECH, FOREIGN)], forecasts=[forecast()], findings=[WRONG, DOUBT, KNOW]
    )
    assert text(events.Restart(host="h1", service="r1", because=["file:/etc/a"]), found) == (
        "h1\n"
        "  ! p.yml:9:12: service b: too much; use GPU 1 [gpu-taken]\n"
        "  ↻ restart r1, because of file:/etc/a\n"
        "  i p.yml:11:3: service c: perhaps [may-not-fit]\n"
        "  i service d: slow [no-nvlink]\n"
        "  GPU 0: H100, 80.0 GiB\n"
        "    [████████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒░░░xxxxxxxx························]\n"
        "    r1                 40.0  █ weights 14.0 ▓ cache 24.0 ▒ rest 2.0 (logged)\n"
        "    asr                 4.0  ░\n"
        "    /usr/bin/python…    8.0  x\n"
        "    free               28.0  ·\n"
        "  → r1: restart, about 45 s (last time 43 s), drains up to 30 s; "
        "473k KV tokens = 57 sequences of 8,192\n"
        "\n"
        "Plan: 1 host, 0 to add, 0 to change, 1 error foreseen, 1 restart, 0 as declared."
    )


def test_bars_fit_into_80_columns() -> None:
    wide = ENGINE.replace(name="a" * 63, bytes=400 * GIB, weights=140 * GIB, cache=240 * GIB, rest=20 * GIB)
    found = outlook(loads=[load(0, wide), load(1, FOREIGN)])
    shown = [line for line in text(found).splitlines() if line.startswith("    ")]
    assert max(map(columns, shown)) <= 80


def test_gpus_that_are_taken_alike_are_one() -> None:
    found = outlook(loads=[load(0, ENGINE), load(1, ENGINE), load(2, SPEECH)])
    heads = [line for line in text(found).splitlines() if line.startswith("  GPU")]
    assert heads == ["  GPUs 0, 1: H100, 80.0 GiB each", "  GPU 2: H100, 80.0 GiB"]


def test_more_than_there_is_says_how_much() -> None:
    found = text(outlook(loads=[load(0, ENGINE, ENGINE, FOREIGN)]))
    assert "    too much" in found
    assert "free" not in found


def test_what_cannot_run_says_so() -> None:
    found = text(
        outlook(forecasts=[forecast("a", verdict="does_not_fit"), forecast("b", verdict="uncertain")])
    )
    assert "→ a: start, about 45 s (last time 43 s); cannot run" in found
    assert "57 sequences of 8,192; may not fit" in found


def test_numbers_of_tokens_are_short() -> None:
    found = [forecast(str(tokens), tokens=tokens, sequences=1.0) for tokens in (2_276_000, 999_900, 8_192)]
    shown = text(outlook(forecasts=found))
    assert all(words in shown for words in ("2.28M KV", "1000k KV", "8,192 KV tokens = 1 sequence of"))


def test_nothing_known_is_no_line() -> None:
    empty = forecast(tokens=None, length=None, sequences=None, seconds=None)
    assert "→" not in text(outlook(forecasts=[empty]))


def test_equal_hosts_are_shown_once_with_the_slowest_and_the_fullest() -> None:
    fuller = ENGINE.replace(bytes=41 * GIB, cache=25 * GIB)
    found = text(
        outlook("h1", loads=[load(0, ENGINE)], forecasts=[forecast()]),
        outlook(
            "h2", loads=[load(0, fuller)], forecasts=[forecast(seconds=51.0, tokens=400_000, sequences=48.8)]
        ),
        hosts=("h1", "h2"),
    )
    assert found.count("GPU 0") == 1
    assert "r1       41.0" not in found
    assert " 41.0  █ weights 14.0 ▓ cache 25.0" in found
    assert "about 55 s (last time up to 51 s)" in found
    assert "400k KV tokens = 48 sequences" in found


def test_hosts_with_other_takers_are_shown_apart() -> None:
    found = text(
        outlook("h1", loads=[load(0, ENGINE)]), outlook("h2", loads=[load(0, SPEECH)]), hosts=("h1", "h2")
    )
    assert found.count("GPU 0") == 2


def written(name: str) -> str:
    out = io.StringIO()
    writer = FORMATS[name].writer(Run("plan", ("h1",)), out)
    writer.take(outlook(findings=[WRONG, DOUBT], loads=[load(0, ENGINE)], forecasts=[forecast()]))
    writer.take(events.Done(host="h1", ok=True))
    writer.close()
    return out.getvalue()


def test_json_has_the_event() -> None:
    first = json.loads(written("json").splitlines()[0])
    assert (first["event"], first["host"]) == ("outlook", "h1")
    assert first["loads"][0]["takers"][0]["weights"] == 14 * GIB
    assert first["forecasts"][0]["drain"] == 30.0
    assert [(each["code"], each["where"]) for each in first["findings"]] == [
        ("gpu-taken", "p.yml:9:12"),
        ("may-not-fit", "p.yml:11:3"),
    ]


def test_junit_has_a_case_for_each_error() -> None:
    (error,) = ElementTree.fromstring(written("junit")).iter("error")
    assert error.get("type") == "gpu-taken"


def test_annotations_are_at_the_place() -> None:
    assert written("github").splitlines() == [
        "::error file=p.yml,line=9,col=12,title=gpu-taken::h1: service b: too much; use GPU 1",
        "::warning file=p.yml,line=11,col=3,title=may-not-fit::h1: service c: perhaps",
    ]
    assert [each["check_name"] for each in json.loads(written("gitlab"))] == ["gpu-taken", "may-not-fit"]


def test_an_apply_says_the_host_of_each() -> None:
    lines = lasting(Report(["h1"]), outlook(findings=[WRONG, DOUBT, KNOW]))
    assert lines == [
        "h1  ✗ p.yml:9:12: service b: too much; use GPU 1 [gpu-taken]",
        "h1  ! p.yml:11:3: service c: perhaps [may-not-fit]",
    ]
