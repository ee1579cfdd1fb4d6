"""Closing the listening socket resets nobody whose connection has begun."""

import collections
import socket
import threading
import time

import pytest

from provision.asr.listener import has_waiting, listen, turn_away
from provision.asr.settings import SettingsError


def accept_all(listener):
    """Answer each waiting connection with one byte."""
    while has_waiting(listener):
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"x")


def test_turning_away_under_load_resets_nobody():
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    outcomes = collections.Counter()
    stop = threading.Event()

    def client():
        while not stop.is_set():
            try:
                with socket.create_connection(address, timeout=120) as connection:
                    outcomes[connection.recv(1)] += 1
            except OSError as error:
                outcomes[type(error)] += 1

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    while outcomes[b"x"] < 1000:
        accept_all(listener)
    turn_away(listener)
    for _ in range(30):  # rounds, not seconds, of which a machine that stands still loses any number
        accept_all(listener)
        time.sleep(0.01)
    listener.close()
    while not outcomes[ConnectionRefusedError]:  # TCP itself tries again after a second
        time.sleep(0.01)
    stop.set()
    for thread in clients:
        thread.join()
    assert set(outcomes) == {b"x", ConnectionRefusedError}, outcomes


def test_address_that_cannot_be_listened_on():
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)
