"""Real hosts to provision: Debian with systemd as PID 1 and sshd, booted in seconds on a private bridge."""

from .base import Base
from .errors import LabError
from .hub import Fault, Hub, Request
from .lab import Lab, LabHost
from .podman import Podman
from .requirements import missing_requirements

__all__ = ["Base", "Fault", "Hub", "Lab", "LabError", "LabHost", "Podman", "Request", "missing_requirements"]
