"""A bill of materials, against the schema that CycloneDX publishes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from provision.lock.sbom import bom
from provision.wire.events import Facts
from tests.unit.lock.test_lock import Site, all_of

NOW = "2026-11-27T22:00:00Z"


@pytest.fixture
def document(tmp_path: Path) -> dict[str, object]:
    catalog = Site(tmp_path).project().fleet.catalogs["h1"]
    facts = Facts(hostname="h1", os="Debian GNU/Linux 12", arch="x86_64", cpus=2, memory=1)
    return bom(catalog, all_of("h1"), facts, NOW)


def test_it_is_what_the_schema_says(document: dict[str, object]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    # The validator does find what is wrong.
    assert validator.validate_str(json.dumps({**document, "serialNumber": "1"})) is not None


def test_every_purl_is_in_its_canonical_form(document: dict[str, list[dict[str, str]]]) -> None:
    found = {each["name"]: each.get("purl") for each in document["components"]}
    assert found == {
        "git": "pkg:deb/debian/git@1:2.39.5-0%2Bdeb12u2?arch=amd64&distro=debian-12",
        "python3-venv": "pkg:deb/debian/python3-venv@3.11.2-1%2Bb1?arch=amd64&distro=debian-12",
        "demo": "pkg:pypi/demo@1.0",
        "huggingface-hub": "pkg:pypi/huggingface-hub@1e5",
        "own": "pkg:pypi/own@1.0",
        "chat": f"pkg:huggingface/tiny/chat@{'c' * 40}",
        "team/box": f"pkg:oci/box@sha256:{'d' * 64}?arch=amd64&tag=1",
    }
    for purl in filter(None, found.values()):
        assert PackageURL.from_string(purl).to_string() == purl


def test_models_have_the_hash_of_each_file(document: dict[str, list[dict[str, object]]]) -> None:
    (model,) = (each for each in document["components"] if each["type"] == "machine-learning-model")
    files = model["components"]
    assert isinstance(files, list)
    assert [each["name"] for each in files] == ["config.json", "0x1"]
    assert all(each["hashes"][0]["alg"] == "SHA-256" for each in files)


def test_the_same_content_has_the_same_number(document: dict[str, str], tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    catalog = Site(again).project().fleet.catalogs["h1"]
    first, second = (bom(catalog, all_of("h1"), None, now) for now in (NOW, "2027-01-01T00:00:00Z"))
    assert first["serialNumber"] == second["serialNumber"]
    assert first["serialNumber"] != document["serialNumber"]  # it has no facts
