"""The child processes: ``python -m provision.asr.worker FD`` serves jobs that come over a socket, a line of
JSON each.

The first line says what the process is for; it answers ``{"ready": true}`` once it is warm, or ``{"fatal":
reason}``. Then ``{"jobs": [...]}`` is answered with ``{"results": [...], "seconds": s}`` in the same order,
until the socket closes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .classes import class_of
from .errors import Refusal, Unusable

Handler = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]

_PACKAGES = "torch funasr kaldi-native-fbank soundfile soxr"
_NICE = 5  # the process that answers /health and takes uploads goes first


def _decoder(options: dict[str, Any]) -> Handler:
    from .audio import decode

    def handle(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for job in jobs:
            try:
                seconds = decode(Path(job["source"]), Path(job["target"]), options["max_audio_seconds"])
                results.append({"seconds": seconds})
            except Refusal as refused:
                results.append({"status": refused.status, "reason": refused.reason})
            except FileNotFoundError:  # the request was given up and its files are gone
                results.append({"error": "FileNotFoundError"})
            except (OSError, ValueError, MemoryError) as error:
                logging.getLogger(__name__).exception("decoding failed")
                results.append({"error": type(error).__name__})
            finally:
                # Given up meanwhile: its files have been removed, perhaps before this one was made.
                if not os.path.exists(job["source"]):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(job["target"])
        return results

    return handle


def _recognizer(options: dict[str, Any]) -> Handler:
    recognizer: Any
    # SenseVoice by itself has a faster path than FunASR's pipeline; other classes do not.
    if class_of(Path(options["model"])) == "SenseVoiceSmall" and not options["spk_model"]:
        from .recognizer import Recognizer

        recognizer = Recognizer(options)
    else:
        from .pipeline import Pipeline

        recognizer = Pipeline(options)
    recognizer.warm_up()
    handler: Handler = recognizer.recognize
    return handler


def main() -> int:
    """Serve until the other end closes."""
    # The parent decides when to stop: a signal to the whole group must not cut accepted requests short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    channel = socket.socket(fileno=int(sys.argv[1]))
    os.dup2(2, 1)  # FunASR prints
    lines = channel.makefile("rb")
    options = json.loads(lines.readline())
    logging.disable(logging.NOTSET if options["log_level"] == "debug" else logging.INFO)

    def send(message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
            channel.sendall(json.dumps(message).encode() + b"\n")

    try:
        handle = {"decode": _decoder, "recognize": _recognizer}[options["role"]](options)
    except ImportError as error:
        send({"fatal": f"Python cannot import {error.name}: pip install {_PACKAGES}"})
        return 1
    except Unusable as error:
        send({"fatal": str(error)})
        return 1
    except Exception as error:
        logging.getLogger(__name__).exception("the models cannot be loaded")
        send({"fatal": f"the models cannot be loaded: {error}"})
        return 1
    send({"ready": True})
    for line in lines:
        began = time.perf_counter()
        results = handle(json.loads(line)["jobs"])
        send({"results": results, "seconds": time.perf_counter() - began})
    os._exit(0)  # torch takes seconds to be torn down in order


if __name__ == "__main__":
    sys.exit(main())
