"""One case: an apply that is cut off at a moment, the apply after it, and what is wrong then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import scenario, traces
from tests.chaos.disks import Disks
from tests.chaos.moments import Counting, Moment, moments
from tests.chaos.ways import WAYS, Running
from tests.e2e.command import REPOSITORY, Answer, Provision
from tests.lab import Lab

LIMIT = 600.0
"""Seconds after which an apply hangs."""

SETTLES = 60.0
"""Seconds in which hosts come to rest by themselves."""


@dataclass(frozen=True)
class Case:
    """How an apply is cut off: `way`, and `delay` seconds after `moment`."""

    way: str
    moment: Moment
    delay: float = 0.0

    def __str__(self) -> str:
        later = f" + {self.delay:.2f} s" if self.delay else ""
        return f"{self.way} at {self.moment}{later}"


@dataclass
class Outcome:
    """What became of a case.

    Args:
        case: the case.
        reached: whether its moment came.
        wrong: what is not as it would have been without it; empty is well.
        code: the exit code of the apply that was cut off.
        seconds: from the cut until that apply had ended.
    """

    case: Case
    reached: bool = True
    wrong: list[str] = field(default_factory=list)
    code: int | None = None
    seconds: float = 0.0


class Chaos:
    """Hosts that are set back before each case.

    Args:
        lab: where they are booted; nobody else uses it.
        folder: an empty directory with a short path, for the playbook and the sockets.
        first: disturb the first apply on bare hosts instead of a change.
        container: have a container, too: its engine has to be installed first.
    """

    def __init__(self, lab: Lab, folder: Path, first: bool = False, container: bool = True) -> None:
        self._lab = lab
        self._folder = folder
        self._options = scenario.FIRST if first else scenario.CHANGE
        self._playbook = folder / "site.yml"
        self._playbook.write_text(scenario.PLAYBOOK + (scenario.CONTAINER if container else ""))
        env = {**scenario.ENV, "PYTHONPATH": str(REPOSITORY), "XDG_RUNTIME_DIR": str(folder)}
        self._provision = Provision(["-i", str(lab.inventory)], env, folder)
        scenario.boot(lab)
        if not first:
            self._provision.apply(self._playbook, *scenario.FIRST)
        self._disks = Disks(lab, scenario.HOSTS, lab.directory / "saved")
        self._begin()
        answer = self._provision.apply(self._playbook, *self._options)
        self.moments = moments(answer.events)
        self._end = self._traces()
        self._starts = self._all_starts()

    def cases(self) -> list[Case]:
        """Return every case: each way at each moment."""
        return [Case(way, moment) for moment in self.moments for way in WAYS]

    def try_(self, case: Case) -> Outcome:
        """Set the hosts back, cut an apply off, apply again, and compare."""
        self._begin()
        outcome = Outcome(case)
        self._cut(case, outcome)
        if case.way == "power":
            self._lab.start(case.moment.host)
        again = self._apply(self._provision, "apply", "--yes", "--output", "json")
        if again.code:
            outcome.wrong.append(f"the next apply fails: {again.troubles}")
            return outcome
        outcome.wrong += self._compare(case)
        plan = self._apply(self._provision, "plan", "--detailed-exitcode", "--output", "json")
        if plan.code:
            found = {name: plan.changes(name) for name in scenario.HOSTS}
            outcome.wrong.append(f"plan still finds something: {found}")
        return outcome

    def forget(self) -> None:
        """Remove the hosts and what was kept of them."""
        self._disks.forget()
        self._lab.remove(*scenario.HOSTS)

    # -- steps

    def _begin(self) -> None:
        self._disks.restore()
        if self._options is scenario.CHANGE:
            # What has no supervisor does not come back by itself.
            self._provision.apply(self._playbook, *scenario.FIRST)
            self._await(self._in_rotation)

    def _apply(self, provision: Provision, verb: str, *more: str) -> Answer:
        return provision.run(verb, self._playbook, *self._options, *more, timeout=LIMIT)

    def _cut(self, case: Case, outcome: Outcome) -> None:
        argv = [sys.executable, "-m", "provision", "apply", str(self._playbook), "--yes", "--output", "json"]
        counting = Counting()
        log = self._folder / "cut.log"
        with (
            log.open("w") as errors,
            subprocess.Popen(
                [*argv, *self._options, *self._provision.options],
                cwd=self._folder,
                env={**os.environ, **self._provision.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            running = Running(self._lab, process)
            assert process.stdout
            began = None
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "hello":
                    running.pids[event["host"]] = event["pid"]
                if began is None and counting.of(event) == case.moment:
                    began = time.monotonic()
                    time.sleep(case.delay)
                    WAYS[case.way](running, case.moment.host)
            outcome.code = process.wait()
        outcome.reached = began is not None
        outcome.seconds = time.monotonic() - began if began else 0.0
        said = log.read_text()
        if "Traceback" in said:
            outcome.wrong.append(said[-3000:])
        if case.way.startswith("^C") and outcome.reached:
            outcome.wrong += self._after_interrupt(case, running, outcome.code)

    def _after_interrupt(self, case: Case, running: Running, code: int | None) -> list[str]:
        """Return what is wrong right after ^C: it has to end as agreed, and after one no host is held."""
        found = [] if code in (0, 130) else [f"after {case.way} the exit code is {code}"]
        if case.way == "^C":
            for name, pid in running.pids.items():
                if not self._lab[name].exec(["kill", "-0", str(pid)], check=False).returncode:
                    found.append(f"{name}: its side still runs after ^C")
        return found

    def _compare(self, case: Case) -> list[str]:
        found: list[str] = []

        def compare() -> bool:
            now = self._traces()
            found[:] = [
                f"{name}: {each}"
                for name in scenario.HOSTS
                for each in traces.differences(self._end[name], now[name])
            ]
            return not found

        self._await(compare, strict=False)
        word = self._options[1].partition("=")[2]
        cut = case.moment.host if case.way == "power" else ""
        for (name, service), starts in self._all_starts().items():
            if not self._starts[name, service]:
                continue  # it is not in this playbook
            wanted = self._starts[name, service].count(word)
            # What runs on a host starts once more when it boots, and the other node of its service with it.
            most = wanted + (cut in ({*scenario.PAIR} if service == "pair" else {name}))
            if not starts or starts[-1] != word:
                found.append(f"{name}: {service} runs with {starts[-1:]}, not {word}")
            elif not wanted <= starts.count(word) <= most:
                found.append(f"{name}: {service} was started {starts.count(word)} times, not {wanted}")
        return found

    def _traces(self) -> dict[str, dict[str, Any]]:
        return {name: traces.of(self._lab, name) for name in scenario.HOSTS}

    def _in_rotation(self) -> bool:
        """Whether the gateway passes requests to all servers."""
        states = dict(traces.rotation(self._lab))
        return bool(states) and set(states.values()) == {"UP"}

    def _all_starts(self) -> dict[tuple[str, str], list[str]]:
        return {
            (name, service): starts
            for name in scenario.HOSTS
            for service, starts in traces.starts(self._lab, name).items()
        }

    def _await(self, reached: Any, strict: bool = True) -> None:
        last = time.monotonic() + SETTLES
        while not reached():
            if time.monotonic() > last:
                assert not strict, "the hosts did not come to rest"
                return
            time.sleep(0.5)
