"""The hub of the lab, asked over HTTP the way the client libraries ask."""

from __future__ import annotations

import hashlib
import http.client
import json
import select
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.errors import LabError
from tests.lab.hub import Fault, Hub

BLOB = bytes(range(256)) * 1000
MODELSCOPE = "/api/v1/models/owner/model/repo"
BLOB_PATHS = (f"{MODELSCOPE}?Revision=master&FilePath=sub/blob.bin", "/owner/model/resolve/main/sub/blob.bin")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    model = tmp_path / "owner" / "model"
    (model / "sub").mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    (model / "sub" / "blob.bin").write_bytes(BLOB)
    return tmp_path


@pytest.fixture
def hub(root: Path) -> Iterator[Hub]:
    with Hub(root) as hub:
        yield hub


def get(hub: Hub, path: str, **headers: str) -> bytes:
    request = urllib.request.Request(hub.url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body


def get_json(hub: Hub, path: str) -> Any:
    return json.loads(get(hub, path))


def status(hub: Hub, path: str, **headers: str) -> int:
    try:
        get(hub, path, **headers)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def test_both_protocols_list_files_with_their_sizes_and_hashes(hub: Hub) -> None:
    digest = hashlib.sha256(BLOB).hexdigest()
    files = get_json(hub, f"{MODELSCOPE}/files?Revision=master&Recursive=True")["Data"]["Files"]
    assert [(file["Path"], file["Size"]) for file in files] == [
        ("config.json", 2),
        ("sub/blob.bin", len(BLOB)),
    ]
    assert files[1]["Sha256"] == digest
    tree = get_json(hub, "/api/models/owner/model/tree/main?recursive=true")
    assert (tree[1]["path"], tree[1]["lfs"]) == (
        "sub/blob.bin",
        {"oid": digest, "size": len(BLOB), "pointerSize": 134},
    )


@pytest.mark.parametrize("path", BLOB_PATHS)
def test_a_file_is_served_whole_and_by_ranges(hub: Hub, path: str) -> None:
    assert get(hub, path) == BLOB
    assert get(hub, path, Range="bytes=1000-") == BLOB[1000:]
    assert get(hub, path, Range="bytes=1000-1999") == BLOB[1000:2000]
    assert status(hub, path, Range=f"bytes={len(BLOB)}-") == 416


def test_the_commit_is_a_revision_and_moves_with_the_content(hub: Hub, root: Path) -> None:
    before = get_json(hub, "/api/models/owner/model/revision/main")["sha"]
    assert get(hub, f"/owner/model/resolve/{before}/config.json") == b"{}"
    (root / "owner/model/config.json").write_text('{"a": 1}', encoding="utf-8")
    assert get_json(hub, "/api/models/owner/model/revision/main")["sha"] != before
    assert status(hub, f"/owner/model/resolve/{before}/config.json") == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models/owner/absent/repo/files",
        f"{MODELSCOPE}?Revision=master&FilePath=absent",
        f"{MODELSCOPE}?Revision=absent&FilePath=config.json",
        f"{MODELSCOPE}?Revision=master&FilePath=../../../etc/passwd",
        "/api/models/owner/absent",
        "/owner/model/resolve/main/absent",
        "/owner/model/resolve/absent/config.json",
        "/%2e%2e/%2e%2e/resolve/main/passwd",
    ],
)
def test_what_is_not_there_is_404(hub: Hub, path: str) -> None:
    assert status(hub, path) == 404


@pytest.mark.parametrize("path", BLOB_PATHS)
def test_a_cut_connection_ends_the_body_early_once(hub: Hub, path: str) -> None:
    hub.break_(Fault("blob.bin", cut=100_000, times=1))
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(hub, path)
    assert caught.value.partial == BLOB[:100_000]
    assert get(hub, path, Range="bytes=100000-") == BLOB[100_000:]
    assert [(request.sent, request.cut) for request in hub.downloads("blob.bin")] == [
        (100_000, True),
        (156_000, False),
    ]


def test_a_corrupt_file_has_the_right_length_and_the_wrong_hash(hub: Hub) -> None:
    hub.break_(Fault("blob.bin", corrupt=True))
    body = get(hub, BLOB_PATHS[0])
    assert (len(body), body[0] ^ 1, body[1:]) == (len(BLOB), BLOB[0], BLOB[1:])
    hub.mend()
    assert get(hub, BLOB_PATHS[0]) == BLOB


def test_a_status_is_given_as_often_as_asked(hub: Hub) -> None:
    hub.break_(Fault("config.json", status=503, times=2))
    path = "/owner/model/resolve/main/config.json"
    assert [status(hub, path) for _ in range(3)] == [503, 503, 200]


def test_a_slow_link_takes_its_time(hub: Hub) -> None:
    hub.break_(Fault("blob.bin", slow=500_000))
    began = time.monotonic()
    assert get(hub, BLOB_PATHS[0]) == BLOB
    assert time.monotonic() - began >= len(BLOB) / 500_000 * 0.9


def test_a_hanging_request_ends_when_the_hub_stops(root: Path) -> None:
    with Hub(root, faults=(Fault("blob.bin", hang=True),)) as hub:
        client = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=60)
        client.request("GET", BLOB_PATHS[0])
        assert status(hub, "/api/models/owner/model") == 200
        assert select.select([client.sock], [], [], 0.3)[0] == [], "not even the beginning of an answer"
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.getresponse()
    client.close()


def test_a_port_that_is_taken_is_one_clear_error(hub: Hub, root: Path) -> None:
    port = int(hub.url.rpartition(":")[2])
    with pytest.raises(LabError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
        Hub(root, port=port)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer s3cret"}, 200),
        ({"Cookie": "m_session_id=s3cret"}, 200),
    ],
)
def test_a_token_is_asked_for(root: Path, headers: dict[str, str], expected: int) -> None:
    with Hub(root, token="s3cret") as hub:
        assert status(hub, "/api/models/owner/model", **headers) == expected
        assert hub.requests[-1].authorized is bool(headers)
