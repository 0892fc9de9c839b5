"""What an operator's desk shows at a moment: facts for the script, and its blocks as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dialer.engine import Engine
from dialer.live import Agent, Call, Campaign, Preview, utc_now
from dialer.rows import Lead
from dialer.script import filled
from dialer.web import masking, words
from dialer.web.pages import templates
from dialer.web.people import Background
from dialer.web.sessions import Session
from dialer.web.tabulating import Left
from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.web import reais


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom the card is about, masked as the viewer's role demands."""

    name: str
    cpf: str
    phone: str
    creditor: str
    contract: str
    amount: Any
    campaign: str


def shown(engine: Engine, operator: str) -> Call | Preview | None:
    """The call or the preview that the operator has now."""
    agent = engine.floor.agents.get(operator)
    if agent is None:
        return None
    return engine.floor.calls.get(agent.attempt_id or "") or agent.preview


def desk(
    engine: Engine,
    session: Session,
    creditors: Mapping[str, str],
    background: Background | None,
    left: Left | None,
) -> dict[str, Any]:
    """The message that the browser gets: the state, and each block of the page.

    ``creditors`` are the names of the convênios; ``background`` is None until it was read; ``left``
    is an earlier conversation whose tabulation is missing.
    """
    operator = session.phone or ""
    agent = engine.floor.agents.get(operator) or Agent(
        id=operator, state="offline", since=utc_now()
    )
    card = shown(engine, operator)
    call = card if isinstance(card, Call) else None
    campaign = None if card is None else engine.campaigns.get(card.lead.campaign_id)
    attempt = None if call is None else call.attempt
    values: dict[str, Any] = {
        "session": session,
        "agent": agent,
        "call": call,
        "attempt": attempt,
        "preview": card if isinstance(card, Preview) else None,
        "campaign": campaign,
        "running": sorted({one.row.name for one in engine.campaigns.values()}),
        "person": None if card is None else _person(card, campaign, session, creditors),
        "background": background,
        "left": None if call is not None and attempt_is(call, left) else left,
        "choices": words.CHOICES,
        "steps": [] if card is None else _script(card.lead, campaign, session, creditors),
        "reasons": _reasons(engine),
        "masking": masking,
        "hurry": _hurry(engine, agent, campaign),
        "today": utc_now().astimezone(LOCAL),
    }
    return {
        "sequence": agent.version,
        "state": agent.state,
        "attempt": None if attempt is None else attempt.id,
        "connected_at": None if attempt is None else _iso(attempt.connected_at),
        "debt": None if call is None else str(call.lead.amount),
        "title": words.STATES[agent.state],
        "blocks": {
            name: templates().get_template(f"desk_{name}.html.j2").render(values)
            for name in ("state", "card", "tabulation", "script", "past")
        },
    }


def attempt_is(call: Call, left: Left | None) -> bool:
    """Whether the conversation that was left is the one on the card."""
    return left is not None and left.attempt == call.attempt.id


def _person(
    card: Call | Preview,
    campaign: Campaign | None,
    session: Session,
    creditors: Mapping[str, str],
) -> Person:
    lead, full = card.lead, session.role.sees_documents
    return Person(
        name=lead.name,
        cpf=masking.cpf_text(lead.cpf, full=full),
        phone=masking.phone_text(card.phone, full=full),
        creditor=creditors.get(lead.convenio, lead.convenio),
        contract=lead.contract,
        amount=lead.amount,
        campaign=lead.campaign_id if campaign is None else campaign.row.name,
    )


def _script(
    lead: Lead, campaign: Campaign | None, session: Session, creditors: Mapping[str, str]
) -> list[Any]:
    if campaign is None:
        return []
    hour = utc_now().astimezone(LOCAL).hour
    greeting = "Bom dia" if hour < 12 else "Boa tarde" if hour < 18 else "Boa noite"
    facts = {
        "saudacao": greeting,
        "nome": lead.name,
        "primeiro_nome": (lead.name.split() or [""])[0],
        "credor": creditors.get(lead.convenio, lead.convenio),
        "contrato": lead.contract,
        "valor": reais(lead.amount),
        "operador": session.name.split()[0],
    }
    return filled(campaign.settings.roteiro, facts)


def _reasons(engine: Engine) -> tuple[str, ...]:
    from dialer.settings import PAUSE_REASONS

    listed = [one.settings.motivos_de_pausa for one in engine.campaigns.values()]
    return tuple(dict.fromkeys(reason for reasons in listed for reason in reasons)) or PAUSE_REASONS


def _hurry(engine: Engine, agent: Agent, campaign: Campaign | None) -> dict[str, Any] | None:
    """Until when something must be decided: the wrap-up's or the preview's limit."""
    if campaign is None or agent.state not in ("wrapup", "preview"):
        return None
    settings = campaign.settings
    seconds = (
        settings.pos_atendimento_segundos if agent.state == "wrapup" else settings.previa_segundos
    )
    since = agent.since if agent.state == "preview" else max(agent.since, engine.began_at)
    return {"since": _iso(since), "seconds": seconds}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
