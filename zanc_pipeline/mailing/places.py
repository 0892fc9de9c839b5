"""Who gets the places of a mailing: by profit, less a control group, and some by lot. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zanc_pipeline.mailing.exploration import CHOSEN, CONTROL, DRAWN

if TYPE_CHECKING:
    from zanc_pipeline.mailing.rules import Bools
    from zanc_pipeline.mailing.strategy import Capacity, Strategy

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

RING_SECONDS = 20.0
"""How long an attempt holds a line before somebody answers or it is given up."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """Of one pass over each person's phones: seconds of operators and seconds of lines."""

    operators: Floats
    lines: Floats


@dataclass(frozen=True, kw_only=True)
class Places:
    """``kept`` in the order of the calls; ``over`` those cut by capacity; the rest by person.

    ``arm`` is None for people who were not in the draw; ``propensity`` P(to be in the mailing).
    The costs are reais of profit given up.
    """

    kept: Ints
    over: Ints
    control: Ints
    arm: np.ndarray[Any, Any]
    propensity: Floats
    control_cost: float
    drawn_cost: float


def load_of(answers: Floats, talk_seconds: float) -> Load:
    """``answers``: a row a person, a column each phone in the order of the calls, 0 for none.

    A phone is called when nobody answered at those before it.
    """
    missed = np.cumprod(1 - answers, axis=1)
    before = np.column_stack([np.ones(len(answers)), missed[:, :-1]])
    attempts = (before * (answers > 0)).sum(axis=1)
    reached = np.asarray(1 - missed[:, -1], dtype=np.float64)
    talk = reached * talk_seconds
    return Load(operators=talk, lines=attempts * RING_SECONDS + talk)


def give_places(
    strategy: Strategy,
    *,
    profit: Floats,
    eligible: Bools,
    unprofitable: Bools,
    control: Bools,
    lot: Floats,
    load: Load,
) -> Places:
    """The places of the mailing, people in the order of their CPF.

    ``control`` are never called. Of the places, ``ligar_mesmo_assim`` go to the people of the
    lowest ``lot`` among those whom value or capacity leaves out; they are called last.
    """
    chance = strategy.exploracao
    order = _by_profit(np.flatnonzero(eligible), profit)
    free = order[~control[order]]
    held = _holds(strategy.capacidade, free, load)
    drawn_places = int(chance.ligar_mesmo_assim * held)
    unprofitable_free = np.flatnonzero(unprofitable & ~control)
    # Where capacity does not end, nobody has to give up a place for those drawn.
    most = strategy.capacidade.pessoas
    spare = held == len(free) and (most is None or held + drawn_places <= most)
    chosen = free[: held if spare else held - drawn_places]
    pool = np.concatenate([free[len(chosen) :], unprofitable_free])
    drawn = pool[np.argsort(lot[pool], kind="stable")[:drawn_places]]
    if len(drawn) < drawn_places:  # too few to draw from: their places go by profit
        chosen = free[: held - len(drawn)] if not spare else chosen
        drawn = drawn[~np.isin(drawn, chosen)]
    drawn = _by_profit(drawn, profit)
    kept = np.concatenate([chosen, drawn])
    taken = np.zeros(len(profit), dtype=bool)
    taken[kept] = True

    least = profit[chosen[-1]] if len(chosen) else np.inf
    held_out = order[control[order]]
    would = held_out[profit[held_out] >= least]
    arm = np.full(len(profit), None, dtype=object)
    arm[chosen], arm[drawn], arm[would] = CHOSEN, DRAWN, CONTROL
    propensity = np.zeros(len(profit))
    called = 1 - chance.nunca_ligar
    propensity[pool] = called * len(drawn) / max(len(pool), 1)
    propensity[chosen] = propensity[would] = called

    ideal = float(profit[order[: _holds(strategy.capacidade, order, load)]].sum())
    without_drawn = float(profit[free[:held]].sum())
    return Places(
        kept=kept,
        over=free[~taken[free]],
        control=held_out,
        arm=arm,
        propensity=propensity,
        control_cost=max(ideal - without_drawn, 0.0),
        drawn_cost=max(without_drawn - float(profit[kept].sum()), 0.0),
    )


def _by_profit(people: Ints, profit: Floats) -> Ints:
    """``people`` by profit, best first; ties in their own order."""
    return people[np.lexsort((people, -profit[people]))]


def _holds(capacity: Capacity, order: Ints, load: Load) -> int:
    """How many of ``order``, from its head, the capacity holds."""
    held = len(order) if capacity.pessoas is None else min(capacity.pessoas, len(order))
    seconds = 3600 * (capacity.horas or 0)
    if capacity.operadores is not None:
        limit = capacity.operadores * seconds * capacity.ocupacao
        held = min(held, int(np.searchsorted(np.cumsum(load.operators[order]), limit, "right")))
    if capacity.linhas is not None:
        limit = capacity.linhas * seconds
        held = min(held, int(np.searchsorted(np.cumsum(load.lines[order]), limit, "right")))
    return held
