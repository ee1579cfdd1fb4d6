"""Whatever hosts say, every format can write it: types of fields are checked before, values are not."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from provision.catalog.catalog import ServiceInfo
from provision.show.formats import FORMATS
from provision.show.items import Run
from provision.transport.reading import read
from provision.wire import events
from provision.wire.requests import Service
from tests.unit.whatever import record

KINDS = [kind for kind in events.Event.VARIANTS.values() if not kind.BY_CONTROLLER]

SAID = st.lists(
    st.tuples(st.sampled_from(["h1", "b"]), st.one_of([record(kind) for kind in KINDS])), max_size=8
)

FACTS = Service(
    service="s",
    unit="provision-s.service",
    kind="vllm",
    supervisor="systemd",
    port=8000,
    url="http://h/v1",
    model="m",
)

SERVICES = {"h1": [ServiceInfo("h1", "p", FACTS, "stop", ["unit:s", "probe:s", "file:/a"])]}

SHOWN = [
    (verb, name)
    for verb in ("plan", "apply", "verify", "status", "logs", "remove", "history", "rollback")
    for name, each in FORMATS.items()
    if each.verbs is None or verb in each.verbs
]


def shown(verb: str, name: str, said: list[tuple[str, dict[str, Any]]]) -> str:
    """Return what is written of events."""
    out = io.StringIO()
    writer = FORMATS[name].writer(Run(verb, ["h1", "b"], SERVICES), out)
    for host, data in said:
        line = json.dumps({**data, "host": "liar"}).encode()
        writer.take(read(line, host))
    writer.close()
    return out.getvalue()


@pytest.mark.parametrize(("verb", "name"), SHOWN)
def test_every_format_writes_it_without_control_characters(verb: str, name: str) -> None:
    @settings(max_examples=30, phases=[Phase.generate])
    @given(SAID)
    def check(said: list[tuple[str, dict[str, Any]]]) -> None:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown(verb, name, said))

    run: Callable[[], None] = check
    run()
