"""Ranks people and phones by the profit of their next call. Pure: tables in, a mailing out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.mailing.economics import (
    expected_cost,
    expected_profit,
    right_party_probability,
)
from zanc_pipeline.mailing.rules import Step, first_reason, waterfall

if TYPE_CHECKING:
    import pandas as pd

    from zanc_pipeline.mailing.strategy import Strategy


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a mailing is made from.

    ``contracts``: the open ones of the strategy's convênios: convenio, contract, crm, cpf, name,
    amount (text, reais), due_date (datetime64), payment (P(pays), NaN when not scored).
    ``phones``: those that may be dialled: cpf, phone, answers, right_parties, answer (mean P of
    the calling hours, NaN when not scored). The sets hold CPFs.
    """

    contracts: pd.DataFrame
    phones: pd.DataFrame
    deceased: frozenset[str]
    promised: frozenset[str]
    talked: frozenset[str]
    in_other_mailing: frozenset[str]
    talk_seconds: float


@dataclass(frozen=True, kw_only=True)
class Built:
    """A mailing before it is stored.

    ``leads``: rank (from 1), cpf, name, crm, convenio, contract, amount (text), phones (lists,
    best first), profit, answer. ``candidates``: every person: cpf, rank, left_out, profit.
    """

    leads: pd.DataFrame
    candidates: pd.DataFrame
    waterfall: list[Step]
    expected: dict[str, float]


def build(strategy: Strategy, day: date, inputs: Inputs) -> Built:
    """One row a person: their contract of greatest expected value, their phones by profit."""
    import pandas as pd

    contracts, phones = inputs.contracts.copy(), inputs.phones
    contracts["reais"] = contracts["amount"].astype("float64")
    enough = contracts["reais"] >= float(strategy.publico.valor_minimo)
    delay = (pd.Timestamp(day) - contracts["due_date"]).dt.days
    late = delay >= strategy.publico.atraso_minimo_dias
    contracts["value"] = contracts["payment"] * contracts["reais"]

    best = (
        contracts[enough & late & contracts["value"].notna()]
        .sort_values(["cpf", "value", "convenio", "contract"], ascending=[True, False, True, True])
        .drop_duplicates("cpf")
        .set_index("cpf")
    )
    ranked = _rank_phones(strategy, phones, best, inputs.talk_seconds)
    first = ranked.drop_duplicates("cpf").set_index("cpf")

    people = pd.Index(sorted(contracts["cpf"].unique()), name="cpf")
    profit = first["profit"].reindex(people)

    def among(cpfs: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
        found: np.ndarray[Any, np.dtype[np.bool_]] = people.isin(list(cpfs))
        return found

    removed_by = first_reason(
        len(people),
        [
            ("valor_minimo", ~among(contracts.loc[enough, "cpf"])),
            ("atraso", ~among(contracts.loc[enough & late, "cpf"])),
            ("falecido", among(inputs.deceased) & strategy.nunca_chamar.falecidos),
            ("promessa", among(inputs.promised) & strategy.nunca_chamar.promessas_em_curso),
            ("conversou", among(inputs.talked)),
            ("outro_mailing", among(inputs.in_other_mailing)),
            ("sem_telefone", ~among(phones["cpf"])),
            ("sem_nota", profit.isna().to_numpy(bool)),
            ("sem_lucro", (profit <= 0).to_numpy(bool)),
        ],
    )
    table = pd.DataFrame({"left_out": removed_by, "profit": profit.to_numpy()}, index=people)
    order = (
        table[table["left_out"].isna()]
        .reset_index()
        .sort_values(["profit", "cpf"], ascending=[False, True])["cpf"]
    )
    kept = pd.Index(order.head(strategy.capacidade.pessoas))
    table.loc[order.iloc[strategy.capacidade.pessoas :], "left_out"] = "capacidade"
    removed = table["left_out"].to_numpy(object, copy=True)
    removed[pd.isna(removed)] = None
    table["rank"] = pd.Series(np.arange(1, len(kept) + 1), index=kept).reindex(people)

    dialled = ranked[ranked["cpf"].isin(kept) & (ranked["profit"] > 0)]
    dialled = dialled.groupby("cpf").head(strategy.capacidade.telefones_por_pessoa)
    chosen = first.reindex(kept)
    leads = best.reindex(kept)[["name", "crm", "convenio", "contract", "amount"]]
    leads["phones"] = dialled.groupby("cpf")["phone"].agg(list).reindex(kept)
    leads["profit"], leads["answer"] = chosen["profit"], chosen["answer"]
    leads.insert(0, "rank", np.arange(1, len(kept) + 1))
    paying = chosen["answer"] * chosen["right_party"] * chosen["payment"]
    cost = expected_cost(
        chosen["answer"].to_numpy(np.float64), strategy.economia, inputs.talk_seconds
    )
    return Built(
        leads=leads.reset_index(names="cpf"),
        candidates=table.reset_index()[["cpf", "rank", "left_out", "profit"]],
        waterfall=waterfall(strategy, removed),
        expected={
            "answers": round(float(chosen["answer"].sum()), 2),
            "payments": round(float(paying.sum()), 2),
            "cost": round(float(cost.sum()), 2),
            "profit": round(float(chosen["profit"].sum()), 2),
        },
    )


def _rank_phones(
    strategy: Strategy, phones: pd.DataFrame, best: pd.DataFrame, talk_seconds: float
) -> pd.DataFrame:
    """The scored phones of people with a contract to call for, best profit first."""
    ranked = phones[phones["answer"].notna() & phones["cpf"].isin(best.index)].copy()
    contract = best.reindex(ranked["cpf"])
    ranked["payment"] = contract["payment"].to_numpy(np.float64)
    ranked["right_party"] = right_party_probability(
        ranked["right_parties"].to_numpy(np.float64), ranked["answers"].to_numpy(np.float64)
    )
    ranked["profit"] = expected_profit(
        answer=ranked["answer"].to_numpy(np.float64),
        right_party=ranked["right_party"].to_numpy(np.float64),
        payment=ranked["payment"].to_numpy(np.float64),
        amount=contract["reais"].to_numpy(np.float64),
        economy=strategy.economia,
        talk_seconds=talk_seconds,
    )
    return ranked.sort_values(["cpf", "profit", "phone"], ascending=[True, False, True])
