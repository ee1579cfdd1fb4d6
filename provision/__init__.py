"""Puts model servers on your own machines, from YAML in git."""

__version__ = "0.1.0"
