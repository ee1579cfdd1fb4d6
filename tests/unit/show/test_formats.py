"""The table of formats: each takes whatever its verbs tell, and an entry is all that the options need."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from provision.cli.options import Call, shared
from provision.config.problems import Position
from provision.findings import catalogue
from provision.show.formats import FORMATS, Format, offered
from provision.show.items import Code, Item, Located, Run, Valid
from provision.show.writer import Writer
from provision.wire.finding import warning
from tests.unit.rollout.test_events import SAMPLES

NOTES: list[Item] = [
    Located(warning("flag-form", "odd"), Position("p.yml", 1, 2)),
    Located(warning("flag-form", "odd"), host="h"),
]
EVENTS: list[Item] = [*NOTES, *(event.replace(host="h") for event, _ in SAMPLES)]
TOLD = {
    **dict.fromkeys(("plan", "apply", "verify", "status", "logs", "remove"), EVENTS),
    "validate": [*NOTES, Valid(["p.yml"], 1, 2, 3)],
    "explain": [Code(code, entry, "area") for code, entry in catalogue().items()],
}
OFFERED = [(verb, name) for verb in TOLD for name in (*offered(verb), *offered(verb, file=True))]


@pytest.mark.parametrize(("verb", "name"), OFFERED)
def test_a_format_takes_all_that_a_verb_tells(verb: str, name: str) -> None:
    out = io.StringIO()
    writer = FORMATS[name].writer(Run(verb, ["h"]), out)
    for item in TOLD[verb]:
        writer.take(item)
    writer.close()
    assert out.getvalue() or (verb, name) == ("logs", "text")
    if name == "json":
        lines = [json.loads(line) for line in out.getvalue().splitlines()]
        assert len(lines) == len(TOLD[verb])
        assert all(line["version"] == 1 and line["event"] for line in lines)


class Counting(Writer):
    """A format that counts items."""

    count = 0

    def take(self, item: Item) -> None:
        self.count += 1

    def close(self) -> None:
        self.out.write(f"{self.run.verb}: {self.count}\n")


def test_an_entry_gives_a_verb_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = f"{__name__}:Counting"
    monkeypatch.setitem(FORMATS, "sum", Format(maker, "a number", ("plan",)))
    monkeypatch.setitem(FORMATS, "sums", Format(maker, "a number", ("plan",), file=True))

    @click.command()
    @shared("plan")
    def plan(call: Call) -> None:
        writer = call.writer()
        writer.take(NOTES[0])
        writer.close()

    runner = CliRunner()
    assert "sum: a number" in runner.invoke(plan, ["--help"]).output
    file = tmp_path / "sums"
    assert runner.invoke(plan, ["--output", "sum", "--sums", str(file)]).output == "plan: 1\n"
    assert file.read_text() == "plan: 1\n"
    assert "sum" not in offered("apply")
