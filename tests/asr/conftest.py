"""The real service on the tiny fitted model, as a subprocess of a Python that has funasr."""

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from tests.lab.models import speech_models, speech_python

ROOT = Path(__file__).resolve().parents[2]
_BOUNDARY = "----------test"


@cache
def python():
    """The interpreter that the service runs with: it has torch, funasr, fastapi and uvicorn.

    PROVISION_ASR_PYTHON names one that has them already; otherwise an environment is made, once.
    """
    return os.environ.get("PROVISION_ASR_PYTHON") or str(speech_python())


def has(module):
    """Whether the service's Python can find a module."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python(), "-c", code]).returncode == 0


def model_directory():
    """The tiny models and waves, made once."""
    return speech_models()


def form(file=None, **fields):
    """A multipart body and its content type."""
    out = b""
    for name, value in fields.items():
        out += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    if file is not None:
        out += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
        out += file + b"\r\n"
    return out + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Service:
    """A running ``python -m provision.asr`` with a temp directory of its own."""

    def __init__(self, directory, *flags, models=None, environ=None, wait=True):
        self.temp = directory / "temp"
        self.temp.mkdir(exist_ok=True)
        self.log_path = directory / "log"
        models = models or model_directory()
        command = [python(), "-m", "provision.asr", "--port", "0",
                   "--model", str(models / "SenseVoiceSmall"), "--vad-model", str(models / "fsmn-vad"),
                   *flags]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temp), **(environ or {})}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        self.port, self.secure = 0, False
        if wait:
            self.wait_ready()

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_listening(self):
        listening = r"listening on (https?)://\S+:(\d+)"
        found = eventually(lambda: self._alive() and re.search(listening, self.log))
        self.secure, self.port = found[1] == "https", int(found[2])

    def wait_ready(self):
        self.wait_listening()
        eventually(lambda: self._alive() and self.get("/health").status == 200)

    def _alive(self):
        assert self.process.poll() is None, self.log
        return True

    def request(self, method, path, body=None, headers=None, timeout=300):
        if self.secure:
            unverified = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=timeout, context=unverified
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, file=None, headers=None, **fields):
        body, kind = form(file, **fields)
        return self.request("POST", path, body, {"Content-Type": kind, **(headers or {})})

    def recognize(self, file, **fields):
        return self.post("/recognize/", file, **fields)

    def metric(self, name):
        (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.M)
        return float(value)

    def workers(self, role="recognition"):
        """Process ids of the recognition (or decoding) processes that are ready, as the log tells."""
        ready = [int(pid) for pid in re.findall(rf"{role} process (\d+) is ready", self.log)]
        # one that has died may have left its pid to a stranger
        return [pid for pid in ready if _parent(pid) == self.process.pid]

    def memory(self):
        """The most memory in MB that the service and its processes have had, together."""
        pids = [self.process.pid, *self.workers(), *self.workers("decoding")]
        status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        return sum(int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) for text in status) / 1000

    def files(self):
        """Uploads and decoded audio in the temp directory."""
        return [path for path in self.temp.rglob("*") if path.suffix in (".upload", ".pcm")]

    def stop(self):
        """SIGTERM; return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def _parent(pid):
    """The parent of a process; None when it runs no more."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


@contextlib.contextmanager
def held(*pids):
    """These processes stand still: what they are given stays undone until the block is left."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def eventually(condition, seconds=180.0):
    """Wait until the condition is true, and return what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            value = condition()
            if value:
                return value
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def at_once(calls, threads=16):
    """Run the calls in threads; the results in order. An exception is a result."""

    def run(call):
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, calls))


class Load:
    """Threads that send files and note each answer, until stopped."""

    def __init__(self, service, files, threads=6):
        self.service, self.files = service, files
        self.answers = []  # (index of the file, Answer or exception)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def _run(self, number):
        while not self._stop.is_set():
            number = (number + 5) % len(self.files)
            try:
                answer = self.service.recognize(self.files[number])
            except (OSError, http.client.HTTPException) as error:
                answer = error
            self.answers.append((number, answer))
            if isinstance(answer, Exception):
                time.sleep(0.05)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __exit__(self, *_):
        self.stop()


@pytest.fixture(scope="session")
def waves():
    """The sample files with known text, by name."""
    if not has("funasr"):
        pytest.skip(f"{python()} has no funasr; name one that has in PROVISION_ASR_PYTHON")
    directory = model_directory() / "waves"
    return {path.stem: path.read_bytes() for path in sorted(directory.glob("*.wav"))}


@pytest.fixture(scope="session")
def service(waves, tmp_path_factory):
    """A service that several tests share; they leave it as they found it."""
    running = Service(tmp_path_factory.mktemp("asr"), "--max-upload-mb", "3", "--max-audio-seconds", "600",
                      "--body-timeout", "6", "--workers", "2")  # fmt: skip
    yield running
    assert running.stop() == 0


@pytest.fixture
def start(waves, tmp_path):
    """Start services with flags of one's own."""
    running = []

    def start(*flags, **options):
        directory = tmp_path / f"service{len(running)}"
        directory.mkdir()
        running.append(Service(directory, *flags, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()
