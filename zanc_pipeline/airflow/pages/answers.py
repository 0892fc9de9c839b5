"""How pages answer: HTML with an ETag, a change's result as JSON, errors in one sentence."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse

from zanc_pipeline.airflow.pages.places import STATIC
from zanc_pipeline.common import web
from zanc_pipeline.common.errors import (
    ConfigError,
    ConflictError,
    DataError,
    UnavailableError,
    ZancError,
)
from zanc_pipeline.common.masking import mask_text

_PARTS = {
    "The dialer": "O discador",
    "PostgreSQL": "O banco de dados",
}
_AIRFLOW = {
    "Forbidden": "Você não tem permissão para isto.",
    "Not authenticated": "Sua sessão terminou: entre de novo no Airflow.",
}
"""What Airflow says of who may not, in the reader's language."""
_STATUS: tuple[tuple[type[ZancError], int], ...] = (
    (ConflictError, 409),
    (UnavailableError, 503),
    (DataError, 400),
    (ConfigError, 400),
)


def page(request: Request, template: str, **values: Any) -> Response:
    """A page, or 304 when the reader has this very one."""
    text = _templates().get_template(template).render(**values)
    tag = web.etag(text)
    headers = web.page_headers() | {"ETag": tag}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(text, headers=headers)


def report_headers() -> dict[str, str]:
    """Headers of a report that was written as a page of its own: its look in it, no script."""
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        "X-Content-Type-Options": "nosniff",
    }


def part(template: str, **values: Any) -> JSONResponse:
    """A piece of a page, as ``zanc.js`` puts it into ``data-into``."""
    html = _templates().get_template(template).render(**values)
    return JSONResponse({"html": html}, headers=web.page_headers())


def done(message: str, *, kind: str = "ok", goto: str | None = None) -> JSONResponse:
    """What became of a change; ``kind`` is ok, wait or bad, ``goto`` the page to go on with."""
    return JSONResponse(
        {"message": message, "kind": kind, "goto": goto}, headers=web.page_headers()
    )


def said(error: ZancError) -> str:
    """An error as a clerk reads it."""
    if isinstance(error, UnavailableError):
        return f"{_PARTS.get(error.part, error.part)} não responde ({error.address})."
    return mask_text(str(error))


def tell_errors(app: FastAPI) -> None:
    """Answer errors as a page to who asked for a page, as JSON to a script."""

    @app.exception_handler(ZancError)
    def ours(request: Request, error: ZancError) -> Response:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        return _problem(request, status, said(error))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail)
        return _problem(request, error.status_code, _AIRFLOW.get(detail, mask_text(detail)))

    @app.exception_handler(RequestValidationError)
    def unreadable(request: Request, error: RequestValidationError) -> Response:
        names = sorted({str(one["loc"][-1]) for one in error.errors()})
        return _problem(request, 400, f"Valor que não se entende: {', '.join(names)}.")


def _problem(request: Request, status: int, text: str) -> Response:
    headers = web.page_headers()
    if request.method != "GET" or "text/html" not in request.headers.get("Accept", ""):
        return JSONResponse({"error": text}, status, headers)
    html = _templates().get_template("problema.html.j2").render(status=status, text=text)
    return HTMLResponse(html, status, headers)


@cache
def _templates() -> Any:
    from zanc_pipeline.airflow.pages import places

    found = web.environment("zanc_pipeline.airflow.pages", assets=STATIC)
    found.globals["places"] = places
    return found
