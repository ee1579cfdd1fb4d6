"""An apply as it happens and as it ends, from events as hosts send them."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest
from rich.console import Console

from provision.catalog.catalog import ServiceInfo
from provision.show.items import Run
from provision.show.report import Report
from provision.show.terminal.apply import Apply, apply_summary
from provision.show.terminal.lasting import lasting
from provision.show.terminal.progress import LiveProgress, PlainProgress
from provision.show.words import clip, columns
from provision.wire import events, rollout
from provision.wire.finding import Finding
from provision.wire.requests import Service


def applied(report: Report, host: str, *results: events.Result, seconds: float = 1.0) -> None:
    for result in results:
        result.host = host
        report.take(events.Inspected(host=host, id=result.id, type="file", label=result.id.split(":")[1]))
        report.take(result)
    counts: dict[str, int] = {"changed": 0, "ok": 0, "failed": 0, "skipped": 0}
    for result in results:
        counts[result.status] += 1
    report.take(events.Done(host=host, ok=not counts["failed"], counts=counts, seconds=seconds))


def said(message: str, hint: str | None = None, *log: str) -> Finding:
    return Finding(code="code", message=message, hint=hint, log=list(log))


def result(id: str, status: str, **more: Any) -> events.Result:
    return events.Result(id=id, status=status, **more)


def service(name: str, *ids: str) -> ServiceInfo:
    return ServiceInfo(
        host="h1",
        playbook="p",
        facts=Service(
            service=name,
            unit=f"provision-{name}.service",
            kind="vllm",
            supervisor="systemd",
            port=8000,
            url="http://10.0.0.1:8000/v1",
            model=name,
        ),
        stop=f"systemctl stop provision-{name}",
        resources=list(ids),
    )


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def live() -> Apply:
    return Apply(Run("apply"), Terminal())


def busy(view: Apply) -> LiveProgress:
    assert isinstance(view._progress, LiveProgress)
    return view._progress


def test_the_summary_says_of_each_host_how_it_went_and_why_not() -> None:
    report = Report(["h1", "h2", "h3"])
    applied(report, "h1", result("file:/a", "changed"), result("file:/b", "ok"), seconds=2)
    report.take(rollout.Unreachable(host="h2", finding=said("no route to host")))
    failed = [
        result("file:/a", "failed", finding=said("no space")),
        result("file:/b", "skipped", finding=said("needs /a")),
    ]
    applied(report, "h3", *failed)
    assert list(apply_summary(report, {})) == [
        "h1  1 changed, 1 ok in 2.0 s",
        "h2  failed: no route to host [code]",
        "h3  0 changed, 0 ok, 1 failed, 1 skipped in 1.0 s; /a: no space",
        "Apply: 3 hosts, 1 changed, 1 ok, 1 failed, 1 skipped, 2 hosts in trouble.",
    ]


def test_a_single_host_needs_no_sum_and_shows_its_services() -> None:
    report = Report(["h"])
    applied(report, "h", result("unit:tiny", "changed"))
    report.hosts["h"].proofs.append(events.Proof(host="h", service="tiny", check="chat", ok=True))
    services = {"h": [service("tiny", "unit:tiny"), service("other", "unit:other")]}
    assert list(apply_summary(report, services)) == [
        "h  1 changed, 0 ok in 1.0 s",
        "    tiny  http://10.0.0.1:8000/v1  answers  stop: systemctl stop provision-tiny",
    ]


def test_hundreds_of_hosts_that_went_the_same_way_are_one_line() -> None:
    report = Report(f"h{number}" for number in range(300))
    for number in range(300):
        applied(report, f"h{number}", result("file:/a", "ok"), seconds=number / 100)
    assert list(apply_summary(report, {})) == [
        "h0, h1, h2, h3, h4, h5 and 294 more  0 changed, 1 ok in 3.0 s",
        "Apply: 300 hosts, 0 changed, 300 ok.",
    ]


def test_lasting_lines() -> None:
    report = Report()
    failure = events.Proof(
        host="h", service="s", check="chat", ok=False, sent="hi", finding=said("500", "look", "boom")
    )
    report.take(failure)
    assert lasting(report, failure) == [
        "h  ✗ s does not pass: 500 (chat, 0.0 s) [code]", "    > hi", "    | boom", "    look",
    ]  # fmt: skip
    assert lasting(report, events.Result(host="h", id="file:/a", status="ok")) == []


def test_plain_progress_mentions_a_long_step_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("provision.show.terminal.progress.time.monotonic", lambda: now[0])
    view = Apply(Run("apply"), sys.stdout)
    view.take(events.Inspected(host="h", id="model:m", type="model", label="model m"))
    view.take(events.Started(host="h", id="model:m"))
    for second in range(40):
        now[0] = float(second)
        view.take(events.Progress(host="h", id="model:m", done=second * 1e6, total=40e6))
    view.take(events.Result(host="h", id="model:m", status="changed", seconds=40))
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "h  … model m: 3.0 MB of 40.0 MB (3.0 s)",
        "h  … model m: 18.0 MB of 40.0 MB (18 s)",
        "h  … model m: 33.0 MB of 40.0 MB (33 s)",
        "h  ✓ model m (40 s)",
    ]


def test_after_ctrl_c_it_says_what_is_done_and_what_is_not() -> None:
    report = Report(["h1", "h2", "h3"])
    cut, skipped = (Finding(code=code, message="cancelled") for code in (events.CANCELLED, "skipped-step"))
    applied(
        report,
        "h1",
        result("file:/a", "changed"),
        result("unit:u", "failed", finding=cut),
        result("probe:p", "skipped", finding=skipped),
    )
    report.take(
        events.Error(host="h2", finding=Finding(code=events.CANCELLED, message="cancelled too early"))
    )
    applied(report, "h3", result("file:/a", "ok"), result("file:/b", "failed", finding=said("no space")))
    assert list(apply_summary(report, {})) == [
        "h1  1 changed, 0 ok in 1.0 s; not done: u, p",
        "h2  0 changed, cancelled too early",
        "h3  0 changed, 1 ok, 1 failed in 1.0 s; /b: no space",
        "Apply: 3 hosts, 1 changed, 1 ok, 1 failed, 2 hosts not finished, 1 host in trouble.",
        "Stopped before the end: what is done stays done, and the next apply does the rest.",
    ]


@pytest.mark.parametrize("width", [80, 130])
def test_live_progress_of_hundreds_of_hosts_fits_the_screen(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    screen = Console(file=io.StringIO(), width=width, height=24, force_terminal=True, highlight=False)
    monkeypatch.setattr("rich.console.Console", lambda **kwargs: screen)
    view = live()
    try:
        for number in range(300):
            host = f"gpu-box-{number}.example.com"
            view.take(events.Started(host=host, id="file:/opt/provision/services/" + "x" * 100))
            view.take(events.Progress(host=host, id="environment:e", done=1, total=9, text="收到" * 60))
        drawn = Console(file=io.StringIO(), width=width, height=24)
        drawn.print(busy(view)._draw())
        assert isinstance(drawn.file, io.StringIO)
        rows = drawn.file.getvalue().splitlines()
    finally:
        view.close()
    assert len(rows) <= 23
    assert all(columns(row) <= width for row in rows)
    assert rows[-1].strip().endswith("more hosts")


def test_live_progress_is_drawn_while_events_come(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    monkeypatch.setattr("rich.console.Console", lambda **kwargs: screen)
    view = live()
    taken = threading.Event()

    def take(number: int) -> None:
        view.take(events.Started(host=f"h{number}", id="model:m"))
        taken.set()

    class Running(dict[str, Any]):
        """Lets an event come in the middle of being looked through."""

        def items(self) -> Any:
            for number, item in enumerate(super().items()):
                if number == 1 and other.ident is None:
                    other.start()
                    taken.wait(0.5)  # it only comes to that where nothing keeps it from it
                yield item

    try:
        for number in range(4):
            take(number)
        taken.clear()
        other = threading.Thread(target=take, args=(9,))
        steps = busy(view)._steps
        steps.running = Running(steps.running)
        busy(view)._draw()
        other.join()
        assert "h9" in steps.running
    finally:
        view.close()


def test_live_progress_that_has_shown_nothing_leaves_the_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr("rich.console.Console", lambda **kwargs: screen)
    view = live()
    assert isinstance(screen.file, io.StringIO)
    assert screen.file.getvalue() == ""
    busy(view).close()
    assert screen.file.getvalue() == ""


def test_clip_counts_columns() -> None:
    assert clip("short", 10) == "short"
    assert clip("0123456789", 5) == "0123…"
    assert columns(clip("收到收到收到", 7)) <= 7


def test_what_failed_is_named_once_and_its_time_told_once() -> None:
    report = Report(["h"])
    for id, label in (
        ("file:/etc/a", "/etc/a"),
        ("process:web", "service web"),
        ("probe:web", "answer of web"),
        ("apt", "packages"),
    ):
        report.take(events.Inspected(host="h", id=id, type="file", label=label))

    def line(id: str, error: str) -> str:
        failed = events.Result(host="h", id=id, status="failed", finding=said(error), seconds=5)
        return lasting(report, failed)[0]

    assert line("file:/etc/a", "/etc/a: no space") == "h  ✗ /etc/a: no space (5.0 s) [code]"
    assert line("process:web", "web ended (exit 3)") == "h  ✗ service web ended (exit 3) (5.0 s) [code]"
    assert line("process:web", "web: no space") == "h  ✗ service web: no space (5.0 s) [code]"
    assert line("probe:web", "web ended (exit 3)") == "h  ✗ answer of web: web ended (exit 3) (5.0 s) [code]"
    assert line("apt", "apt-get failed") == "h  ✗ packages: apt-get failed (5.0 s) [code]"
    progress = PlainProgress(io.StringIO())
    progress.take(report.hosts["h"], events.Waiting(host="h", id="apt", reason="the lock", seconds=5))
    (step,) = progress._steps.running["h"].values()
    assert step.sentence() == "packages: waits for the lock"


def test_a_long_reason_is_told_once_and_the_summary_is_one_line() -> None:
    report = Report(["h"])
    reason = "no room for the cache " * 40
    proof = events.Proof(host="h", service="web", check="chat", ok=False, finding=said(reason, "x", "boom"))
    failed = events.Result(
        host="h", id="probe:web", status="failed", finding=said(f"chat: {reason}", "more", "boom")
    )
    applied(report, "h", failed)
    report.take(proof)
    step = lasting(report, failed)
    assert [line for line in step if "boom" in line] == []
    assert step[-1] == "    more"
    summary = next(iter(apply_summary(report, {})))
    assert summary.endswith("…")
    assert len(summary) < 260


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("before", "runs as before the change"),
        ("unproven", "not proven yet"),
        ("failing", "does not answer"),
        ("stopped", "does not run"),
    ],
)
def test_a_service_is_called_what_it_is_after_a_failure(state: str, words: str) -> None:
    report = Report(["h"])
    applied(report, "h", result("file:start", "failed", finding=said("web would not start with this")))
    done = report.hosts["h"].done
    assert done is not None
    done.services = {"web": state}
    assert f"  {words}  " in list(apply_summary(report, {"h": [service("web", "file:start")]}))[1]


def test_a_service_of_a_host_that_did_not_finish_is_not_proven_yet() -> None:
    report = Report(["h"])
    applied(report, "h", result("unit:web", "changed"))
    report.hosts["h"].done = None
    assert "  not proven yet  " in list(apply_summary(report, {"h": [service("web", "unit:web")]}))[1]
