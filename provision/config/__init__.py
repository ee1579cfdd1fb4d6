"""YAML → typed inventory and plays, with positions."""

import os

# Looking for plugins of pydantic reads what is installed: 28 ms of the 400 that loading takes.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
