"""What the next call to a phone is expected to earn, in reais. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zanc_pipeline.mailing.strategy import Economy

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

RIGHT_PARTY_PRIOR, RIGHT_PARTY_WEIGHT = 0.6, 3.0
"""Of a pair of person and phone with few answers, this share is taken to be the debtor, as if so
many answers had shown it."""

TALK_SECONDS = 150.0
"""How long an answered call keeps the line and an operator, with the wrap-up: what a call centre
plans with where it has no calls of its own yet."""


def right_party_probability(right_parties: Floats, answers: Floats) -> Floats:
    """P(the debtor is the person who answers), from the pair's own history."""
    share: Floats = (right_parties + RIGHT_PARTY_PRIOR * RIGHT_PARTY_WEIGHT) / (
        np.maximum(answers, right_parties) + RIGHT_PARTY_WEIGHT
    )
    return share


def talk_cost(economy: Economy, seconds: float) -> float:
    """Reais of one answered call: the line by the minute and the operator by the hour."""
    return seconds * (economy.custo_por_minuto / 60 + economy.custo_hora_operador / 3600)


def expected_cost(answer: Floats, economy: Economy, seconds: float) -> Floats:
    """Reais that a call costs on average: the attempt, and the talk when somebody answers."""
    cost: Floats = economy.custo_por_tentativa + answer * talk_cost(economy, seconds)
    return cost


def expected_profit(
    *,
    answer: Floats,
    right_party: Floats,
    payment: Floats,
    amount: Floats,
    economy: Economy,
    talk_seconds: float,
) -> Floats:
    """Reais that a call leaves on average.

    P(answer)·P(right party)·ΔP(pays)·amount·commission, less the attempt, less the talk when it
    is answered. ``payment`` is ΔP(pays): what the conversation adds to P(paid within 30 days),
    as predicted and scaled by ``exploration.Effect``.
    """
    income = answer * right_party * payment * amount * economy.comissao
    profit: Floats = income - expected_cost(answer, economy, talk_seconds)
    return profit


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What calls to some phones are worth; one number a phone, ``gain`` is ΔP(pays)."""

    economy: Economy
    talk_seconds: float
    right_party: Floats
    gain: Floats
    amount: Floats

    def profit(self, answer: Floats) -> Floats:
        """Reais that a call to each phone leaves when it is answered with P ``answer``."""
        return expected_profit(
            answer=answer,
            right_party=self.right_party,
            payment=self.gain,
            amount=self.amount,
            economy=self.economy,
            talk_seconds=self.talk_seconds,
        )

    def expect(self, rows: Ints, answer: Floats, people: int | None = None) -> dict[str, float]:
        """Answers, payments brought about, cost and profit of a call to each phone of ``rows``.

        With ``people``, of so many calls drawn from them at random.
        """
        paying = answer * self.right_party[rows] * self.gain[rows]
        income = paying * self.amount[rows] * self.economy.comissao
        cost = expected_cost(answer, self.economy, self.talk_seconds)
        share = 1.0 if people is None or not len(rows) else people / len(rows)
        totals = {"answers": answer, "payments": paying, "cost": cost, "profit": income - cost}
        return {name: round(share * float(values.sum()), 2) for name, values in totals.items()}
