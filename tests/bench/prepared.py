"""The work as the peers get it: the very files that provision makes are theirs to copy.

So all tools write the same bytes to the same places, and no peer is charged for making them.
"""

from __future__ import annotations

import compileall
import shutil
import sys
from pathlib import Path

import yaml

import provision
from tests.lab import Lab, LabHost
from tests.lab.commands import run

WORK = Path(__file__).with_name("work")

_SERVICE = "opt/provision/services/bench"
_MESSAGE = "the-message"


def prepare(lab: Lab, host: LabHost, directory: Path) -> Path:
    """Return a directory with the work of all tools, made anew.

    Args:
        lab: has the host.
        host: any; the files are those of every host.
        directory: is replaced.
    """
    # As pip has done for the peers: an editable checkout has no compiled modules where they are not written.
    compileall.compile_dir(Path(provision.__file__).parent, quiet=1)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(WORK, directory)
    reached = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))["hosts"][host.name]
    inventory = directory / "inventory.yml"
    inventory.write_text(
        yaml.safe_dump({"vars": {"message": _MESSAGE}, "hosts": {host.name: reached}}), encoding="utf-8"
    )
    rendered = directory / "rendered"
    playbook = str(directory / "provision.yml")
    command = str(Path(sys.executable).parent / "provision")
    run([command, "render", playbook, "-i", str(inventory), "--to", str(rendered)])
    made = rendered / host.name
    env = (made / _SERVICE / "env").read_text(encoding="utf-8")
    (directory / "env.j2").write_text(env.replace(_MESSAGE, "{{ message }}"), encoding="utf-8")
    shutil.copy(made / _SERVICE / "start.sh", directory)
    shutil.copy(made / "etc/systemd/system/provision-bench.service", directory)
    return directory
