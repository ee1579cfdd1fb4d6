"""Findings as GitHub and GitLab read them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from provision.config.problems import Position
from provision.show.formats import FORMATS
from provision.show.items import Located, Run
from provision.wire.finding import Finding, information, warning
from tests.e2e.command import Provision


def written(format: str, *findings: Located) -> str:
    """Return what is printed of findings."""
    out = io.StringIO()
    writer = FORMATS[format].writer(Run("validate"), out)
    for each in findings:
        writer.take(each)
    writer.close()
    return out.getvalue()


def test_github_commands_are_escaped() -> None:
    fault = Finding(code="unknown-key", message="100%\nof it", hint="do: this, that")
    text = written(
        "github",
        Located(fault, Position("a,b:c.yml", 3, 7)),
        Located(warning("flag-form", "odd")),
        Located(information("turn-left-out", "so", "x"), None, "h1"),
    )
    assert text.splitlines() == [
        "::error file=a%2Cb%3Ac.yml,line=3,col=7,title=unknown-key::100%25%0Aof it; do: this, that",
        "::warning title=flag-form::odd",
        "::notice title=turn-left-out::h1: so; x",
    ]


def test_gitlab_fingerprints_are_unique_and_do_not_follow_lines() -> None:
    fault = Finding(code="unknown-key", message="unknown key `x`")

    def prints(*lines: int) -> list[str]:
        found = [Located(fault, Position("p.yml", line, 1)) for line in lines]
        entries = json.loads(written("gitlab", *found))
        assert [entry["location"]["lines"]["begin"] for entry in entries] == list(lines)
        return [entry["fingerprint"] for entry in entries]

    assert prints(3, 9) == prints(4, 10)
    assert len(set(prints(3, 9))) == 2
    assert written("gitlab") == "[]\n"


def test_paths_are_relative_to_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    monkeypatch.chdir(tmp_path / "site")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    line = written("github", Located(Finding(code="c", message="m"), Position("p.yml", 1, 1)))
    assert line.startswith("::error file=site/p.yml,")


@pytest.mark.parametrize("format", ["github", "gitlab"])
def test_validate_prints_them_with_the_same_exit_codes(tmp_path: Path, format: str) -> None:
    (tmp_path / "p.yml").write_text("- hosts: localhost\n  pakages: [git]\n")
    provision = Provision(cwd=tmp_path, env={"GITHUB_WORKSPACE": "", "CI_PROJECT_DIR": ""})
    wrong = provision.run("validate", "p.yml", "--output", format)
    assert wrong.code == 1
    assert wrong.err.startswith("p.yml:2:3: unknown key")
    if format == "github":
        assert wrong.out.startswith(
            "::error file=p.yml,line=2,col=3,title=unknown-key::unknown key `pakages`"
        )
    else:
        (entry,) = json.loads(wrong.out)
        assert (entry["check_name"], entry["location"]["path"]) == ("unknown-key", "p.yml")
    (tmp_path / "p.yml").write_text("- hosts: localhost\n  packages: [git]\n")
    right = provision.run("validate", "p.yml", "--output", format)
    assert (right.code, right.out.strip()) == (0, "[]" if format == "gitlab" else "")
