"""A project in a temporary folder, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from provision.config.crosschecks import check_host
from provision.config.inventory import Inventory, load_inventories
from provision.config.playbook import Play, load_playbook
from provision.config.problems import ConfigError
from provision.project.load import match
from provision.project.project import Selection

HOSTS = """\
hosts:
  gpu-box: {become: true, vars: {port: 8002}}
groups: {gpu: {hosts: [gpu-box]}, none: }
"""


class Project:
    """Files to load; paths in messages are relative to its folder, which is the current one."""

    def write(self, path: str, text: str | bytes) -> Path:
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return file

    def inventory(self, *texts: str, extra: dict[str, Any] | None = None) -> Inventory:
        """The inventory of these files, called a.yml, b.yml, …"""
        for letter, text in zip("abcdef", texts, strict=False):
            self.write(f"inventories/{letter}.yml", text)
        return load_inventories(None, Path(), extra)

    def plays(self, text: str | bytes, extra: dict[str, Any] | None = None) -> list[Play]:
        """The plays of p.yml, each for every host it matches; raises for what is wrong."""
        if not Path("inventories").is_dir():
            self.write("inventories/a.yml", HOSTS)
        inventory = load_inventories(None, Path(), extra)
        playbook = load_playbook(self.write("p.yml", text))
        matched, problems = match(inventory, [playbook], Selection(extra=extra or {}))
        plays = [play for each in matched.values() for play in each]
        for each in matched.values():
            problems += check_host(each)
        if problems:
            raise ConfigError(problems)
        return plays

    def play(self, text: str | bytes, extra: dict[str, Any] | None = None) -> Play:
        (play,) = self.plays(text, extra)
        return play

    def errors(self, text: str | bytes) -> list[str]:
        """What is wrong with a playbook."""
        with pytest.raises(ConfigError) as caught:
            self.plays(text)
        return str(caught.value).splitlines()

    def inventory_errors(self, *texts: str) -> list[str]:
        """What is wrong with inventories."""
        with pytest.raises(ConfigError) as caught:
            self.inventory(*texts)
        return str(caught.value).splitlines()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project()
