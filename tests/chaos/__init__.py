"""Applies that are cut off at every moment, and what the next one makes of it: `python -m tests.chaos`."""
