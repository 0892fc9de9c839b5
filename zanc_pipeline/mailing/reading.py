"""Reads what a mailing is made from: the portfolio, the scores, who must not be called."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.days import local_midnight
from zanc_pipeline.common.do_not_call import Listed
from zanc_pipeline.common.errors import ConflictError
from zanc_pipeline.common.frames import read_frame
from zanc_pipeline.mailing.builder import Inputs
from zanc_pipeline.mailing.economics import TALK_SECONDS
from zanc_pipeline.mailing.exploration import DAYS_TO_PAY, Effect, Trial, effect_of_a_call

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.common.settings import Settings
    from zanc_pipeline.mailing.strategy import Strategy

SCORED_HOURS = range(8, 20)
"""Hours that have scores (``scoring.phone_score``)."""

TRIAL_DAYS = 180
"""How far back mailings say something of the effect of a call."""

_CONTRACTS = """
    SELECT c.convenio, c.contract, c.crm, c.cpf, p.name, c.amount, c.due_date, c.product,
           p.city, p.state, s.payment, s.gain
    FROM crm.contract c JOIN crm.person p USING (cpf)
    LEFT JOIN scoring.contract_score s ON s.convenio = c.convenio AND s.contract = c.contract
    WHERE c.status = 'open' AND (%(convenios)s::text[] IS NULL OR c.convenio = ANY (%(convenios)s))
    ORDER BY c.convenio, c.contract
"""
# The pair may be fine and the number dead for everybody: localization.phone knows from all CRMs.
_PHONES = """
    SELECT pp.cpf, pp.phone, pp.answers, pp.right_parties, s.*
    FROM localization.person_phone pp
    LEFT JOIN localization.phone n ON n.phone = pp.phone
    LEFT JOIN (
        SELECT cpf AS scored_cpf, phone AS scored_phone, max(right_party) AS right_party, {hours}
        FROM scoring.phone_score WHERE day = %(day)s GROUP BY cpf, phone
    ) s ON s.scored_cpf = pp.cpf AND s.scored_phone = pp.phone
    WHERE pp.suppressed IS NULL AND n.out_of_service IS NOT TRUE
      AND EXISTS (SELECT 1 FROM crm.contract c WHERE c.cpf = pp.cpf AND c.status = 'open')
    ORDER BY pp.cpf, pp.phone
"""
_DECEASED = """
    SELECT cpf FROM crm.person WHERE deceased
    UNION SELECT cpf FROM crm.outcome WHERE tabulation = 'deceased'
    UNION SELECT cpf FROM localization.person_phone WHERE deceased
"""
_PROMISED = """
    SELECT DISTINCT cpf FROM crm.outcome
    WHERE tabulation = 'promise' AND promise_date >= %(day)s
"""
_TALKED = """
    SELECT cpf FROM localization.person_phone WHERE last_right_party_at >= %(since)s
    UNION SELECT cpf FROM crm.outcome
    WHERE started_at >= %(since)s
      AND tabulation IN ('promise', 'refusal', 'callback', 'already_paid')
"""
_SAID_PAID = """
    SELECT cpf FROM crm.outcome WHERE tabulation = 'already_paid' AND started_at >= %(since)s
    UNION SELECT cpf FROM localization.call
    WHERE tabulation = 'already_paid' AND started_at >= %(since)s
"""
_OPTED_OUT = """
    SELECT cpf, NULL AS phone FROM crm.outcome WHERE tabulation = 'do_not_call'
    UNION SELECT cpf, phone FROM localization.call WHERE tabulation = 'do_not_call'
"""
# Also those whom somebody else than an operator told the dialer of, outside any call.
_ASKED_THE_DIALER = "SELECT cpf, phone FROM opt_out"
_IN_OTHER_MAILING = """
    SELECT DISTINCT c.cpf FROM mailing.candidate c JOIN mailing.mailing m ON m.id = c.mailing_id
    WHERE m.day = %(day)s AND c.rank IS NOT NULL
"""
_TALK_SECONDS = """
    SELECT avg(talk_seconds) AS seconds FROM localization.call
    WHERE outcome = 'human' AND talk_seconds > 0
      AND started_at >= %(since)s AND started_at < %(until)s
"""
# Everybody counts once, from the first mailing that drew for them. A contract that was taken back
# by its creditor says nothing of payments.
_TRIAL = """
    WITH drawn AS (
        SELECT DISTINCT ON (n.cpf) n.cpf, n.arm, n.gain, n.convenio, n.contract, m.day
        FROM mailing.candidate n JOIN mailing.mailing m ON m.id = n.mailing_id
        WHERE m.campaign = %(campaign)s AND n.arm IN ('escolhido', 'controle')
          AND m.day BETWEEN %(since)s AND %(until)s
        ORDER BY n.cpf, m.day, m.built_at
    ), told AS (
        SELECT d.arm, d.gain,
               c.status = 'paid' AND c.updated_at < d.day + %(days)s + 1 AS paid,
               EXISTS (SELECT 1 FROM crm.outcome o WHERE o.cpf = d.cpf
                       AND o.started_at >= d.day AND o.started_at < d.day + %(days)s
                       AND o.tabulation IN ('promise', 'refusal', 'callback', 'already_paid')
               ) AS talked
        FROM drawn d JOIN crm.contract c USING (convenio, contract) WHERE c.status <> 'removed'
    )
    SELECT count(*) FILTER (WHERE arm = 'escolhido') AS called,
           count(*) FILTER (WHERE arm = 'escolhido' AND paid) AS called_paid,
           count(*) FILTER (WHERE arm = 'escolhido' AND talked) AS talked,
           count(*) FILTER (WHERE arm = 'controle') AS control,
           count(*) FILTER (WHERE arm = 'controle' AND paid) AS control_paid,
           coalesce(avg(gain) FILTER (WHERE arm = 'escolhido'), 0) AS predicted
    FROM told
"""


def read_contracts(cursor: Any, strategy: Strategy) -> pd.DataFrame:
    """The open contracts of the strategy's convênios (``Inputs.contracts``)."""
    convenios = None if strategy.convenios == "todos" else list(strategy.convenios)
    return read_frame(
        cursor,
        _CONTRACTS,
        {"convenios": convenios},
        numbers=("payment", "gain"),
        dates=("due_date",),
    )


def read_opted_out(settings: Settings) -> Listed:
    """The people and phones that the dialer never calls again because they asked for it.

    Raises UnavailableError: without them somebody who asked not to be called would be in a mailing.
    """
    with transaction(settings, "dialer", application="zanc-mailing") as cursor:
        cursor.execute(_ASKED_THE_DIALER)
        rows = cursor.fetchall()
    return Listed(
        cpfs=frozenset(row["cpf"] for row in rows if row["cpf"]),
        phones=frozenset(row["phone"] for row in rows if row["phone"]),
    )


def read_inputs(
    cursor: Any,
    strategy: Strategy,
    *,
    campaign: str,
    day: date,
    contracts: pd.DataFrame,
    listed: Listed,
    asked: Listed,
) -> Inputs:
    """All that a mailing of ``day`` is made from; ``asked`` is of ``read_opted_out``.

    Raises ConflictError when the scores are not of that day.
    """
    _require_scores(cursor, day)
    hours = tuple(hour for hour in calling_hours(strategy) if hour in SCORED_HOURS)
    hours = hours or tuple(SCORED_HOURS)
    columns = [f"h{hour}" for hour in hours]
    pivot = ", ".join(f"max(answer) FILTER (WHERE hour = {hour}) AS h{hour}" for hour in hours)
    phones = read_frame(
        cursor,
        _PHONES.format(hours=pivot),
        {"day": day},
        numbers=("answers", "right_parties", "right_party", *columns),
    )
    midnight, never = local_midnight(day), strategy.nunca_chamar
    cursor.execute(
        _TALK_SECONDS,
        {"since": midnight - timedelta(days=30), "until": midnight + timedelta(days=1)},
    )
    seconds = cursor.fetchone()["seconds"]

    def since(select: str, days: int) -> frozenset[str]:
        moment = midnight - timedelta(days=days)
        return _people(cursor, select, {"since": moment}) if days else frozenset()

    cursor.execute(_OPTED_OUT)
    opted = cursor.fetchall()
    return Inputs(
        contracts=contracts,
        phones=phones[["cpf", "phone", "answers", "right_parties", "right_party"]],
        slots=phones[columns].to_numpy(np.float64),
        hours=hours,
        talk_seconds=TALK_SECONDS if seconds is None else float(seconds),
        effect=read_effect(cursor, strategy, campaign=campaign, day=day),
        salt=strategy.exploracao.semente or campaign,
        deceased=_people(cursor, _DECEASED, {}),
        promised=_people(cursor, _PROMISED, {"day": day}),
        talked=since(_TALKED, never.conversou_nos_ultimos_dias),
        said_paid=since(_SAID_PAID, never.disse_que_pagou_nos_ultimos_dias),
        listed=listed.cpfs,
        listed_phones=listed.phones
        | asked.phones
        | {one["phone"] for one in opted if one["phone"]},
        opted_out=asked.cpfs | {row["cpf"] for row in opted if row["cpf"]},
        in_other_mailing=_people(cursor, _IN_OTHER_MAILING, {"day": day}),
    )


def read_effect(cursor: Any, strategy: Strategy, *, campaign: str, day: date) -> Effect:
    """The effect of a call, from the campaign's own control group when it says enough."""
    cursor.execute(
        _TRIAL,
        {
            "campaign": campaign,
            "since": day - timedelta(days=TRIAL_DAYS),
            "until": day - timedelta(days=DAYS_TO_PAY + 1),
            "days": DAYS_TO_PAY,
        },
    )
    return effect_of_a_call(Trial(**cursor.fetchone()), strategy.economia.efeito_da_ligacao)


def calling_hours(strategy: Strategy) -> list[int]:
    """The local hours in which the campaign dials, as far as its ``horario`` can be read."""
    try:
        first, end = (str(limit) for limit in strategy.discador["horario"])
        start_hour, (end_hour, minutes) = int(first[:2]), (int(part) for part in end.split(":"))
    except (KeyError, TypeError, ValueError):
        return list(range(24))
    return list(range(start_hour, end_hour + (minutes > 0))) or list(range(24))


def _require_scores(cursor: Any, day: date) -> None:
    cursor.execute("SELECT min(day) AS first, max(day) AS last FROM scoring.phone_score")
    scored = cursor.fetchone()
    if scored["last"] is None:
        raise ConflictError(f"ainda não há notas: rode 'zanc models score --day {day}'")
    if not scored["first"] <= day <= scored["last"]:
        raise ConflictError(
            f"as notas são do dia {scored['last']}: rode 'zanc models score --day {day}'"
        )


def _people(cursor: Any, select: str, parameters: dict[str, object]) -> frozenset[str]:
    cursor.execute(select, parameters)
    return frozenset(row["cpf"] for row in cursor.fetchall())
