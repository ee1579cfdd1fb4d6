"""`python -m tests.flags [RELEASE …]`: write the catalogue; new releases are added to those that it has."""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.version import Version

from provision.engines.vllm import releases
from tests.flags import architectures, catalogue

FILE = Path(releases.__file__).with_name("flags.json")
ARCHITECTURES = FILE.with_name("architectures.json")


def main(added: list[str]) -> None:
    """Read all releases, old and new, and write the files."""
    versions = sorted({*releases.versions(), *map(Version, added)})
    FILE.write_text(
        catalogue.text({str(version): catalogue.flags(str(version)) for version in versions}),
        encoding="utf-8",
    )
    known = {str(version): architectures.architectures(str(version)) for version in versions}
    ARCHITECTURES.write_text(architectures.text(known), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
