"""What a power cut leaves: the disk as it is when something is first said to be complete.

A file system in a file is mounted. The file is copied right after the mark, without a sync: as a disk would
be found after a power cut, without all that was only in memory.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.host.machine import Machine
from provision.host.python.look import MANIFEST, MARKER
from provision.host.resources.environment import Environment
from provision.host.resources.model import Model
from provision.wire.specs.environment import EnvironmentSpec
from provision.wire.specs.model import ModelSpec
from tests.host.test_environment import requirement
from tests.host.wheels import wheel
from tests.lab.hub import Hub

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

FILES = 2000
SIZE = 20_000_000


class Disk:
    """A file system in a file."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "disk", folder / "mounted"
        self.after = folder / "after"
        self.place.mkdir()
        self.after.mkdir()
        with self.image.open("wb") as file:
            file.truncate(600 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(self.image)], check=True)
        _mount(self.image, self.place)

    def cut(self) -> Path:
        """Return what a power cut would leave at this moment, once the journal has been played back."""
        copy = self.image.with_name("copy")
        subprocess.run(["cp", "--sparse=always", str(self.image), str(copy)], check=True)
        _mount(copy, self.after)
        return self.after


def _mount(image: Path, place: Path) -> None:
    done = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no loop devices here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not shutil.which("mkfs.ext4"):
        pytest.skip("no mkfs.ext4")
    try:
        yield (made := Disk(tmp_path))
    finally:
        for name in ("after", "mounted"):
            subprocess.run(["umount", str(tmp_path / name)], capture_output=True, check=False)
        made.image.unlink()


def damaged(site: Path) -> list[str]:
    """Return the installed files that are not as their distributions record them."""
    found = []
    for record in site.glob("*.dist-info/RECORD"):
        for name, digest, _ in csv.reader(record.read_text().splitlines()):
            kind, _, wanted = digest.partition("=")
            path = site / name
            if not kind:
                continue
            if not path.exists():
                found.append(name)
                continue
            real = base64.urlsafe_b64encode(hashlib.new(kind, path.read_bytes()).digest())
            if real.decode().rstrip("=") != wanted:
                found.append(name)
    return found


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_environment_that_is_marked_complete_is_on_the_disk(
    disk: Disk, tmp_path: Path, installer: str
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "demo-heavy", "1.0", files=FILES)
    stem = disk.place / "environments/e"
    spec = EnvironmentSpec(
        path=f"{stem}-00000000",
        stem=str(stem),
        requirements=[requirement("demo-heavy==1.0")],
        find_links=[str(wheels)],
        installer=installer,
    )
    machine = Machine(lambda event: None, str(disk.place / "state"))
    Environment("environment:e", spec).fix(machine, {})
    left = disk.cut() / "environments/e-00000000"
    assert (left / MANIFEST).exists()
    assert not (left / MARKER).exists()
    (site,) = left.glob("lib/*/site-packages")
    assert len(list((site / "demo_heavy").iterdir())) >= FILES
    assert damaged(site) == []


def test_a_model_that_is_marked_complete_is_on_the_disk(disk: Disk, tmp_path: Path, clients: str) -> None:
    content = {"config.json": b"{}", "model.safetensors": os.urandom(SIZE), "tokenizer.json": b"x" * 70_000}
    for name, data in content.items():
        file = tmp_path / "hub/tiny/chat" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    with Hub(tmp_path / "hub") as hub:
        spec = ModelSpec(
            path=str(disk.place / "models/.0/chat"),
            stem=str(disk.place / "models/chat"),
            source="huggingface",
            repo="tiny/chat",
            revision="main",
            endpoint=hub.url,
            python=clients,
        )
        machine = Machine(lambda event: None, str(disk.place / "state"))
        Model("model:m", spec).fix(machine, {})
    left = disk.cut()
    after = spec.replace(path=str(left / "models/.0/chat"), stem=str(left / "models/chat"))
    model = Model("model:m", after)
    deep = Machine(lambda event: None, str(tmp_path / "state"), deep=True)
    assert model.expected(deep) == model.actual(deep)
    for name, data in content.items():
        assert (left / "models/.0/chat" / name).read_bytes() == data
