"""Reading the properties of units from systemd itself, by D-Bus over the socket that it has for root.

`systemctl show` does the same, but its start takes several times as long as question and answer.
"""

from __future__ import annotations

from socket import AF_UNIX, socket

SOCKET = "/run/systemd/private"

PATIENCE = 20.0
"""Seconds to wait for an answer. It takes milliseconds, or seconds while all units are loaded anew."""

_MANAGER = "/org/freedesktop/systemd1"

_SYSTEMD = "org.freedesktop.systemd1"

_PROPERTIES = {
    "UnitFileState": "Unit",
    "NeedDaemonReload": "Unit",
    "InvocationID": "Unit",
    "MainPID": "Service",
    "NRestarts": "Service",
    "Result": "Service",
    "ExecMainCode": "Service",
    "ExecMainStatus": "Service",
}
"""Property -> its interface; the others are in the list of units."""

_LITTLE_ENDIAN = ord("l")

_CALL, _RETURN, _ERROR = 1, 2, 3
"""Types of messages."""


def units(pattern: str) -> dict[str, dict[str, str]]:
    """Return properties of the services that systemd has loaded and that a pattern matches, by name.

    Their values are texts, as `systemctl show` prints them.

    Raises:
        timeout: it does not answer.
        OSError: systemd cannot be asked.
        ValueError: it refuses, or its answer is not what was expected.
    """
    connection = socket(AF_UNIX)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(SOCKET)
        answers = Answers(connection)
        names = _text(pattern)
        listing = _call(
            _MANAGER,
            f"{_SYSTEMD}.Manager",
            "ListUnitsByPatterns",
            "asas",
            _number(0) + _number(len(names)) + names,
        )
        connection.sendall(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n")
        answers.greeting()
        connection.sendall(listing)
        found = _listed(answers.next())
        calls = [_get(path, name) for path in found for name in _PROPERTIES]
        connection.sendall(b"".join(calls))
        for properties in found.values():
            for name in _PROPERTIES:
                properties[name] = answers.next().variant()
    finally:
        connection.close()
    return {properties["Id"]: properties for properties in found.values()}


def _listed(answer: Values) -> dict[str, dict[str, str]]:
    """Return what a list of units says of each, by its path."""
    found = {}
    answer.number()
    answer.align(8)
    while answer.left():
        name, _, load, active, sub, _, path = (answer.text() for _ in range(7))
        found[path] = {"Id": name, "LoadState": load, "ActiveState": active, "SubState": sub}
        answer.number()
        answer.text(), answer.text()
        answer.align(8)
    return found


# -- D-Bus ------------------------------------------------------------------------------------------------


class Values:
    """The values in a message, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int = 4) -> int:
        """Return a number of so many bytes."""
        self.align(size)
        return int.from_bytes(self.take(size), "little")

    def text(self, size: int = 4) -> str:
        """Return a text, whose length is a number of so many bytes."""
        text = self.take(self.number(size)).decode("utf-8", "replace")
        self.take(1)
        return text

    def variant(self) -> str:
        """Return a value that has its type before it, as a text."""
        kind = self.text(1)
        if kind == "s":
            return self.text()
        if kind == "b":
            return "yes" if self.number() else "no"
        if kind in ("u", "i"):
            return str(self.number())
        if kind == "ay":
            return self.take(self.number()).hex()
        raise ValueError(f"a value of type {kind}")

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        self._at += size
        if self._at > len(self._data):
            raise ValueError("a message that is too short")
        return self._data[self._at - size : self._at]

    def align(self, size: int) -> None:
        """Skip what fills up to a multiple of a size."""
        self._at += -self._at % size

    def left(self) -> bool:
        """Whether there is more."""
        return self._at < len(self._data)


class Answers:
    """What comes back over a connection."""

    def __init__(self, connection: socket) -> None:
        self._connection = connection
        self._data = b""

    def greeting(self) -> None:
        """Take the line that lets us in."""
        while b"\n" not in self._data:
            self._receive()
        line, _, self._data = self._data.partition(b"\n")
        if not line.startswith(b"OK "):
            raise ValueError(line.decode("utf-8", "replace"))

    def next(self) -> Values:
        """Return the values in the next answer; what nobody has asked for is skipped."""
        while True:
            head = Values(self._take(16))
            order, kind, _, _ = head.take(4)
            size, _, fields = head.number(), head.number(), head.number()
            self._take(fields + -fields % 8)
            body = self._take(size)
            if order != _LITTLE_ENDIAN or kind == _ERROR:
                raise ValueError(body.decode("utf-8", "replace"))
            if kind == _RETURN:
                return Values(body)

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._receive()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _receive(self) -> None:
        data = self._connection.recv(1 << 16)
        if not data:
            raise ValueError("the connection was closed")
        self._data += data


def _get(path: str, name: str) -> bytes:
    """Ask for one property."""
    interface = _text(f"{_SYSTEMD}.{_PROPERTIES[name]}")
    return _call(path, "org.freedesktop.DBus.Properties", "Get", "ss", _filled(interface, 4) + _text(name))


def _call(path: str, interface: str, member: str, signature: str, values: bytes) -> bytes:
    """Return the message that calls a method."""
    fields = b""
    for (code, kind), text in (
        ((1, "o"), path),
        ((2, "s"), interface),
        ((3, "s"), member),
        ((8, "g"), signature),
    ):
        fields = (
            _filled(fields, 8)
            + bytes([code, 1])
            + kind.encode()
            + b"\0"
            + _text(text, 1 if kind == "g" else 4)
        )
    head = bytes([_LITTLE_ENDIAN, _CALL, 0, 1]) + _number(len(values)) + _number(1)
    return _filled(head + _number(len(fields)) + fields, 8) + values


def _number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def _text(text: str, size: int = 4) -> bytes:
    data = text.encode()
    return _number(len(data), size) + data + b"\0"


def _filled(data: bytes, size: int) -> bytes:
    """Fill up to a multiple of a size."""
    return data + b"\0" * (-len(data) % size)
