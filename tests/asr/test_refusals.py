"""What cannot be served gets a clear status and reason, leaves nothing behind, and harms nobody."""

import json
import random
import resource
import select
import socket
import subprocess

import pytest

from tests.asr import speech
from tests.asr.conftest import at_once, eventually, form, has, python
from tests.host.certificates import certificate


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
        eventually(lambda: not service.files())
        hello, text = speech.small(1)
        assert service.recognize(hello).json == {"result": text}, "still serving"


@pytest.mark.parametrize("path", ["/recognize/", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(
    ("file", "status", "word"),
    [
        (random.Random(0).randbytes(50_000), 415, "not audio"),
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


def exchange(service, data, *, until=b"", timeout=180):
    """Send raw bytes and read the answer's head and body until the connection closes or ``until`` is seen."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=timeout) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
            if until and until in answer:
                break
        return answer


def stubborn_upload(service, head, chunk, count):
    """Send ``head`` and then ``count`` chunks, whatever is answered, until the connection is closed.

    Return the answer, how many bytes were taken before it came, and how many in all.
    """
    with socket.create_connection(("127.0.0.1", service.port), timeout=180) as connection:
        connection.sendall(head)
        connection.setblocking(False)
        answer, before, sent = b"", 0, 0
        data = memoryview(chunk)
        while sent < count * len(chunk):
            readable, writable, _ = select.select([connection], [connection], [], 180)
            assert readable or writable, "the connection is neither served nor closed"
            try:
                if readable:
                    received = connection.recv(65536)
                    if not received:
                        break
                    answer, before = answer + received, before or sent
                if writable:
                    sent += connection.send(data[sent % len(chunk) :])
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                break
        return answer, before, sent


HEAD = b"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def test_endless_upload_is_refused_as_soon_as_the_limit_is_passed(service):
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(PART), PART)
    memory = service.memory()
    answer, before, _ = stubborn_upload(service, head, b"10000\r\n" + bytes(65536) + b"\r\n", 7600)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert before < 50_000_000, "answered while it still came, with what the sockets buffer"
    assert service.memory() - memory < 50


def test_500_mb_that_are_sent_all_the_same_are_cut_off(service):
    head = HEAD + b"Content-Length: 500000000\r\n\r\n" + PART
    memory = service.memory()
    answer, before, sent = stubborn_upload(service, head, bytes(2**20), 476)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert before < 50_000_000
    assert sent < 400_000_000, "the rest was not waited for"
    assert service.memory() - memory < 50


def test_stated_500_mb_are_refused_before_they_come(service):
    head = HEAD + b"Content-Length: 500000000\r\n\r\n"
    assert exchange(service, head, until=b"}").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("cut", [10, 200, 20_000])
def test_half_sent_uploads_leave_nothing(service, waves, cut):
    body, kind = form(waves["hello_world"])
    head = (
        f"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=180) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 "), "its file has been opened"
        connection.sendall(body[:cut])
    eventually(lambda: not service.files())


def test_client_that_falls_silent_is_told_so(service, waves):
    body, kind = form(waves["hello_world"])
    head = (
        f"POST /recognize/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: {kind}\r\n\r\n"
    )
    answer = exchange(service, head.encode() + body[:20_000])  # the service's --body-timeout is 6 s
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
        for number in range(min(2000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)):
            client = socket.create_connection(("127.0.0.1", service.port))
            client.sendall(beginnings[number % len(beginnings)])
            clients.append(client)
        files = [speech.small(number) for number in range(12)]
        answers = at_once([lambda f=file: service.recognize(f) for file, _ in files], 12)
        assert [answer.json for answer in answers] == [{"result": text} for _, text in files]
        # and the service gets rid of them by itself
        for client in clients:
            client.settimeout(180)
            while client.recv(65536):
                pass
    finally:
        for client in clients:
            client.close()


SILENCE = """
import sys, numpy, soundfile
path, seconds, rate, channels, form, subtype = sys.argv[1:]
with soundfile.SoundFile(path, "w", int(rate), int(channels), subtype, format=form) as out:
    for _ in range(int(seconds) // 10):
        out.write(numpy.zeros((int(rate) * 10, int(channels)), dtype="int16"))
"""


def silence(path, seconds, rate=16000, channels=1, form="FLAC", subtype="PCM_16"):
    """A file of much silence in few bytes."""
    command = [python(), "-c", SILENCE, path, seconds, rate, channels, form, subtype]
    subprocess.run(list(map(str, command)), check=True)
    return path.read_bytes()


def test_two_hours_of_silence_are_refused_by_their_header(service, tmp_path):
    data = silence(tmp_path / "long.flac", 7200)
    assert len(data) < 2_000_000
    assert is_clear(service.recognize(data), 413, "7200 s", "600 s")
    # the same with a header that keeps its length to itself: STREAMINFO's 36 bits of total samples are 0
    unknown = bytearray(data)
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    assert service.recognize(bytes(unknown)).status in (413, 415, 422)


@pytest.mark.parametrize(
    ("form", "subtype", "channels", "rate"),
    [("OGG", "VORBIS", 1, 16000), ("OGG", "OPUS", 1, 16000),
     ("FLAC", "PCM_16", 8, 192000)],
)  # fmt: skip
def test_much_silence_in_few_bytes_takes_little_memory(service, tmp_path, form, subtype, channels, rate):
    data = silence(tmp_path / "bomb", 610 if channels < 8 else 60, rate, channels, form, subtype)
    assert len(data) < 3_000_000, "it is the length that is refused"
    memory = service.memory()
    answer = service.recognize(data)
    if channels < 8:
        assert is_clear(answer, 413, "too long", "600 s")
    else:  # a minute, 184 MB in samples
        assert (answer.status, answer.json) == (200, {"result": ""})
    assert service.memory() - memory < 100


def test_absurd_rate(service, tmp_path):
    assert is_clear(service.recognize(silence(tmp_path / "a.flac", 10, 655350)), 415, "655350 Hz")


def test_keys_over_tls(start, waves, tmp_path):
    keys = {"ASR_API_KEY": "sk-test-key", "ASR_API_KEY_2": "sk-test-key-2"}
    made = certificate(tmp_path)
    service = start("--workers", "1", *made.flags.split(), environ=keys)
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
        for headers in ({"Authorization": "Bearer sk-test-key-2"}, {"X-API-Key": "sk-test-key"}):
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
         "--generation-deterministic", "--suppress-health-check", "all",
         "--request-timeout", "180", "--wait-for-schema", "180"],
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
