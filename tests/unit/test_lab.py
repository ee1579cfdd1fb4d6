"""The parts of the lab that need no host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.__main__ import main
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.machine import AptSource, apt_sources, parse_pip_configuration
from tests.lab.network import Network
from tests.lab.process import ProcessId

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def test_pip_variables_outrank_every_section_of_the_files() -> None:
    pip = parse_pip_configuration(
        ":env:.find-links='/wheels /more'\n"
        ":env:.cert='/company.crt'\n"
        "global.find-links='/old'\n"
        "install.find-links='/older'\n"
        "global.index-url='https://index.example/simple'\n"
        "global.user='true'\n"
        "WARNING: something without meaning\n"
    )
    assert pip.options == {
        "global.find-links": "/wheels\n/more",
        "global.index-url": "https://index.example/simple",
    }
    assert pip.certificates == ("/company.crt",)


def test_pip_conf_is_read_back_by_the_real_pip_as_it_was(tmp_path: Path) -> None:
    pip = parse_pip_configuration(
        "global.extra-index-url='file:///a/simple\\nfile:///b/simple'\ninstall.only-binary=':all:'\n"
    )
    (tmp_path / "pip.conf").write_text(pip.text("/cache"), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={**environment, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    again = parse_pip_configuration(listed)
    assert again.options["global.extra-index-url"] == "file:///a/simple\nfile:///b/simple"
    assert again.options["install.only-binary"] == ":all:"
    assert CA_BUNDLE in again.certificates


def test_pip_paths_are_those_that_exist_and_the_parent_of_an_index(tmp_path: Path) -> None:
    wheels, simple = tmp_path / "wheels", tmp_path / "index" / "simple"
    wheels.mkdir()
    simple.mkdir(parents=True)
    pip = parse_pip_configuration(
        f"global.find-links='{wheels} /nowhere'\nglobal.extra-index-url='file://{simple}'\n"
    )
    assert pip.paths() == [simple.parent, wheels]


def test_apt_sources_of_the_distribution_are_turned_to_another_suite(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(
        "deb [signed-by=/x.gpg] http://a.example/debian bookworm main contrib # mine\n"
        "# deb http://a.example/debian bookworm-proposed main\n"
        "deb http://third.example/apt bookworm-tools main\n",
        encoding="utf-8",
    )
    (parts / "debian.sources").write_text(
        "Types: deb deb-src\nURIs: http://b.example/debian\nSuites: bookworm-updates\n bookworm-security\n"
        "Components: main\n# a comment\n\nTypes: deb\nURIs: http://c.example/\nSuites: bookworm\n"
        "Components: main\nEnabled: no\n",
        encoding="utf-8",
    )
    assert apt_sources("trixie", tmp_path, own="bookworm") == [
        AptSource("http://a.example/debian", "trixie", ("main", "contrib")),
        AptSource("http://b.example/debian", "trixie-updates", ("main",)),
        AptSource("http://b.example/debian", "trixie-security", ("main",)),
    ]


def test_addresses_stay_inside_the_network() -> None:
    network = Network("plab0", "10.187.3.0/24")
    assert network.gateway == "10.187.3.1"
    assert network.address(1) == "10.187.3.11"
    assert network.address(244) == "10.187.3.254"
    with pytest.raises(LabError, match="room for 244 hosts"):
        network.address(245)


def test_a_process_is_told_from_another_with_its_pid() -> None:
    child = subprocess.Popen(["sleep", "600"])
    try:
        process = ProcessId.of(child.pid)
        assert process is not None
        assert process.alive()
        assert not ProcessId(child.pid, "an earlier start").alive()
        ProcessId(child.pid, "an earlier start").kill()
        assert process.alive()
        process.kill()
        assert process.wait(60), "a zombie counts as ended"
    finally:
        child.kill()
        child.wait()


def test_a_lab_is_not_named_by_a_path() -> None:
    with pytest.raises(LabError, match="cannot name a lab"):
        Lab("../x")


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("model.safetensors", "names no path before a colon"),
        ("model:cut", "'cut' is unknown or lacks its number"),
        ("model:cut=x", "'cut=x' is unknown"),
        ("model:explode", "'explode' is unknown"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(
    fault: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["hub", "--fault", fault])
    assert complaint in capsys.readouterr().err
