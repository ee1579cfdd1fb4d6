"""`provision`, and `python -m provision`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        from provision.overview import overview

        print(overview(), end="")
        sys.exit(0)
    from provision.cli import main as run

    run()


if __name__ == "__main__":
    main()
