"""Runs the real command line as a user would, and reads what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

_REACHING = {"plan", "apply", "verify", "status", "logs", "remove", "lock", "sbom"}


@dataclass
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines it printed."""
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def event(self, name: str, **like: Any) -> list[dict[str, Any]]:
        """The events of one name, with these values."""
        found = [event for event in self.events if event["event"] == name]
        return [event for event in found if all(event.get(key) == value for key, value in like.items())]

    def changes(self, host: str | None = None) -> dict[str, dict[str, Any]]:
        """What differs, by resource id."""
        seen = [event for event in self.event("inspected") if host in (None, event["host"])]
        return {event["id"]: event["changes"] for event in seen if event["changes"]}

    @property
    def troubles(self) -> str:
        """What went wrong, and the last lines: all of it is too long to be read."""
        wrong = [event for event in self.events if event.get("finding") or event.get("status") == "failed"]
        lines = [json.dumps(event, ensure_ascii=False)[:2000] for event in wrong]
        return "\n".join([*lines, "...", self.out[-2000:], self.err[-4000:]])

    def done(self, host: str) -> dict[str, Any]:
        """The last event of a host."""
        (event,) = self.event("done", host=host)
        return event


@dataclass
class Provision:
    """The command line with options that every call shares."""

    options: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = REPOSITORY
    log: list[str] = field(default_factory=list)

    def run(self, verb: str, *args: str | Path, timeout: float = 900, json: bool = False) -> Answer:
        """Run one verb."""
        patience = ["--connect-timeout", "60"] if verb in _REACHING else []  # of slow machines
        argv = [sys.executable, "-m", "provision", verb, *patience, *map(str, args), *self.options]
        argv += ["--output", "json"] if json else []
        ended = subprocess.run(
            argv,
            cwd=self.cwd,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        self.log += [ended.stdout, ended.stderr]
        return Answer(ended.returncode, ended.stdout, ended.stderr)

    def apply(self, *args: str | Path, **how: Any) -> Answer:
        """Apply without asking; it must succeed."""
        answer = self.run("apply", *args, "--yes", json=True, **how)
        assert answer.code == 0, answer.troubles
        return answer

    def history(self, playbook: Path) -> list[dict[str, Any]]:
        """Return the revisions of the only service of a playbook."""
        (told,) = self.run("history", playbook, json=True).event("history")
        found: list[dict[str, Any]] = told["revisions"]
        return found

    def plan(self, *args: str | Path, code: int | None = None) -> Answer:
        """Plan with --detailed-exitcode."""
        answer = self.run("plan", *args, "--detailed-exitcode", json=True)
        if code is not None:
            assert answer.code == code, answer.troubles
        return answer
