"""Ranks people and phones by the profit of their next call. Pure: tables in, a mailing out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.mailing.economics import Worth, right_party_probability
from zanc_pipeline.mailing.exploration import DRAWN, Effect, draws
from zanc_pipeline.mailing.hours import best_hours
from zanc_pipeline.mailing.places import give_places, load_of
from zanc_pipeline.mailing.rules import Bools, Step, removals, waterfall

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from zanc_pipeline.mailing.strategy import Audience, Strategy

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

POINTS = 61
"""Points of the curve of profit along the queue."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a mailing is made from.

    ``contracts``: the open ones of the strategy's convênios: convenio, contract, crm, cpf, name,
    amount (text, reais), due_date (datetime64), product, city, state, payment (P(pays)) and gain
    (what a conversation adds to it), NaN when not scored. ``phones``: those that may be dialled:
    cpf, phone, answers, right_parties, right_party (the model's P(it is the debtor who answers),
    NaN without a model). ``slots``: for each row of ``phones`` P(a person answers) in each of
    ``hours``, NaN when not scored. The sets hold CPFs, ``listed_phones`` phones; ``salt`` names
    the draw of the groups.
    """

    contracts: pd.DataFrame
    phones: pd.DataFrame
    slots: Floats
    hours: tuple[int, ...]
    talk_seconds: float
    effect: Effect
    salt: str
    deceased: frozenset[str] = frozenset()
    promised: frozenset[str] = frozenset()
    talked: frozenset[str] = frozenset()
    said_paid: frozenset[str] = frozenset()
    opted_out: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    listed_phones: frozenset[str] = frozenset()
    in_other_mailing: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Built:
    """A mailing before it is stored.

    ``leads``: rank (from 1), cpf, name, crm, convenio, contract, amount (text), phones (lists,
    best first), hours (of each phone the best, best first), profit (of a call at the best hour),
    answer (of a call to the first phone at no hour in particular). ``candidates``: every person:
    cpf, rank, left_out, reasons, profit, convenio, contract, payment, gain, arm, propensity (P(to
    be in this mailing) before the draws), hour, hour_propensity. ``expected`` is of the first call
    to each person at its planned hour; ``details`` what the report sets beside it.
    """

    leads: pd.DataFrame
    candidates: pd.DataFrame
    waterfall: list[Step]
    expected: dict[str, float]
    details: dict[str, Any]


def build(strategy: Strategy, day: date, inputs: Inputs) -> Built:
    """One row a person: their contract of greatest expected value, their phones by profit."""
    import pandas as pd

    contracts = inputs.contracts.reset_index(drop=True)
    person, people = pd.factorize(contracts["cpf"].to_numpy(object), sort=True)
    count = len(people)
    reais = contracts["amount"].to_numpy(np.float64)
    adds = contracts["gain"].to_numpy(np.float64)
    removed: list[tuple[str, Bools]] = []
    alive = np.ones(len(contracts), dtype=bool)
    for code, passes in _audience(strategy.publico, contracts, reais, day):
        alive &= passes
        removed.append((code, np.bincount(person[alive], minlength=count) == 0))
    contract = _best_contract(contracts, person, np.where(alive, adds * reais, np.nan), count)
    known = contract >= 0
    predicted, amount = np.where(known, adds[contract], np.nan), reais[contract]
    gain = np.minimum(predicted * inputs.effect.share, 1.0)

    index = pd.Index(people)
    dialable = _dialable(strategy.publico, inputs, index)
    phones, slots, owner = dialable.phones, dialable.slots, dialable.owner
    worth = Worth(
        economy=strategy.economia,
        talk_seconds=inputs.talk_seconds,
        right_party=_right_party(phones),
        gain=gain[owner],
        amount=amount[owner],
    )
    top = np.full(len(slots), np.nan)
    if slots.size:
        top = np.fmax.reduce(slots, axis=1)
    profits = worth.profit(top)
    order = np.lexsort((_codes(phones["phone"]), -profits, owner))
    order = order[~np.isnan(profits[order])]
    first = np.full(count, -1, dtype=np.int64)
    starts = order[_place_in_group(owner[order]) == 0]
    first[owner[starts]] = starts
    profit = np.full(count, np.nan)
    profit[owner[starts]] = profits[starts]

    def among(cpfs: frozenset[str]) -> Bools:
        found: Bools = index.isin(list(cpfs)) if cpfs else np.zeros(count, dtype=bool)
        return found

    removed += [
        ("falecido", among(inputs.deceased) & strategy.nunca_chamar.falecidos),
        ("pediu", among(inputs.opted_out)),
        ("nao_ligar", among(inputs.listed)),
        ("promessa", among(inputs.promised) & strategy.nunca_chamar.promessas_em_curso),
        ("disse_que_pagou", among(inputs.said_paid)),
        ("conversou", among(inputs.talked)),
        ("outro_mailing", among(inputs.in_other_mailing)),
        ("sem_telefone", dialable.none),
        ("ddd", dialable.elsewhere),
        ("sem_nota", first < 0),
        ("sem_lucro", profit <= 0),
    ]
    left_out, reasons = removals(count, removed)
    eligible = left_out == None  # noqa: E711 (elementwise)
    unprofitable = reasons == "sem_lucro"
    chance, most = strategy.exploracao, strategy.capacidade.telefones_por_pessoa
    asleep, lot = draws(people.tolist(), inputs.salt)
    turn = _place_in_group(owner[order])
    pass_over = np.zeros((count, most))
    called = (turn < most) & (profits[order] > 0)
    pass_over[owner[order][called], turn[called]] = top[order][called]
    places = give_places(
        strategy,
        profit=profit,
        eligible=eligible,
        unprofitable=unprofitable,
        control=asleep < chance.nunca_ligar,
        lot=lot,
        load=load_of(pass_over, inputs.talk_seconds),
    )
    kept = places.kept
    left_out[places.control], left_out[places.over] = "controle", "capacidade"
    left_out[kept] = None

    rank = np.zeros(count, dtype=np.int64)
    rank[kept] = np.arange(1, len(kept) + 1)
    used = order[(rank[owner[order]] > 0) & (called | (turn == 0))]
    used = used[np.lexsort((np.arange(len(used)), rank[owner[used]]))]
    told = best_hours(
        slots[used],
        inputs.hours,
        drawn=_drawn_hours(
            people[owner[used]].tolist(), f"{inputs.salt}/{day}", chance.hora_ao_acaso
        ),
    )
    heads = np.flatnonzero(_place_in_group(owner[used]) == 0)
    lists = (
        pd.DataFrame(
            {
                "rank": rank[owner[used]],
                "phone": phones["phone"].to_numpy(object)[used],
                "hours": pd.Series(told.hours, dtype=object),
            }
        )
        .groupby("rank", sort=True)
        .agg(list)
    )
    columns = ["cpf", "name", "crm", "convenio", "contract", "amount"]
    leads = contracts.iloc[contract[kept]][columns].reset_index(drop=True)
    leads.insert(0, "rank", rank[kept])
    leads["phones"], leads["hours"] = lists["phone"].to_list(), lists["hours"].to_list()
    leads["profit"] = profit[kept]
    any_hour = _mean(slots)
    leads["answer"] = any_hour[first[kept]]

    best = contracts.iloc[contract]
    candidates = pd.DataFrame(
        {
            "cpf": people,
            "rank": pd.array(rank, dtype="Int64"),
            "left_out": left_out,
            "reasons": reasons,
            "profit": profit,
            "convenio": best["convenio"].where(known).to_numpy(object),
            "contract": best["contract"].where(known).to_numpy(object),
            "payment": best["payment"].where(known).to_numpy(np.float64),
            "gain": predicted,
            "arm": places.arm,
            "propensity": places.propensity,
        }
    )
    candidates.loc[rank == 0, "rank"] = pd.NA
    hour = pd.array(np.zeros(count, dtype=np.int64), dtype="Int64")
    hour[kept] = told.first[heads]
    hour[rank == 0] = pd.NA
    hour_chance = np.full(count, np.nan)
    hour_chance[kept] = chance.hora_ao_acaso / max(len(inputs.hours), 1) + np.where(
        told.first[heads] == told.best[heads], 1 - chance.hora_ao_acaso, 0.0
    )
    candidates["hour"], candidates["hour_propensity"] = hour, hour_chance
    pool = first[eligible | unprofitable]
    planned = worth.expect(first[kept], told.answer[heads])
    by_hour = np.nan_to_num(_mean(slots[first[kept]].T)).round(4).tolist()
    return Built(
        leads=leads,
        candidates=candidates,
        waterfall=waterfall(strategy, left_out),
        expected=planned,
        details={
            "talk_seconds": round(inputs.talk_seconds, 1),
            "effect": asdict(inputs.effect),
            "any_hour": worth.expect(first[kept], any_hour[first[kept]]),
            "at_random": worth.expect(pool, any_hour[pool], people=len(kept)),
            "exploration": {
                "control_people": len(places.control),
                "control_cost": round(places.control_cost, 2),
                "drawn_people": int((places.arm[kept] == DRAWN).sum()),
                "drawn_cost": round(places.drawn_cost, 2),
                "hours_people": int((told.first[heads] != told.best[heads]).sum()),
                "hours_cost": round(
                    worth.expect(first[kept], top[first[kept]])["profit"] - planned["profit"], 2
                ),
            },
            "running_profit": _running(profit[kept]),
            "answer_by_hour": dict(zip(map(str, inputs.hours), by_hour, strict=True)),
        },
    )


@dataclass(frozen=True, kw_only=True)
class _Dialable:
    """The phones in play, whose they are, and who has none at all or none in the area codes."""

    phones: pd.DataFrame
    slots: Floats
    owner: Ints
    none: Bools
    elsewhere: Bools


def _dialable(audience: Audience, inputs: Inputs, people: pd.Index[Any]) -> _Dialable:
    import pandas as pd

    owner = people.get_indexer(pd.Index(inputs.phones["cpf"]))
    fine = owner >= 0
    if inputs.listed_phones:
        fine &= ~inputs.phones["phone"].isin(list(inputs.listed_phones)).to_numpy(bool)
    none = np.bincount(owner[fine], minlength=len(people)) == 0
    if audience.ddds:
        codes = [str(code) for code in audience.ddds]
        fine &= inputs.phones["phone"].str[:2].isin(codes).to_numpy(bool)
    elsewhere = np.bincount(owner[fine], minlength=len(people)) == 0
    return _Dialable(
        phones=inputs.phones[fine],
        slots=inputs.slots[fine],
        owner=owner[fine].astype(np.int64),
        none=none,
        elsewhere=elsewhere,
    )


def _audience(
    audience: Audience, contracts: pd.DataFrame, reais: Floats, day: date
) -> list[tuple[str, Bools]]:
    """Which contracts pass each filter that the strategy sets, in the order of the rules."""
    import pandas as pd

    def within(column: str, values: list[str]) -> Bools:
        known = {value.casefold() for value in values}
        found: Bools = contracts[column].str.casefold().isin(known).to_numpy(bool)
        return found

    delay = (pd.Timestamp(day) - contracts["due_date"]).dt.days.to_numpy()
    filters: list[tuple[str, Bools]] = []
    if audience.produtos:
        filters.append(("produto", within("product", audience.produtos)))
    if audience.estados or audience.cidades:
        lives = within("state", audience.estados) | within("city", audience.cidades)
        filters.append(("regiao", lives))
    filters.append(("valor_minimo", reais >= float(audience.valor_minimo)))
    if audience.valor_maximo is not None:
        filters.append(("valor_maximo", reais <= float(audience.valor_maximo)))
    filters.append(("atraso", delay >= audience.atraso_minimo_dias))
    if audience.atraso_maximo_dias is not None:
        filters.append(("atraso_maximo", delay <= audience.atraso_maximo_dias))
    return filters


def _best_contract(contracts: pd.DataFrame, person: Ints, value: Floats, people: int) -> Ints:
    """The row of each person's contract of greatest value, -1 for none; ties by name."""
    order = np.lexsort(
        (_codes(contracts["contract"]), _codes(contracts["convenio"]), -value, person)
    )
    order = order[~np.isnan(value[order])]
    best = np.full(people, -1, dtype=np.int64)
    heads = order[_place_in_group(person[order]) == 0]
    best[person[heads]] = heads
    return best


def _right_party(phones: pd.DataFrame) -> Floats:
    """The model's P(it is the debtor who answers); without one the pair's own history."""
    scored = phones["right_party"].to_numpy(np.float64)
    history = right_party_probability(
        phones["right_parties"].to_numpy(np.float64), phones["answers"].to_numpy(np.float64)
    )
    return np.where(np.isnan(scored), history, scored)


def _drawn_hours(cpfs: Sequence[str], salt: str, share: float) -> Floats:
    """NaN for most people; for a ``share`` of them, another every day, a number in [0, 1)."""
    if not share:
        return np.full(len(cpfs), np.nan)
    whether, which = draws(cpfs, salt)
    return np.where(whether < share, which, np.nan)


def _codes(texts: pd.Series[str]) -> Ints:
    """The place of each text among them all in order."""
    import pandas as pd

    return pd.factorize(texts.to_numpy(object), sort=True)[0]


def _place_in_group(groups: Ints) -> Ints:
    """0, 1, 2… within each run of equal values."""
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    position = np.arange(len(groups))
    starts = np.concatenate([[True], groups[1:] != groups[:-1]])
    place: Ints = position - np.maximum.accumulate(np.where(starts, position, 0))
    return place


def _mean(rows: Floats) -> Floats:
    """The mean of each row over what is known of it; NaN where nothing is."""
    known = ~np.isnan(rows)
    total = np.where(known, rows, 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _running(profit: Floats) -> list[list[float]]:
    """[people, reais] along the queue: what calling so many of them earns."""
    total = np.concatenate([[0.0], np.cumsum(profit)])
    steps = np.unique(np.linspace(0, len(profit), POINTS).round().astype(np.int64))
    return [[int(step), round(float(total[step]), 2)] for step in steps]
