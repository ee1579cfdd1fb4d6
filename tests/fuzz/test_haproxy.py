"""What the real HAProxy understands of strings: values, patterns, names of models, and keys."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator

import pytest

from provision.catalog import text
from provision.config.problems import ConfigError
from provision.kinds.common.offer import Offer
from provision.kinds.gateway import configuration
from provision.kinds.gateway.upstreams import Upstream
from tests.fuzz.strings import SEED, SIZE, batches, same, strings
from tests.lab import Base, Lab, LabHost

pytestmark = pytest.mark.lab

BEGIN = """\
global
    tune.bufsize 65536
defaults
    mode http
    timeout client 20s
    timeout server 20s
    timeout connect 20s
frontend fuzz
    bind 127.0.0.1:8199
    http-request wait-for-body time 20s
"""

ASK = """\
import http.client, json, os, subprocess, sys, time

subprocess.run(["haproxy", "-c", "-q", "-f", "/run/fuzz.cfg"], check=True)
server = subprocess.Popen(["haproxy", "-db", "-f", "/run/fuzz.cfg"])
connection = http.client.HTTPConnection("127.0.0.1", 8199)
for _ in range(100):
    try:
        connection.connect()
        break
    except OSError:
        time.sleep(0.05)
for path, body, headers in json.load(open("/run/fuzz.requests")):
    connection.request("POST", path, body.encode(), headers)
    answer = connection.getresponse()
    said = answer.read()
    sys.stdout.buffer.write((b"%d" % answer.status if answer.status != 200 else said) + b"\\0")
server.kill()
server.wait()
"""

Request = tuple[str, str, dict[str, str]]


class Site:
    def __init__(self, host: LabHost) -> None:
        self.host = host

    def answers(self, rules: list[str], requests: list[Request], **files: str) -> list[str]:
        """Return the bodies of answers, or their status where it is not 200."""
        content = "".join(f"    {rule}\n" for rule in rules)
        self.write("fuzz.cfg", BEGIN + content)
        self.write("fuzz.requests", json.dumps(requests))
        self.write("ask.py", ASK)
        for name, file in files.items():
            self.write(f"fuzz.{name}", file)
        said = self.host.exec(["sh", "-c", "python3 /run/ask.py | base64 -w0"]).stdout
        return b64decode(said).decode("utf-8").split("\0")[:-1]

    def write(self, name: str, content: str) -> None:
        self.host.exec(["sh", "-c", f"cat > /run/{name}"], input=content)


@pytest.fixture(scope="module")
def site(lab: Lab) -> Iterator[Site]:
    (host,) = lab.add("fuzzed", base=Base(more="haproxy"))
    yield Site(host)
    lab.remove("fuzzed")


def test_values(site: Site) -> None:
    for part in batches(list(strings(SIZE // 3, "values")), 1000):
        rules = [
            f"http-request return status 200 content-type text/plain string {text.haproxy(value or 'x')} "
            f"if {{ path -m str /{number} }}"
            for number, value in enumerate(part)
        ]
        requests: list[Request] = [(f"/{number}", "", {}) for number in range(len(part))]
        same([value or "x" for value in part], site.answers(rules, requests))


def test_patterns(site: Site) -> None:
    """A pattern matches its own string, and not the one of the next rule."""
    for part in batches([value for value in strings(SIZE // 3, "patterns") if value], 1000):
        rules = [
            f"acl word{number} req.body -m str -- {text.haproxy(value)}\n"
            f"    http-request return status 200 content-type text/plain string y "
            f"if {{ path -m str /{number} }} word{number}"
            for number, value in enumerate(part)
        ]
        requests: list[Request] = [(f"/{number}", value, {}) for number, value in enumerate(part)]
        requests += [(f"/{number}", f"{value}x", {}) for number, value in enumerate(part)]
        rules.append("http-request return status 404")
        seen = site.answers(rules, requests)
        same(
            [f"{each} y" for each in part], [f"{each} {said}" for each, said in zip(part, seen, strict=False)]
        )
        assert set(seen[len(part) :]) == {"404"}


def test_names_of_models(site: Site) -> None:
    for part in batches([value for value in dict.fromkeys(strings(SIZE // 3, "models")) if value], 1000):
        places = [
            Upstream(name=f"s{number}", offer=Offer(port=1, bind=None, models=[value]), servers=())
            for number, value in enumerate(part)
        ]
        found = configuration.models(places)
        rules = [
            "http-request set-var(txn.s) \"req.body,json_query('\\$.model'),map('/run/fuzz.models')\"",
            "http-request return status 200 content-type text/plain lf-string %[var(txn.s)] "
            "if { var(txn.s) -m found }",
            "http-request return status 404",
        ]
        requests: list[Request] = [
            ("/", json.dumps({"model": each}, ensure_ascii=False), {}) for each in found
        ]
        seen = site.answers(rules, requests, models=configuration.model_map(places))
        same([f"{a} {b}" for a, b in found.items()], [f"{a} {b}" for a, b in zip(found, seen, strict=False)])


def test_keys_of_clients(site: Site) -> None:
    """A key is refused, or it is accepted as it was given and no other is."""
    keys = []
    for value in strings(SIZE, "keys"):
        try:
            keys.append((value, text.token_digest(value)))
        except ConfigError:
            continue
    assert len(keys) > SIZE // 50, SEED
    for part in batches([*dict(keys).items()], 2000):  # type: ignore[arg-type]
        digests = "".join(f"{digest} k{number}\n" for number, (_, digest) in enumerate(part))
        rules = [
            "acl bearer req.fhdr(authorization) -m reg -i '^bearer +[^ ]+$'",
            "http-request set-var(txn.key) "
            "req.fhdr(authorization),word(2,' '),digest(sha256),hex,map(/run/fuzz.keys) if bearer",
            "http-request return status 200 content-type text/plain lf-string %[var(txn.key)] "
            "if { var(txn.key) -m found }",
            "http-request return status 401",
        ]
        requests: list[Request] = [("/", "", {"Authorization": f"Bearer {key}"}) for key, _ in part]
        requests += [("/", "", {"Authorization": f"Bearer {key}~"}) for key, _ in part]
        seen = site.answers(rules, requests, keys=digests)
        same(
            [f"k{n} {key}" for n, (key, _) in enumerate(part)],
            [f"{a} {k}" for a, (k, _) in zip(seen, part, strict=False)],
        )
        known = {key for key, _ in part}
        others = [
            said for said, (key, _) in zip(seen[len(part) :], part, strict=True) if f"{key}~" not in known
        ]
        assert set(others) == {"401"}
