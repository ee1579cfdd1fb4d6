"""The HTTP side of the hub: routes of both protocols, and files with ranges and faults."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from .records import Request
from .repository import File, Repository

if TYPE_CHECKING:
    from .server import Hub

_CHUNK = 65536
_CREATED = 1_700_000_000


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the hub keeps its own record."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        self._answer()

    def do_POST(self) -> None:
        """Answer a POST; its body says nothing that we need."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer()

    # -- routes

    def _answer(self) -> None:
        try:
            self._route()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _route(self) -> None:
        fault = self.hub.fault(unquote(self.path), body=False)
        if fault.hang:
            self.hub.stopping.wait()
            self.close_connection = True
            return
        if fault.status is not None:
            self._json({"Code": fault.status, "Message": "a fault of the hub"}, fault.status)
            return
        if self.hub.token is not None and self.hub.token not in self._credentials():
            self._json({"Code": 10010205001, "Message": "unauthorized", "Success": False}, 401)
            return
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        match unquote(url.path).strip("/").split("/"):
            case ["api", "v1", "repos", *_]:
                self._modelscope({"InternalRegionQueryAddress": ""})
            case ["api", "v1", "models", owner, name, *rest]:
                self._modelscope_model(f"{owner}/{name}", rest, query)
            case ["api", "models", owner, name, *rest]:
                self._huggingface_model(f"{owner}/{name}", rest)
            case [owner, name, "resolve", revision, *path]:
                self._huggingface_file(f"{owner}/{name}", revision, "/".join(path))
            case _:
                self._json({"Code": 404, "Message": "no such route"}, 404)

    def _credentials(self) -> str:
        return f"{self.headers.get('Authorization') or ''} {self.headers.get('Cookie') or ''}"

    # -- ModelScope

    def _modelscope(self, data: object, status: int = 200, message: str = "success") -> None:
        ok = status == 200
        answer = {"Code": status, "Data": data, "Message": message, "RequestId": "lab", "Success": ok}
        self._json(answer, status)

    def _modelscope_model(self, name: str, rest: list[str], query: dict[str, str]) -> None:
        repository = self.hub.repository(name)
        if repository is None:
            self._modelscope(None, 404, "record not found")
            return
        revision = query.get("Revision", "master")
        owner, _, model = name.partition("/")
        match rest:
            case []:
                self._modelscope({"Name": model, "Path": owner, "Revision": "master"})
            case ["revisions"]:
                branch = {"Revision": "master", "CreatedAt": _CREATED, "CommittedAt": _CREATED}
                tag = {"Revision": "v1.0", "CreatedAt": _CREATED}
                self._modelscope({"RevisionMap": {"Branches": [branch], "Tags": [tag]}})
            case ["repo", "files"] if repository.has_revision(revision):
                self._modelscope(_modelscope_listing(repository, query.get("Root", "").strip("/")))
            case ["repo", "files"]:
                self._modelscope(None, 404, f"revision {revision} not found")
            case ["repo"]:
                file = repository.file(query.get("FilePath", ""))
                if file is None or not repository.has_revision(revision):
                    self._modelscope(None, 404, "file not found")
                else:
                    self._file(file, {"X-Linked-ETag": f'"{file.sha256}"'})
            case _:
                self._modelscope(None, 404, "no such route")

    # -- Hugging Face

    def _huggingface_model(self, name: str, rest: list[str]) -> None:
        repository = self.hub.repository(name)
        if repository is None:
            self._huggingface_error("Repository not found", "RepoNotFound")
            return
        if not repository.has_revision(rest[1] if len(rest) > 1 else "main"):
            self._huggingface_error("Invalid rev id", "RevisionNotFound")
            return
        if rest[:1] == ["tree"]:
            self._json([_huggingface_entry(file) for file in repository.files()])
        elif rest[:1] in ([], ["revision"]):
            self._json(
                {
                    "_id": "0",
                    "id": name,
                    "modelId": name,
                    "sha": repository.commit(),
                    "private": False,
                    "disabled": False,
                    "gated": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                    "siblings": [{"rfilename": file.name} for file in repository.files()],
                }
            )
        else:
            self._json({"error": "no such route"}, 404)

    def _huggingface_file(self, name: str, revision: str, path: str) -> None:
        repository = self.hub.repository(name)
        if repository is None:
            self._huggingface_error("Repository not found", "RepoNotFound")
            return
        if not repository.has_revision(revision):
            self._huggingface_error("Invalid rev id", "RevisionNotFound")
            return
        commit = repository.commit()
        file = repository.file(path)
        if file is None:
            self._huggingface_error("Entry not found", "EntryNotFound", {"X-Repo-Commit": commit})
            return
        etag = f'"{file.sha256}"'
        self._file(
            file,
            {
                "X-Repo-Commit": commit,
                "ETag": etag,
                "X-Linked-Etag": etag,
                "X-Linked-Size": str(file.size),
            },
        )

    def _huggingface_error(self, message: str, code: str, headers: Mapping[str, str] | None = None) -> None:
        self._json({"error": message}, 404, {"X-Error-Code": code, **(headers or {})})

    # -- answers

    def _json(self, answer: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(answer).encode()
        request = self._record(status)
        self._head(status, len(body), {"Content-Type": "application/json", **(headers or {})})
        if self.command != "HEAD":
            request.sent = len(body)
            self.wfile.write(body)
        self.hub.finished(request)

    def _file(self, file: File, headers: Mapping[str, str]) -> None:
        start, end, status = 0, file.size - 1, 200
        wanted = self.headers.get("Range") or ""
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end, status = int(first or 0), min(int(last or end), end), 206
            if start >= file.size:
                request = self._record(416)
                self._head(416, 0, {"Content-Range": f"bytes */{file.size}"})
                self.hub.finished(request)
                return
        extent = {"Content-Range": f"bytes {start}-{end}/{file.size}"} if status == 206 else {}
        total = max(0, end - start + 1)
        request = self._record(status)
        self._head(status, total, {"Accept-Ranges": "bytes", **extent, **headers})
        if self.command != "HEAD":
            self._body(file, start, total, request)
        self.hub.finished(request)

    def _body(self, file: File, start: int, total: int, request: Request) -> None:
        fault = self.hub.fault(unquote(self.path), body=True)
        limit = total if fault.cut is None else min(fault.cut, total)
        request.cut = limit < total
        step = _CHUNK if fault.slow is None else min(_CHUNK, max(1, fault.slow // 10))
        with file.path.open("rb") as handle:
            handle.seek(start)
            while request.sent < limit:
                if fault.hold is not None and request.sent >= fault.hold:
                    self.hub.hold(unquote(self.path))
                    fault = replace(fault, hold=None)
                left = (limit if fault.hold is None else min(limit, fault.hold)) - request.sent
                chunk = handle.read(min(step, left))
                if not chunk:
                    break
                if fault.corrupt and start + request.sent == 0:
                    chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
                if fault.slow:
                    time.sleep(len(chunk) / fault.slow)
                request.sent += len(chunk)
                self.wfile.write(chunk)
        if request.cut:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _record(self, status: int) -> Request:
        request = Request(
            method=self.command,
            path=unquote(self.path),
            range=self.headers.get("Range"),
            authorized="Authorization" in self.headers or "m_session_id" in self._credentials(),
            status=status,
        )
        self.hub.record(request)
        return request


def _modelscope_listing(repository: Repository, folder: str) -> dict[str, object]:
    commit = repository.commit()
    files = [
        {
            "Name": file.name.rpartition("/")[2],
            "Path": file.name,
            "Type": "blob",
            "Mode": "100644",
            "Size": file.size,
            "Sha256": file.sha256,
            "Revision": commit,
            "IsLFS": file.size > 1 << 20,
            "CommittedDate": _CREATED,
            "CommitMessage": "",
            "InCheck": False,
        }
        for file in repository.files()
        if not folder or file.name == folder or file.name.startswith(f"{folder}/")
    ]
    return {"Files": files, "IsVisual": 0, "LatestCommitter": {"Id": commit}}


def _huggingface_entry(file: File) -> dict[str, object]:
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return {"type": "file", "path": file.name, "size": file.size, "oid": file.sha256[:40], "lfs": lfs}
