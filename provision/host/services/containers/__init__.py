"""Containers: the engine's command line, and what of a container is compared."""
