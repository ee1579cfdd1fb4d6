"""The HTTP interface."""

# ruff: noqa: UP045  (FastAPI evaluates annotations, and Python 3.9 has no X | Y)

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar, Union

from fastapi import Depends, FastAPI, Request, Response, Security
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import metrics, schemas, transcript
from .connections import LingeringClose
from .errors import ClientGone, Refusal, error_body
from .forms import F, RecognizeForm, TranscriptionForm, described, in_query, read
from .service import Service
from .transcript import Transcript
from .upload import read_fields

_T = TypeVar("_T")

_PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

_bearer = HTTPBearer(auto_error=False, description="The API key as a bearer token.")
_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The API key by itself.")


def create_app(service: Service) -> FastAPI:
    """The ASGI application over a service, which it starts and stops."""
    settings = service.settings

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="Speech recognition",
        version="1",
        description='FunASR. Errors below /v1 have OpenAI\'s shape, others are {"error": reason}.',
        lifespan=lifespan,
        docs_url=None,  # both would load scripts from the internet
        redoc_url=None,
    )
    app.add_middleware(_CountRequests, service=service)
    app.add_middleware(LingeringClose, closing=lambda: service.draining)
    _answer_errors(app)
    guarded = [Depends(_key_check(settings.api_keys))] if settings.api_keys else []

    @app.get("/", response_class=HTMLResponse, summary="A page to try a file by hand")
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)

    @app.get(
        "/health",
        response_model=schemas.Health,
        responses={503: {"model": schemas.Health, "description": "Not ready."}},
        summary="Whether requests are served; never needs the API key",
    )
    async def health() -> JSONResponse:
        state = service.state
        workers = {"ready": service.recognizers.ready, "wanted": settings.workers}
        body = {"status": state, "workers": workers, "waiting": service.waiting}
        return JSONResponse(body, 200 if state == "ok" else 503)

    @app.get(
        "/metrics", response_class=PlainTextResponse, summary="Prometheus metrics; never need the API key"
    )
    async def prometheus() -> Response:
        return Response(service.render_metrics(), headers={"Content-Type": metrics.CONTENT_TYPE})

    model = {"id": settings.model_id, "object": "model", "created": 0, "owned_by": "provision"}

    @app.get(
        "/v1/models",
        dependencies=guarded,
        response_model=schemas.ModelList,
        responses=schemas.problems(schemas.OpenAIProblem, 401),
        summary="The served model",
    )
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model]}

    @app.post("/recognize", dependencies=guarded, include_in_schema=False, response_model=None)
    @app.post(
        "/recognize/",
        dependencies=guarded,
        response_model=schemas.Recognition,
        responses=schemas.problems(schemas.Problem, *schemas.UPLOAD_PROBLEMS),
        openapi_extra={**described(RecognizeForm), "parameters": in_query(RecognizeForm)},
        summary="Text of an audio file",
    )
    async def recognize(request: Request) -> JSONResponse:
        query = request.query_params
        read(RecognizeForm, query)  # before the upload is read
        found, form = await _serve(service, request, lambda fields: read(RecognizeForm, {**query, **fields}))
        return JSONResponse({"result": found.text(form.tags)})

    @app.post(
        "/v1/audio/transcriptions",
        dependencies=guarded,
        response_model=Union[schemas.Transcription, schemas.VerboseTranscription],
        responses={
            200: schemas.OTHER_FORMATS,
            **schemas.problems(schemas.OpenAIProblem, 404, *schemas.UPLOAD_PROBLEMS),
        },
        openapi_extra=described(TranscriptionForm),
        summary="Transcript of an audio file, as OpenAI's",
    )
    async def transcriptions(request: Request) -> Response:
        def form_of(fields: Mapping[str, str]) -> TranscriptionForm:
            asked = fields.get("model") or settings.model_id
            if asked.rsplit("/", 1)[-1] != settings.model_id:
                reason = f"there is no such model here; the served model is {settings.model_id}"
                raise Refusal(404, reason, param="model")
            return read(TranscriptionForm, fields)

        return _render(*await _serve(service, request, form_of))

    return app


async def _serve(
    service: Service, request: Request, form_of: Callable[[Mapping[str, str]], F]
) -> tuple[Transcript, F]:
    """Read a request's upload, validate its fields, and recognize it. Its files are removed afterwards."""
    began = time.monotonic()
    service.check_room()
    settings = service.settings
    with service.spool.files() as (upload, decoded):
        fields = await read_fields(
            request.headers,
            request.receive,
            upload,
            max_file_bytes=settings.max_upload_bytes,
            silence=settings.body_timeout,
        )
        form = form_of(fields)
        language = form.language or settings.language
        found = await _unless_gone(
            request, service.transcribe(upload, decoded, language, split=form.with_times)
        )
    service.metrics.request_seconds.observe(time.monotonic() - began)
    return found, form


async def _unless_gone(request: Request, work: Awaitable[_T]) -> _T:
    """The result of ``work``, which is cancelled when the client leaves. Raises ClientGone."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # after the body there is only the disconnect to receive
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def _render(found: Transcript, form: TranscriptionForm) -> Response:
    if form.response_format == "verbose_json":
        return JSONResponse(transcript.verbose_json(found, form.tags))
    if form.response_format == "text":
        return PlainTextResponse(found.text(form.tags))
    if form.response_format == "srt":
        return PlainTextResponse(transcript.srt(found, form.tags))
    if form.response_format == "vtt":
        return Response(transcript.vtt(found, form.tags), media_type="text/vtt")
    return JSONResponse({"text": found.text(form.tags), "usage": transcript.usage(found)})


def _key_check(api_keys: Sequence[str]) -> Callable[..., None]:
    expected = [key.encode() for key in api_keys]

    def authorize(
        token: Optional[HTTPAuthorizationCredentials] = Security(_bearer),  # noqa: B008
        key: Optional[str] = Security(_key_header),
    ) -> None:
        given = (token.credentials if token else "", key or "")
        # All of them, in constant time.
        matches = [hmac.compare_digest(text.encode(), key) for text in given for key in expected]
        if True not in matches:
            raise Refusal(401, "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")

    return authorize


def _answer_errors(app: FastAPI) -> None:
    """Give every error an answer in the shape of its address."""

    def answer(
        request: Request,
        status: int,
        reason: str,
        param: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> JSONResponse:
        return JSONResponse(error_body(request.url.path, status, reason, param), status, headers)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return answer(request, refusal.status, refusal.reason, refusal.param, refusal.headers)

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        reasons = {404: "there is nothing at this address", 405: "this method is not allowed here"}
        reason = reasons.get(error.status_code, str(error.detail))
        return answer(request, error.status_code, reason, headers=error.headers)

    @app.exception_handler(ClientGone)
    async def nobody_left(request: Request, error: ClientGone) -> Response:
        return Response(status_code=499)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return answer(request, 500, "internal error; the log of the service says more")


@dataclasses.dataclass
class _CountRequests:
    """Counts answers by path and status."""

    app: ASGIApp
    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")  # a client's own path would let it invent metrics
                self.service.metrics.requests[getattr(route, "path", "other"), message["status"]] += 1
            await send(message)

        await self.app(scope, receive, counting if scope["type"] == "http" else send)
