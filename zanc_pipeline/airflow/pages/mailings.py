"""*Mailings*: who was left out by which rule, what is expected, and why somebody is in or out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse

from zanc_pipeline.airflow.pages import answers, mailing_view, places
from zanc_pipeline.airflow.pages.access import READ, ReaderDep, own_page, settings
from zanc_pipeline.common.codecs import parse_cpf
from zanc_pipeline.common.errors import ConflictError, DataError, ZancError
from zanc_pipeline.common.masking import mask
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.mailing import reports, service
from zanc_pipeline.mailing.service import Mailing

LISTED = 100

_DAG = "/mailings/{dag_id}/{mailing_id}"

router = APIRouter()


@router.get("/mailings", dependencies=[READ])
def mailings(
    request: Request, reader: ReaderDep, campanha: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """The latest mailings, of all campaigns or of one."""
    stack = settings()
    allowed = reader.names(places.MAILING)
    try:
        found = reports.mailings(stack, campaign=campanha or None, limit=LISTED)
    except ZancError as error:
        return answers.page(request, "mailings.html.j2", problem=answers.said(error), view=None)
    view = mailing_view.all_of_them(
        [one for one in found if one.campaign in allowed], allowed, chosen=campanha
    )
    return answers.page(request, "mailings.html.j2", problem="", view=view)


@router.get(_DAG, dependencies=[READ])
def mailing(request: Request, dag_id: str, mailing_id: str) -> Response:
    """One mailing: waterfall, what is expected, the form that asks for a person."""
    stack = settings()
    found = _known(stack, dag_id, mailing_id)
    view = mailing_view.one(
        found, service.before(stack, found), has_report=_report(stack, found).is_file()
    )
    return answers.page(request, "mailing.html.j2", view=view)


@router.get(f"{_DAG}/relatorio", dependencies=[READ])
def report(dag_id: str, mailing_id: str) -> FileResponse:
    """The report that was written with the mailing."""
    stack = settings()
    path = _report(stack, _known(stack, dag_id, mailing_id))
    if not path.is_file():
        raise HTTPException(404, "Este mailing não tem relatório gravado.")
    return FileResponse(
        path, media_type="text/html; charset=utf-8", headers=answers.report_headers()
    )


@router.post(f"{_DAG}/por-que", dependencies=[READ])
def why(
    request: Request,
    dag_id: str,
    mailing_id: str,
    cpf: Annotated[str, Form(max_length=30)],
) -> Response:
    """Why a person is in it or not; by POST, so that no CPF stands in an address or a log."""
    own_page(request)
    stack = settings()
    found = _known(stack, dag_id, mailing_id)
    number = parse_cpf(cpf)
    if number is None:
        raise DataError("O CPF informado não é válido: confira os dígitos.")
    try:
        reason = service.why(stack, found.campaign, number, found.id)
    except (ConflictError, DataError) as error:
        return answers.part(
            "por_que.html.j2", cpf=mask(number), reason=None, text=answers.said(error)
        )
    return answers.part("por_que.html.j2", cpf=mask(number), **mailing_view.why(reason))


def _known(stack: Settings, dag_id: str, mailing_id: str) -> Mailing:
    kind, _, campaign = dag_id.partition("__")
    if kind == places.MAILING and re.fullmatch(r"[\w.-]{1,150}", mailing_id, re.ASCII):
        try:
            found = reports.mailing(stack, mailing_id)
        except DataError:
            pass
        else:
            if found.campaign == campaign:
                return found
    raise HTTPException(404, "Não há este mailing.")


def _report(stack: Settings, found: Mailing) -> Path:
    return stack.var / "mailings" / f"{found.id}.html"
