"""*Recepção*: what came today, what is missing, and what a person decides about a delivery.

Every decision is taken by the same functions as the commands ``zanc reception approve|reject|
accept|release|replay|resubmit``; whoever comes first decides.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse

from zanc_pipeline.airflow.pages import answers, places, reception_view
from zanc_pipeline.airflow.pages.access import MAY_CHANGE, READ, ReaderDep, change, settings
from zanc_pipeline.airflow.pages.runs import wake
from zanc_pipeline.common.errors import DataError, ZancError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import inbox, service
from zanc_pipeline.reception.corrections import MAX_BYTES
from zanc_pipeline.reception.drift import proposals
from zanc_pipeline.reception.ledger import Delivery

PAGE_ROWS = 100
LEARNED_SECONDS = 300
"""The usual hours are learned again after so long."""
REPORT, REJECTED = "relatorio", "rejeitadas.csv"

router = APIRouter()

_DAG = "/recepcao/{dag_id}/{delivery_id}"
_CHUNK = 1 << 20


@router.get("/recepcao", dependencies=[READ])
def deliveries(
    request: Request,
    reader: ReaderDep,
    dia: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2}|todos|)$")] = "",
    convenio: Annotated[str, Query(max_length=60)] = "",
    situacao: Annotated[str, Query(max_length=20)] = "",
    procurar: Annotated[str, Query(max_length=100)] = "",
    antes: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """The deliveries of a day and what is missing; or all of them, a page at a time."""
    now = datetime.now(UTC)
    choice = inbox.Choice(
        day=None if dia == "todos" else _day(dia, now),
        among=frozenset(reader.names(places.RECEPTION)),
        convenio=convenio or None,
        statuses=reception_view.statuses(situacao),
        text=procurar.strip() or None,
        before=antes,
    )
    stack = settings()
    try:
        before = _before(
            choice.day or reception_view.today(now), int(monotonic() / LEARNED_SECONDS)
        )
        seen = inbox.read(stack, choice, now=now, rows=PAGE_ROWS, arrivals=before)
    except ZancError as error:
        return answers.page(request, "recepcao.html.j2", problem=answers.said(error), view=None)
    view = reception_view.day(stack, choice, seen, now=now, status=situacao)
    return answers.page(request, "recepcao.html.j2", problem="", view=view)


@router.get(_DAG, dependencies=[READ])
def delivery(request: Request, reader: ReaderDep, dag_id: str, delivery_id: int) -> Response:
    """One delivery: what became of it, why, and what can be done."""
    stack = settings()
    try:
        found = inbox.case(stack, delivery_id)
    except DataError:
        raise _unknown(delivery_id) from None
    _require_its_dag(dag_id, found.delivery)
    view = reception_view.case(stack, found, may_change=reader.may_change(dag_id))
    return answers.page(request, "entrega.html.j2", view=view)


@router.get(f"{_DAG}/{REPORT}", dependencies=[READ])
def report(dag_id: str, delivery_id: int) -> FileResponse:
    """The report of one delivery."""
    stack = settings()
    found = _known(stack, dag_id, delivery_id)
    return FileResponse(
        _file(stack, found, "html"),
        media_type="text/html; charset=utf-8",
        headers=answers.report_headers(),
    )


@router.get(f"{_DAG}/{REJECTED}", dependencies=[MAY_CHANGE])
def rejected(dag_id: str, delivery_id: int) -> FileResponse:
    """The rejected rows, unmasked: for who corrects them and sends them again."""
    stack = settings()
    found = _known(stack, dag_id, delivery_id)
    return FileResponse(
        _file(stack, found, "rejected"),
        media_type="text/csv; charset=utf-8",
        filename=f"rejeitadas-{found.id}.csv",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


@router.post(f"{_DAG}/decidir", dependencies=change("zanc_decidir"))
def decide(
    reader: ReaderDep,
    dag_id: str,
    delivery_id: int,
    decisao: Annotated[Literal["aprovar", "recusar", "aceitar", "liberar", "reprocessar"], Form()],
    motivo: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Approve or refuse the proposed layout, accept, release or replay."""
    stack = settings()
    found = _known(stack, dag_id, delivery_id)
    by, reason = reader.name, " ".join(motivo.split())
    match decisao:
        case "aprovar":
            after = proposals.approve(stack, delivery_id, by=by, note=reason)
        case "recusar":
            proposals.reject(stack, delivery_id, by=by, reason=_required(reason))
            after = service.get_delivery(stack, delivery_id)
        case "aceitar":
            after = service.accept(stack, delivery_id, found.rules, by=by, reason=_required(reason))
        case "liberar":
            after = service.release(stack, delivery_id, by=by, reason=_required(reason))
        case "reprocessar":
            after = service.replay(stack, delivery_id)
    return _became(dag_id, after, by=by)


@router.post(f"{_DAG}/corrigir", dependencies=change("zanc_corrigir"))
def correct(reader: ReaderDep, dag_id: str, delivery_id: int, arquivo: UploadFile) -> Response:
    """Receive the corrected rejected rows: a new delivery that replaces this one."""
    stack = settings()
    _known(stack, dag_id, delivery_id)
    folder = stack.var / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="correction-") as into:
        path = _saved(arquivo, Path(into))
        after = service.resubmit(stack, delivery_id, path)
    return _became(dag_id, after, by=reader.name, goto=places.delivery(after.convenio, after.id))


def _became(dag_id: str, after: Delivery, *, by: str, goto: str | None = None) -> Response:
    """What became of a delivery that was decided about; what is accepted is loaded at once."""
    text, kind = reception_view.outcome(after)
    if after.status == "accepted":
        woken = wake(dag_id, by=by)
        text += " Está sendo carregada." if woken else " Será carregada na próxima recepção."
    return answers.done(text, kind=kind, goto=goto)


def _known(stack: Settings, dag_id: str, delivery_id: int) -> Delivery:
    """The delivery, which must be one of the DAG that the reader may read."""
    try:
        found = service.get_delivery(stack, delivery_id)
    except DataError:
        raise _unknown(delivery_id) from None
    _require_its_dag(dag_id, found)
    return found


def _require_its_dag(dag_id: str, found: Delivery) -> None:
    if dag_id != f"{places.RECEPTION}__{found.convenio}":
        raise _unknown(found.id)


def _unknown(delivery_id: int) -> HTTPException:
    return HTTPException(404, f"Não há entrega {delivery_id} neste convênio.")


@lru_cache(maxsize=8)
def _before(day: date, _span: int) -> dict[str, list[datetime]]:
    return inbox.arrivals(settings(), day)


def _file(stack: Settings, found: Delivery, kind: Literal["html", "rejected"]) -> Path:
    path = service.report_path(stack, found, "html")
    if path is not None and kind == "rejected":
        path = path.with_name(REJECTED)
    if path is None or not path.is_file():
        raise HTTPException(404, f"A entrega {found.id} não tem este arquivo.")
    return path


def _saved(sent: UploadFile, folder: Path) -> Path:
    """The uploaded file under its own name, as far as that is one."""
    name = Path((sent.filename or "").replace("\\", "/")).name
    name = "".join(c for c in name if c.isprintable())[-60:]  # 60 letters are 240 bytes at most
    path = folder / (REJECTED if name.strip(".") == "" else name)
    size = 0
    with path.open("wb") as file:
        while chunk := sent.file.read(_CHUNK):
            size += len(chunk)
            if size > MAX_BYTES:
                raise DataError(f"O arquivo passa de {MAX_BYTES >> 20} MB: não é o das rejeitadas.")
            file.write(chunk)
    if not size:
        raise DataError("Escolha o arquivo com as linhas corrigidas.")
    return path


def _required(reason: str) -> str:
    if not reason:
        raise DataError("Escreva o motivo: ele fica registrado com a decisão.")
    return reason


def _day(text: str, now: datetime) -> date:
    if not text:
        return reception_view.today(now)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise HTTPException(400, f"'{text}' não é um dia.") from None
