"""*Recepção*: what came, what became of it, and the report of each delivery.

Reading needs permission to read the reception DAGs; what is decided about a delivery is decided in
the DAG ``decision__entregas``.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError, ZancError
from zanc_pipeline.common.masking import mask_text
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.reception import service
from zanc_pipeline.reception.drift import proposals
from zanc_pipeline.reception.ledger import STATUS_WORDS, Delivery

PREFIX = "/zanc"
PAGE_ROWS = 100
RECEPTION = "reception__"
_REJECTED = "rejeitadas.csv"
_READ = Depends(requires_access_dag("GET"))
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}


def pages() -> FastAPI:
    """The application that the plugin mounts under ``PREFIX``."""
    app = FastAPI(title="Zanc", docs_url=None, redoc_url=None, openapi_url=None)
    templates = Environment(
        loader=PackageLoader("zanc_pipeline.airflow.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )

    @app.get("/recepcao", dependencies=[_READ])
    def deliveries(
        convenio: Annotated[str | None, Query(max_length=60)] = None,
        before: Annotated[int | None, Query(ge=1)] = None,
    ) -> HTMLResponse:
        """The latest deliveries, of all convênios or of one, a page at a time."""
        settings = load_settings()
        problem, found, proposed = "", list[Delivery](), set[int]()
        try:
            found = service.list_deliveries(settings, convenio or None)
            proposed = {proposal.delivery_id for proposal in proposals.list_open(settings)}
        except ZancError as error:
            problem = mask_text(str(error))
        rows = [one for one in found if before is None or one.id < before]
        page = templates.get_template("recepcao.html.j2").render(
            rows=[_row(one, proposed) for one in rows[:PAGE_ROWS]],
            convenios=[*sorted(settings.convenios), service.UNKNOWN_CONVENIO],
            chosen=convenio,
            counts=_counts(found),
            older=rows[PAGE_ROWS - 1].id if len(rows) > PAGE_ROWS else None,
            problem=problem,
        )
        return HTMLResponse(page, headers=_HEADERS)

    @app.get("/recepcao/{dag_id}/{delivery_id}", dependencies=[_READ])
    def report(dag_id: str, delivery_id: int) -> FileResponse:
        """The report of one delivery."""
        settings = load_settings()
        return _file(settings, _delivery(settings, dag_id, delivery_id), "html")

    @app.get("/recepcao/{dag_id}/{delivery_id}/rejeitadas.csv", dependencies=[_READ])
    def rejected(dag_id: str, delivery_id: int) -> FileResponse:
        """The rejected rows of one delivery, to be corrected and sent again."""
        settings = load_settings()
        return _file(settings, _delivery(settings, dag_id, delivery_id), "rejected")

    return app


def report_url(delivery_id: int, convenio: str) -> str:
    """The path of a delivery's report in the Airflow UI."""
    return f"{PREFIX}/recepcao/{RECEPTION}{convenio}/{delivery_id}"


def _delivery(settings: Settings, dag_id: str, delivery_id: int) -> Delivery:
    """The delivery, which must be one of the DAG that the reader may read."""
    try:
        delivery = service.get_delivery(settings, delivery_id)
    except DataError:
        raise HTTPException(404, f"não há entrega {delivery_id}") from None
    except ZancError as error:
        raise HTTPException(503, mask_text(str(error))) from None
    if dag_id != RECEPTION + delivery.convenio:
        raise HTTPException(404, f"não há entrega {delivery_id} neste convênio")
    return delivery


def _file(
    settings: Settings, delivery: Delivery, kind: Literal["html", "rejected"]
) -> FileResponse:
    report = service.report_path(settings, delivery, "html")
    path = report if kind == "html" or report is None else Path(report).with_name(_REJECTED)
    if path is None or not path.is_file():
        raise HTTPException(404, f"a entrega {delivery.id} não tem este arquivo")
    if kind == "html":
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=_HEADERS)
    return FileResponse(
        path,
        media_type="text/csv; charset=utf-8",
        filename=f"rejeitadas-{delivery.id}.csv",
        headers=_HEADERS,
    )


def _row(delivery: Delivery, proposed: Container[int]) -> dict[str, object]:
    """What the list shows; ``decision`` when a person has a choice about the delivery."""
    base = report_url(delivery.id, delivery.convenio)
    return {
        "id": delivery.id,
        "convenio": delivery.convenio,
        "file": delivery.file_name,
        "status": delivery.status,
        "word": STATUS_WORDS.get(delivery.status, delivery.status),
        "received": _moment(delivery.received_at),
        "accepted": _number(delivery.rows_accepted),
        "rejected": _number(delivery.rows_rejected),
        "reason": mask_text(delivery.reason or ""),
        "report": base if delivery.folder else None,
        "rejected_file": f"{base}/{_REJECTED}" if delivery.rows_rejected else None,
        "decision": delivery.status == "held"
        or (delivery.status == "quarantined" and (delivery.rules or delivery.id in proposed)),
    }


def _counts(deliveries: list[Delivery]) -> list[tuple[str, str, int]]:
    found: dict[str, int] = {}
    for delivery in deliveries:
        found[delivery.status] = found.get(delivery.status, 0) + 1
    return [
        (status, STATUS_WORDS.get(status, status), found[status])
        for status in STATUS_WORDS
        if status in found
    ]


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL):%d/%m/%Y %H:%M}"


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}".replace(",", ".")
