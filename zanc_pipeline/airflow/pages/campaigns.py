"""*Campanhas*: each campaign live, and what a supervisor may tell it.

The dialer is asked by the server, with its own token; the browser never sees it. Orders carry the
name of the Airflow user into the dialer's audit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Annotated, Any, Literal, TypeVar, cast

from fastapi import APIRouter, Form, HTTPException, Request, Response

from zanc_pipeline.airflow.hooks import DialerClient
from zanc_pipeline.airflow.pages import answers, campaign_view, places
from zanc_pipeline.airflow.pages.access import READ, ReaderDep, change, settings
from zanc_pipeline.common.errors import ConflictError, ZancError
from zanc_pipeline.common.web import percent

ASK_SECONDS = 4.0
"""A page waits so long for the dialer before it says that it is away."""

LISTED_SECONDS, LIVE_SECONDS = 4.0, 1.0
"""However many people look, the dialer is asked no more often than this."""

_DAG = "/campanhas/{dag_id}/{campaign_id}"
_ORDERS = {
    "pause": "Campanha pausada: as chamadas em curso terminam, e nenhuma outra é feita.",
    "resume": "Campanha retomada.",
    "stop": "Campanha encerrada: as chamadas em curso terminam.",
}

router = APIRouter()
Answer = TypeVar("Answer")


@router.get("/campanhas", dependencies=[READ])
def campaigns(request: Request, reader: ReaderDep) -> Response:
    """All campaigns: those that run with their live figures, those that ended below."""
    allowed = reader.names(places.CAMPAIGN)
    try:
        known = _kept("campaigns", LISTED_SECONDS, lambda: _dialer().campaigns())
        live = _kept("figures", LIVE_SECONDS, lambda: _dialer().figures())
    except ZancError as error:
        return answers.page(request, "campanhas.html.j2", problem=_away(error), view=None)
    view = campaign_view.all_of_them(known, live, allowed=frozenset(allowed))
    view["wall"] = f"{settings().web_url(settings().dialer)}/painel"
    return answers.page(request, "campanhas.html.j2", problem="", view=view)


@router.get(_DAG, dependencies=[READ])
def campaign(request: Request, reader: ReaderDep, dag_id: str, campaign_id: str) -> Response:
    """One campaign: its figures, why it dials as it does, its orders, who gave which."""
    name = _name(dag_id, campaign_id)
    try:
        found = _dialer().campaign(campaign_id)
        if found is None or found["name"] != name:
            raise HTTPException(404, "O discador não conhece esta campanha.")
        live = _kept("figures", LIVE_SECONDS, lambda: _dialer().figures())
        section = _dialer().section(campaign_id)
        audit = _dialer().audit(campaign_id)
    except ZancError as error:
        values = {"problem": _away(error), "view": None, "name": name}
        return answers.page(request, "campanha.html.j2", **values)
    view = campaign_view.one(found, live, section, audit, may_change=reader.may_change(dag_id))
    view["wall"] = f"{settings().web_url(settings().dialer)}/painel"
    return answers.page(request, "campanha.html.j2", problem="", view=view, name=name)


@router.post(f"{_DAG}/ordem", dependencies=change("zanc_campanha"))
def order(
    reader: ReaderDep,
    dag_id: str,
    campaign_id: str,
    ordem: Annotated[Literal["pause", "resume", "stop"], Form()],
) -> Response:
    """Pause, resume or stop."""
    _mine(dag_id, campaign_id)
    _tell(lambda: _dialer().order(campaign_id, ordem, who=reader.name))
    return answers.done(_ORDERS[ordem], kind="wait" if ordem == "pause" else "ok")


@router.post(f"{_DAG}/limite", dependencies=change("zanc_limite"))
def limit(
    reader: ReaderDep,
    dag_id: str,
    campaign_id: str,
    limite: Annotated[str, Form(max_length=10)],
) -> Response:
    """Change the share of people who answer and may find no operator."""
    share = campaign_view.share_of(limite)
    _mine(dag_id, campaign_id)
    _tell(lambda: _dialer().change(campaign_id, {"abandono_maximo": share}, who=reader.name))
    return answers.done(f"Limite de abandono: {percent(share)}.")


def _mine(dag_id: str, campaign_id: str) -> None:
    """Refuse an order to a campaign that is not of the DAG whose permission was checked."""
    name = _name(dag_id, campaign_id)
    found = _dialer().campaign(campaign_id)
    if found is None or found["name"] != name:
        raise HTTPException(404, "O discador não conhece esta campanha.")


def _name(dag_id: str, campaign_id: str) -> str:
    kind, _, name = dag_id.partition("__")
    if kind != places.CAMPAIGN or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", campaign_id):
        raise HTTPException(404, "Não há esta campanha.")
    return name


def _tell(order: Callable[[], None]) -> None:
    """Give the dialer an order; what was known of it is asked again."""
    try:
        order()
    except ConflictError:
        raise HTTPException(409, "A campanha já terminou ou está terminando.") from None
    finally:
        with _lock:
            _answers.clear()


def _away(error: ZancError) -> str:
    if error.retriable:
        return (
            f"{answers.said(error)} As chamadas em curso seguem nele; esta página volta sozinha "
            "quando ele responder."
        )
    return answers.said(error)


@lru_cache(maxsize=1)
def _client(address: str, _token: str) -> DialerClient:
    return DialerClient(settings(), timeout_seconds=ASK_SECONDS)


def _dialer() -> DialerClient:
    stack = settings()
    return _client(stack.web_url(stack.dialer), stack.secret("dialer_token"))


_lock = Lock()
_answers: dict[str, tuple[float, Any]] = {}


def _kept(name: str, seconds: float, ask: Callable[[], Answer]) -> Answer:
    """The dialer's answer, asked again after ``seconds``."""
    now = monotonic()
    with _lock:
        at, known = _answers.get(name, (0.0, None))
    if known is not None and now - at < seconds:
        return cast("Answer", known)
    fresh = ask()
    with _lock:
        _answers[name] = (now, fresh)
    return fresh
