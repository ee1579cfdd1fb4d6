"""Fetching model snapshots and knowing that they are whole."""
