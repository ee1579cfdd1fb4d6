"""Where provision keeps things on a host."""

from __future__ import annotations

from posixpath import dirname, join

UNITS = "/etc/systemd/system"
"""Directory of the administrator's units; systemd looks here first."""

HOME = "/var/lib/provision"
"""Home of the system user that services run as."""

USER = "provision"
"""The system user that services run as unless they name another."""


class Layout:
    """The directories below a host's prefix.

    Args:
        prefix: absolute path; everything but units is below it.
        model_root: where models are instead of `<prefix>/models`, when the variable `model_root` is set.
    """

    def __init__(self, prefix: str, model_root: str | None = None) -> None:
        self.prefix = prefix.rstrip("/") or "/"
        self.models = (model_root or join(self.prefix, "models")).rstrip("/") or "/"

    def environment(self, name: str) -> str:
        """Return what the directories of an environment are named after: `<this>-<digest>`."""
        return join(self.prefix, "environments", name)

    def model(self, repo: str) -> str:
        """Return where a model is known by its name, a link to the directory in use.

        Args:
            repo: `owner/name`.
        """
        return join(self.models, repo)

    def service(self, name: str, file: str = "") -> str:
        """Return a service's directory, or a file in it."""
        return join(self.prefix, "services", name, file).rstrip("/")

    def log(self, name: str) -> str:
        """Return the log file of a service that a script supervises."""
        return join(self.prefix, "logs", f"{name}.log")

    def pid_file(self, name: str) -> str:
        """Return the pid file of a service that a script supervises."""
        return join(self.prefix, "run", f"{name}.pid")

    def ours(self, path: str) -> bool:
        """Say whether `path` is the prefix or below it."""
        return path == self.prefix or path.startswith(self.prefix.rstrip("/") + "/")


def unit_name(service: str) -> str:
    """Return the name of a service's unit."""
    return f"provision-{service}.service"


def unit_path(service: str) -> str:
    """Return the path of a service's unit file."""
    return join(UNITS, unit_name(service))


def above(path: str) -> list[str]:
    """Return the directories above `path`, the nearest first, without the root."""
    found = []
    while (parent := dirname(path)) not in (path, "/", ""):
        found.append(parent)
        path = parent
    return found
