"""What an environment would get, resolved by uv before anything is downloaded: it reads metadata only.

Nothing of it stays on the host. No package is built for it: one that has no wheel counts as one that needs
nothing, as a plan must not run what it is going to install.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from functools import partial
from typing import Mapping, NamedTuple, Sequence

from provision.host.failure import Failure
from provision.host.machine import Machine
from provision.host.preflight.needs import Resolved
from provision.host.python import indexes, inside, pip, pip_configuration, uv, uv_wheel, versions
from provision.host.python.pip_configuration import Configuration
from provision.wire.specs.environment import EnvironmentSpec

SECONDS = 60.0
"""How long it may take; it takes 1 to 5."""

ROUNDS = 3
"""How often packages without wheels may be left out: there may be more behind them."""

_PINNED = re.compile(r"(?: \+ )?([A-Za-z0-9._-]+)==([^\s;]+)")
_UNBUILT = re.compile(r"Wheels are required for `([^`]+)`")
_DOUBTFUL = re.compile(r"pre-release|network|authentication|credentials|Failed to |Request failed", re.I)


class Environment(NamedTuple):
    """An environment that is made or changed.

    Args:
        machine: where it is.
        spec: what is declared.
        configuration: of pip, with what is declared.
        python: its Python, or the one that it will be made from.
        present: it is there, and its packages stay as far as they do.
        directory: of our own, for what is only needed meanwhile.
    """

    machine: Machine
    spec: EnvironmentSpec
    configuration: Configuration
    python: str
    present: bool
    directory: str

    def resolve(self, requirements: Sequence[str], constraints: Sequence[str] = ()) -> Resolved | None:
        """Return what these requirements lead to; None where that cannot be told.

        Args:
            requirements: as pip writes them; only of packages with a name.
            constraints: besides those that are declared.
        """
        files = [place for place in self.spec.constraints if place.startswith("/")]
        if not requirements or not all(map(os.path.exists, files)):
            return None
        configuration = {"index-url": indexes.PUBLIC, **self.configuration}
        try:
            program = self._program()
            settings = pip_configuration.translate(configuration, os.environ)
            with tempfile.TemporaryDirectory(dir=self.directory) as place:
                declared = [*self.spec.constraints, *constraints]
                listing = pip.write_listing(place, settings.lines, declared, requirements)
                # As long as the other checks wait for an index.
                env = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1", **settings.env}
                env.update(UV_CACHE_DIR=os.path.join(self.directory, "cache"), TMPDIR=place)
                return self._rounds(program, listing, env, place) if program else None
        except (Failure, OSError, pip_configuration.NoCounterpart):
            return None

    def _program(self) -> str | None:
        there = uv.program(self.machine)
        if os.access(there, os.X_OK):
            return there
        fetch = partial(uv_wheel.fetch, self.configuration, os.environ, self.directory)
        return self.machine.once(("uv", self.directory), fetch)

    def _rounds(self, program: str, listing: str, env: Mapping[str, str], place: str) -> Resolved | None:
        without: list[str] = []
        overrides = os.path.join(place, "overrides.txt")
        argv = [program, "pip", *(["install", "--dry-run", "-r"] if self.present else ["compile"]), listing]
        argv += ["--no-build", "--python", self.python]
        argv += [] if self.present else ["--no-header", "--no-annotate"]
        for _ in range(ROUNDS):
            lines: list[str] = []
            asked = {"argv": argv, "env": {**env, "UV_OVERRIDE": overrides} if without else dict(env)}
            ended = self.machine.run(
                inside.command_of(sys.executable, "uv"),
                input=json.dumps(asked),
                on_line=lines.append,
                check=False,
                timeout=SECONDS,
            )
            if ended.code == 0:
                found = [each for each in map(_PINNED.fullmatch, lines) if each]
                return Resolved({versions.normalise(each[1]): each[2] for each in found})
            text = "\n".join(lines)
            unbuilt = [name for name in _UNBUILT.findall(text) if name not in without]
            if not unbuilt:
                certain = "No solution found" in text and not _DOUBTFUL.search(text)
                return Resolved({}, uv.told(lines)) if certain else None
            without += unbuilt
            with open(overrides, "w", encoding="utf-8") as file:
                file.writelines(f'{name} ; python_version < "1"\n' for name in without)
        return None
