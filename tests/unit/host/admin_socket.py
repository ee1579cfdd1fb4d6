"""A stand-in for the admin socket of an HAProxy."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from pathlib import Path


class AdminSocket(ABC):
    """Answers one command on each connection. A subclass has to be ready before it calls this `__init__`."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    @abstractmethod
    def answer(self, command: str) -> str:
        """Return the answer to a command."""

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                line.sendall(self.answer(line.recv(4096).decode().strip()).encode())
