"""``python -m provision.asr``: see ``--help``."""

from __future__ import annotations

import os
import sys

from .settings import SettingsError, parse


def main() -> int:
    """Run the service; errors of the settings are one sentence and exit status 1."""
    try:
        settings = parse(sys.argv[1:], os.environ)
        from .server import run  # after the settings: --help need not wait for FastAPI

        return run(settings)
    except ImportError as error:
        package = {"python_multipart": "python-multipart"}.get(error.name or "", error.name)
        print(f"error: the Python package {package} is needed: pip install fastapi 'uvicorn[standard]' "
              "python-multipart", file=sys.stderr)  # fmt: skip
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
