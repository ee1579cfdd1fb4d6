"""A multipart form read from the network: its file to disk within a size limit, its fields to memory."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive

from .errors import ClientGone, Refusal

FILE_FIELD = "file"
_MAX_FIELDS = 32
_MAX_FIELD_BYTES = 65536
_MAX_HEADER_BYTES = 8192
_OVERHEAD_BYTES = 2**20  # what a body may hold besides the file: other fields, part headers, boundaries
_FLUSH_BYTES = 128 * 1024
_GRACE_SECONDS = 30.0  # a body may take this long, and longer by its bytes at the slowest speed
_SLOWEST_BYTES_PER_SECOND = 4096


class _Reader:
    """Callbacks of the multipart parser. File data gathers in ``buffer`` until it is written to disk."""

    def __init__(self, max_file_bytes: int) -> None:
        self.fields: dict[str, str] = {}
        self.has_file = False
        self.buffer = bytearray()
        self.complete = False
        self._max_file_bytes = max_file_bytes
        self._file_bytes = 0
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._header_name = b""
        self._header_value = b""
        self._name = ""
        self._value = bytearray()
        self._in_file = False

    def part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_FIELDS:
            raise Refusal(400, f"the form has more than {_MAX_FIELDS} fields")
        self._headers, self._header_bytes = {}, 0
        self._value = bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._grow_header(end - start)
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow_header(end - start)
        self._header_value += data[start:end]

    def _grow_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise Refusal(400, "the headers of a form field are too long")

    def header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise Refusal(400, "a form field has no name")
        self._name = options[b"name"].decode("utf-8", "replace")
        self._in_file = self._name == FILE_FIELD
        if self._in_file:
            if self.has_file:
                raise Refusal(422, "send one file in a request", param=FILE_FIELD)
            self.has_file = True
        elif b"filename" in options:
            raise Refusal(422, f'send the file in the form field "{FILE_FIELD}"', param=FILE_FIELD)

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._file_bytes += end - start
            if self._file_bytes > self._max_file_bytes:
                raise too_large(self._max_file_bytes)
            self.buffer += data[start:end]
        else:
            self._value += data[start:end]
            if len(self._value) > _MAX_FIELD_BYTES:
                raise Refusal(413, "a form field is too long")

    def part_end(self) -> None:
        if not self._in_file:
            try:
                self.fields[self._name] = self._value.decode("utf-8")
            except UnicodeDecodeError:
                raise Refusal(422, "a form field is not UTF-8 text") from None

    def end(self) -> None:
        self.complete = True


def too_large(limit: int) -> Refusal:
    """The answer to a file above the limit (bytes)."""
    return Refusal(413, f"the file is larger than {limit // 1_000_000} MB", param=FILE_FIELD)


async def read_fields(
    headers: Mapping[str, str], receive: Receive, target: Path, *, max_file_bytes: int, silence: float
) -> dict[str, str]:
    """The fields of a request's form. Its file is written to ``target`` (which must not exist) as it comes.

    ``silence``: seconds without a byte after which the client is answered 408, as is one that stays slower
    than 4 kB/s. Raises Refusal, and ClientGone when the client leaves.
    """
    kind, options = parse_options_header(headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise Refusal(415, f'send multipart/form-data with the audio in the field "{FILE_FIELD}"')
    if not options.get(b"boundary"):
        raise Refusal(400, "the multipart/form-data content type has no boundary")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "a compressed request body is not supported")
    if int(headers.get("content-length") or 0) > max_file_bytes + _OVERHEAD_BYTES:
        raise too_large(max_file_bytes)
    reader = _Reader(max_file_bytes)
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": reader.part_begin,
                "on_header_field": reader.header_field,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_headers_finished": reader.headers_finished,
                "on_part_data": reader.part_data,
                "on_part_end": reader.part_end,
                "on_end": reader.end,
            },
        )
        await _pump(receive, parser, reader, target, max_file_bytes + _OVERHEAD_BYTES, silence)
    except FormParserError:
        raise Refusal(400, "the body is not valid multipart/form-data") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal(503, "no space left for uploads; try again later", retry_after=30) from None
        raise
    if not reader.complete:
        raise Refusal(400, "the multipart/form-data body ends before its closing boundary")
    if not reader.has_file:
        raise Refusal(422, f'the form field "{FILE_FIELD}" with the audio is missing', param=FILE_FIELD)
    return reader.fields


async def _pump(
    receive: Receive, parser: MultipartParser, reader: _Reader, target: Path, max_bytes: int, silence: float
) -> None:
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    received = 0
    with open(target, "xb", buffering=0, opener=_private) as file:
        more = True
        while more:
            try:
                message = await asyncio.wait_for(receive(), silence)
            except asyncio.TimeoutError:
                raise Refusal(408, f"nothing was received for {silence:g} s") from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            body = message.get("body", b"")
            more = message.get("more_body", False)
            received += len(body)
            if received > max_bytes:
                raise too_large(max_bytes - _OVERHEAD_BYTES)
            if time.monotonic() - began > _GRACE_SECONDS + received / _SLOWEST_BYTES_PER_SECOND:
                raise Refusal(408, "the upload is too slow")
            if body:
                parser.write(body)
            if len(reader.buffer) >= _FLUSH_BYTES or (reader.buffer and not more):
                data, reader.buffer = reader.buffer, bytearray()
                # a busy disk may block for seconds; the event loop must not
                await loop.run_in_executor(None, _write_all, file.fileno(), data)
        parser.finalize()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write_all(descriptor: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
