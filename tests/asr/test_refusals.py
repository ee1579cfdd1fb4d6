"""What cannot be served gets a clear status and reason, leaves nothing behind, and harms nobody."""

import json
import os
import socket
import subprocess
import time

import pytest

from tests.asr import speech
from tests.asr.conftest import at_once, eventually, form, has, python


def is_clear(answer, status, *words, path="/recognize/"):
    assert answer.status == status, answer
    error = answer.json["error"]
    reason = error["message"] if path.startswith("/v1") else error
    for word in words:
        assert word in reason
    for forbidden in ("/tmp", "Traceback", ".py", "sk-"):
        assert forbidden not in answer.text
    return True


@pytest.fixture(autouse=True)
def nothing_left_behind(request):
    yield
    if "service" in request.fixturenames:
        service = request.getfixturevalue("service")
        eventually(lambda: not service.files(), 20)
        hello, text = speech.small(1)
        assert service.recognize(hello).json == {"result": text}, "still serving"


@pytest.mark.parametrize("path", ["/recognize/", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(
    ("file", "status", "word"),
    [
        (os.urandom(50_000), 415, "not audio"),
        (b"", 422, "empty"),
        (b"just a text, no sound" * 100, 415, "not audio"),
        (b"RIFF\xff\xff\xff\x7fWAVEfmt ", 415, ""),
        (b"fLaC" + bytes(1000), 415, ""),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 415, "not audio"),
        (speech.wav(speech.samples([], lead=0)), 422, "no audio"),
        (None, 422, "missing"),
    ],
    ids=["random", "empty", "text", "riff", "flac", "playlist", "no-samples", "no-file"],
)
def test_unreadable_files(service, path, file, status, word):
    answer = service.post(path, file)
    assert is_clear(answer, status, word, path=path)


@pytest.mark.parametrize("path", ["/recognize/", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(
    ("fields", "word"),
    [({"language": "fr"}, "zh, en, yue"), ({"language": ""}, "language"), ({"tags": "no"}, "keep, strip")],
)
def test_unknown_values(service, waves, path, fields, word):
    assert is_clear(service.post(path, waves["hello_world"], **fields), 422, word, path=path)


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"response_format": "xml"}, 422, "verbose_json"),
        ({"temperature": "hot"}, 422, "temperature"),
        ({"temperature": "nan"}, 422, "temperature"),
        ({"stream": "true"}, 422, "stream"),
        ({"timestamp_granularities[]": "word"}, 422, "segment"),
        ({"model": "whisper-1"}, 404, "SenseVoiceSmall"),
    ],
)
def test_unknown_openai_values(service, waves, fields, status, word):
    answer = service.post("/v1/audio/transcriptions", waves["hello_world"], **fields)
    assert is_clear(answer, status, word, path="/v1")
    assert answer.json["error"]["type"] == "invalid_request_error"


FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", FORM, 400),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", FORM, 400),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx', FORM, 400),
        (b"--b\r\nX: " + b"y" * 20000, FORM, 400),
        (b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n' * 99 + b"--b--\r\n",
         FORM, 400),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
         FORM, 422),
        (b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\nx\r\n--b--\r\n',
         FORM, 422),
    ],
)  # fmt: skip
def test_malformed_forms(service, body, kind, status):
    assert is_clear(service.request("POST", "/recognize/", body, {"Content-Type": kind}), status)


def test_wrong_addresses(service):
    assert is_clear(service.get("/nothing"), 404)
    assert is_clear(service.get("/recognize/"), 405)
    assert is_clear(service.get("/v1/nothing"), 404, path="/v1")


def test_too_large_by_its_length(service):
    body, kind = form(bytes(5_000_000))
    assert is_clear(service.request("POST", "/recognize/", body, {"Content-Type": kind}), 413, "3 MB")


def exchange(service, data, *, until=b"", timeout=30):
    """Send raw bytes and read the answer's head and body until the connection closes or ``until`` is seen."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=timeout) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if until and until in answer:
                break
        return answer


def endless_upload(service, head):
    """Send a file without end; return what was answered, and how many bytes were taken before that."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(head)
        connection.setblocking(False)
        sent = 0
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        while sent < 500_000_000:
            try:
                answer = connection.recv(65536)
                return answer, sent
            except BlockingIOError:
                pass
            try:
                sent += connection.send(chunk)
            except BlockingIOError:
                time.sleep(0.001)
    return b"", sent


def test_endless_upload_is_refused_as_soon_as_the_limit_is_passed(service):
    head = (
        b"POST /recognize/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    answer, sent = endless_upload(service, head + b"%x\r\n%s\r\n" % (len(part), part))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 50_000_000, "answered while it still came, with what the sockets buffer"


def test_stated_500_mb_are_refused_before_they_come(service):
    head = (
        b"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    assert exchange(service, head, until=b"}").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("cut", [10, 200, 20_000])
def test_half_sent_uploads_leave_nothing(service, waves, cut):
    body, kind = form(waves["hello_world"])
    head = (
        f"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(head.encode() + body[:cut])
        time.sleep(0.3)
    eventually(lambda: not service.files(), 20)


def test_client_that_falls_silent_is_told_so(service, waves):
    body, kind = form(waves["hello_world"])
    head = (
        f"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n\r\n"
    )
    answer = exchange(service, head.encode() + body[:20_000])  # the service's --body-timeout is 3 s
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()


def test_many_idle_and_slow_clients_do_not_hold_up_others(service, waves):
    body, kind = form(waves["hello_world"])
    head = (
        f"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n\r\n"
    )
    beginnings = [b"", b"POST /rec", head.encode(), head.encode() + body[:5000]]
    clients = []
    try:
        for number in range(600):
            client = socket.create_connection(("127.0.0.1", service.port))
            client.sendall(beginnings[number % len(beginnings)])
            clients.append(client)
        files = [speech.small(number) for number in range(12)]
        answers = at_once([lambda f=file: service.recognize(f) for file, _ in files], 12)
        assert [answer.json for answer in answers] == [{"result": text} for _, text in files]
        # and the service gets rid of them by itself
        for client in clients:
            client.settimeout(60)
            while client.recv(65536):
                pass
    finally:
        for client in clients:
            client.close()


LONG = """
import sys, numpy, soundfile
# two hours of silence at 16 kHz: 230 MB of samples in a few hundred kB
with soundfile.SoundFile(sys.argv[1], "w", 16000, 1, format="FLAC") as out:
    for _ in range(120):
        out.write(numpy.zeros(16000 * 60, dtype="int16"))
"""


def test_two_hours_of_silence_are_refused_by_their_header(service, tmp_path):
    path = tmp_path / "long.flac"
    subprocess.run([python(), "-c", LONG, str(path)], check=True)
    data = path.read_bytes()
    assert len(data) < 2_000_000
    assert is_clear(service.recognize(data), 413, "7200 s", "600 s")
    # the same with a header that keeps its length to itself: STREAMINFO's 36 bits of total samples are 0
    unknown = bytearray(data)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    assert service.recognize(bytes(unknown)).status in (413, 415, 422)


def test_key(start, waves):
    service = start("--workers", "1", environ={"ASR_API_KEY": "sk-test-key"})
    hello = waves["hello_world"]
    for path in ("/recognize/", "/recognize", "/v1/audio/transcriptions"):
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"X-API-Key": "sk-test-ke"},
            {"Authorization": "Basic x"},
        ):
            answer = service.post(path, hello, headers)
            assert is_clear(answer, 401, "API key", path=path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for headers in ({"Authorization": "Bearer sk-test-key"}, {"X-API-Key": "sk-test-key"}):
            assert service.post(path, hello, headers).status == 200
    assert service.get("/v1/models").status == 401
    for path in ("/", "/health", "/metrics", "/openapi.json"):
        assert service.get(path).status == 200
    assert "sk-test-key" not in service.log
    command_lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sk-test-key" not in command_lines


def test_schemathesis_finds_nothing(service, tmp_path):
    if not has("schemathesis"):
        pytest.skip(f"{python()} has no schemathesis")
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
        "response_schema_conformance,negative_data_rejection,unsupported_method,missing_required_header"
    )
    done = subprocess.run(
        [python(), "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
         f"http://127.0.0.1:{service.port}/openapi.json", "--checks", checks, "--max-examples", "40",
         "--generation-database", "none"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_description_covers_the_answers(service):
    described = json.loads(service.get("/openapi.json").text)["paths"]
    assert set(described) == {
        "/",
        "/health",
        "/metrics",
        "/v1/models",
        "/recognize/",
        "/v1/audio/transcriptions",
    }
    assert "413" in described["/recognize/"]["post"]["responses"]
