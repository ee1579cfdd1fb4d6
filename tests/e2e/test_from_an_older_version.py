"""A host that an older version has provisioned: what it left there is understood, and nothing changes.

`older_version/` has what the last version before the typed contract wrote, its paths and port left open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.host.resources import recall
from tests.e2e.command import Provision
from tests.host.services import free_port

OLDER = Path(__file__).with_name("older_version")

SERVICE = "services/tiny"
PLACES = {"ledger.json": "state/ledger.json", "start.sh": f"{SERVICE}/start.sh", "env": f"{SERVICE}/env"}


class Site:
    """A playbook, and this machine as the older version left it but for the process, which has ended."""

    def __init__(self, folder: Path) -> None:
        self.root, self.port = folder / "root", free_port()
        self.playbook = folder / "site.yml"
        self.playbook.write_text(self.text("site.yml"))
        inventory = folder / "hosts.yml"
        inventory.write_text(f"hosts: {{localhost: {{connection: local, prefix: {self.root}}}}}\n")
        options = ["-i", str(inventory), "-e", f"root={self.root}", "-e", f"port={self.port}"]
        self.provision = Provision(options, {"XDG_CACHE_HOME": str(folder / "cache")})
        for name, place in PLACES.items():
            self.put(place, self.text(name), 0o755 if name == "start.sh" else 0o600)
        self.put("data/a.conf", "a\n")
        self.put("data/first", "")
        (self.root / "data").chmod(0o750)
        for name in ("logs", "run"):
            (self.root / name).mkdir()

    def text(self, name: str) -> str:
        written = (OLDER / name).read_text(encoding="utf-8")
        return written.replace("@ROOT@", str(self.root)).replace("@PORT@", str(self.port))

    def put(self, place: str, text: str, mode: int = 0o644) -> None:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.provision.run("remove", made.playbook, "--yes")


def test_it_converges_without_a_change_and_lets_itself_be_removed(site: Site) -> None:
    assert set(site.provision.plan(site.playbook).changes()) == {"process:tiny", "probe:tiny"}
    site.provision.apply(site.playbook)
    assert site.provision.apply(site.playbook).done("localhost")["counts"]["changed"] == 0
    removed = site.provision.run("remove", site.playbook, "--yes", json=True).event("removed")
    assert len([each for each in removed if each["kept"] is None]) == 10
    assert [path.name for path in site.root.rglob("*") if path.is_file()] == ["first"]


def test_what_its_service_last_answered_with_is_put_back(site: Site) -> None:
    site.provision.apply(site.playbook)
    record = site.root / "state/former/tiny"
    proven = json.loads(record.read_text())["invocation"]
    record.write_text(json.dumps({**json.loads(site.text("former.json")), "invocation": proven}))
    site.playbook.write_text(site.playbook.read_text().replace("http.server", "http.no_server"))
    failed = site.provision.run("apply", site.playbook, "--yes", json=True)
    (restored,) = failed.event("restored")
    assert restored["ok"], failed.out


@pytest.mark.parametrize("name", ["ledger.json", "ledger-of-root.json"])
def test_every_entry_of_a_ledger_says_enough_to_remove_what_it_is_of(name: str) -> None:
    entries = json.loads((OLDER / name).read_text().replace("@PORT@", "1"))["resources"]
    for id, entry in entries.items():
        kept = recall(id, entry["type"], entry["spec"])
        said = kept.spec.plain()
        assert _known({key: said[kept.RENAMED.get(key, key)] for key in entry["spec"]}, entry["spec"])


def _known(said: Any, then: Any) -> bool:
    """Whether all that was written then is there; records in it may have got further fields since."""
    if isinstance(then, list) and isinstance(said, list):
        return len(said) == len(then) and all(map(_known, said, then))
    if isinstance(then, dict) and isinstance(said, dict):
        return all(key in said and _known(said[key], value) for key, value in then.items())
    return bool(said == then)
