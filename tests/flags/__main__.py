"""`python -m tests.flags [RELEASE …]`: write the catalogue; new releases are added to those that it has."""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.version import Version

from provision.engines.vllm import releases
from tests.flags import catalogue

FILE = Path(releases.__file__).with_name("flags.json")


def main(added: list[str]) -> None:
    """Read all releases, old and new, and write the file."""
    versions = sorted({*releases.versions(), *map(Version, added)})
    FILE.write_text(
        catalogue.text({str(version): catalogue.flags(str(version)) for version in versions}),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
