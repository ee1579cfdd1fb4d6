"""What the real systemd hands to a program of strings from a playbook is the strings."""

from __future__ import annotations

from base64 import b64decode

import pytest

from provision.catalog import text
from provision.config.problems import ConfigError
from tests.fuzz.strings import SIZE, batches, same, strings
from tests.lab import LabHost

pytestmark = pytest.mark.lab

DUMP = """\
import os, sys
with open("/run/fuzz.words", "ab") as file:
    file.write(b"".join(os.fsencode(word) + b"\\0" for word in sys.argv[1:]))
with open("/run/fuzz.variables", "wb") as file:
    number = 0
    while f"V{number}" in os.environ:
        file.write(os.environb[b"V%d" % number] + b"\\0")
        number += 1
"""
"""What the units run: it keeps its arguments, and the variables V0, V1, ..."""

A_COMMAND = 200
"""Words of one command line."""


class Site:
    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.write("/run/dump.py", DUMP)

    def write(self, path: str, content: str) -> None:
        self.host.exec(["sh", "-c", f"cat > {path}"], input=content)

    def start(self, settings: str) -> None:
        """Start a unit with these settings, and wait for its end."""
        unit = f"[Service]\nType=oneshot\n{settings}"
        self.write("/run/systemd/system/fuzz.service", unit)
        self.host.exec(
            ["sh", "-c", "rm -f /run/fuzz.*; systemctl daemon-reload && systemctl start fuzz.service"]
        )

    def kept(self, name: str) -> list[str]:
        """Return what the program has kept."""
        raw = b64decode(self.host.exec(["base64", "-w0", f"/run/fuzz.{name}"]).stdout)
        return raw.decode().split("\0")[:-1]


@pytest.fixture(scope="module")
def site(lab: object) -> Site:
    return Site(lab["h1"])  # type: ignore[index]


def test_arguments(site: Site) -> None:
    for part in batches(list(strings(SIZE, "arguments")), 20_000):
        lines = (
            " ".join(text.unit_word(word, command=True) for word in words)
            for words in batches(part, A_COMMAND)
        )
        site.start("".join(f"ExecStart=/usr/bin/python3 /run/dump.py {line}\n" for line in lines))
        same(part, site.kept("words"))


def test_an_env_file(site: Site) -> None:
    for part in batches(list(strings(SIZE, "env")), 4000):
        lines = "".join(f"{text.env_line(f'V{number}', value)}\n" for number, value in enumerate(part))
        site.write("/run/x.env", lines)
        site.start("EnvironmentFile=/run/x.env\nExecStart=/usr/bin/python3 /run/dump.py\n")
        same(part, site.kept("variables"))


def test_words_of_other_settings(site: Site) -> None:
    """By `Environment=`, whose words systemd takes apart as it does those of `ReadWritePaths=`."""
    for part in batches(list(strings(SIZE, "words")), 4000):
        lines = "".join(f"Environment={text.unit_word(f'V{n}={value}')}\n" for n, value in enumerate(part))
        site.start(f"{lines}ExecStart=/usr/bin/python3 /run/dump.py\n")
        same(part, site.kept("variables"))


def test_whole_settings(site: Site) -> None:
    """By `Description=`, which systemd gives back; what it would not is refused."""
    kept = []
    for value in strings(SIZE // 5, "whole"):
        try:
            text.unit(value)
        except ConfigError:
            continue
        kept.append(value or "x")
    assert len(kept) > SIZE // 20
    for part in batches(kept, 500):
        script = "".join(
            f"cat > /run/systemd/system/whole-{number}.service <<'EOF-'\n"
            f"[Unit]\nDescription={text.unit(value)}\n[Service]\nExecStart=/bin/true\nEOF-\n"
            for number, value in enumerate(part)
        )
        units = " ".join(f"whole-{number}.service" for number in range(len(part)))
        site.host.exec(["sh", "-e", "-s"], input=f"{script}systemctl daemon-reload\n")
        shown = site.host.exec(["sh", "-c", f"systemctl show -p Description {units}"]).stdout
        site.host.exec(["sh", "-c", "rm /run/systemd/system/whole-*; systemctl daemon-reload"])
        same(part, [line.removeprefix("Description=") for line in shown.split("\n") if line])
