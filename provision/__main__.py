"""`provision`, and `python -m provision`."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    if sys.version_info < (3, 11):  # noqa: UP036 (an older one, called by hand, would fail at an import)
        this = "{}.{}.{}, {}".format(*sys.version_info[:3], sys.executable)
        sys.exit(f"provision needs Python 3.11 or newer, and this is {this}")
    if sys.argv[1:] in (["--help"], ["-h"]):
        from provision.overview import overview

        print(overview(), end="")
        sys.exit(0)
    # A tenth of a short run would go into looking for garbage among what is imported.
    gc.set_threshold(100_000)
    from provision.deferred import defer

    defer()
    from provision.cli import main as run

    run()


if __name__ == "__main__":
    main()
