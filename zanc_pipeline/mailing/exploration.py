"""What is left to chance, and what it teaches: groups by hash, and the effect of a call. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

CONTROL, CHOSEN, DRAWN = "controle", "escolhido", "sorteado"
"""Arms: would be in the mailing and is never called; is in it by profit; is in it by lot."""

LEAST_CONTROL, LEAST_PAID = 500, 30
"""People of the control group, and payments in it, before the effect is measured at all."""

DAYS_TO_PAY = 30


def draws(cpfs: Sequence[str], salt: str) -> tuple[Floats, Floats]:
    """Two numbers in [0, 1) for each person, the same for ever for the same ``salt``."""
    key = hashlib.sha256(salt.encode()).digest()
    digests = b"".join(
        hashlib.blake2b(cpf.encode(), digest_size=16, key=key).digest() for cpf in cpfs
    )
    numbers = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2) >> np.uint64(11)
    uniform = numbers.astype(np.float64) / 2.0**53
    return uniform[:, 0], uniform[:, 1]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of those called and of the control group, 30 days after their first mailing.

    ``predicted`` is the mean of what the model said that a conversation adds to P(pays) for those
    called; ``talked`` how many of them an operator spoke with.
    """

    called: int
    called_paid: int
    talked: int
    control: int
    control_paid: int
    predicted: float


@dataclass(frozen=True, kw_only=True)
class Effect:
    """``share``: how much of the effect that the model predicts a conversation has, with its 95 %
    interval.

    ``measured`` is False while it is only supposed; ``texto`` says why, for the analyst.
    """

    share: float
    low: float | None
    high: float | None
    measured: bool
    texto: str


def effect_of_a_call(trial: Trial, supposed: float) -> Effect:
    """The effect measured by the control group, or ``supposed`` while that says nothing sure.

    To be in the mailing or not was drawn, to be reached was not: the difference in payments is
    that of being called, and divided by the share who were spoken with (Wald's estimator) that of
    the conversation. It stands in units of what the model predicts, so as to scale each debtor's.
    """

    def fallback(why: str, low: float | None = None, high: float | None = None) -> Effect:
        part = f"supõe-se que a conversa tenha {_percent(supposed)} do efeito que o modelo prevê"
        return Effect(share=supposed, low=low, high=high, measured=False, texto=f"{part}: {why}")

    if trial.control < LEAST_CONTROL or trial.control_paid < LEAST_PAID:
        return fallback(
            f"o grupo de controle tem {trial.control} pessoas e {trial.control_paid} pagamentos "
            f"já vencidos os {DAYS_TO_PAY} dias; são precisos {LEAST_CONTROL} e {LEAST_PAID}"
        )
    if not trial.talked or trial.predicted <= 0:
        return fallback("ainda não se conversou com ninguém dos mailings já vencidos")
    called, control = trial.called_paid / trial.called, trial.control_paid / trial.control
    scale = trial.talked / trial.called * trial.predicted
    share = (called - control) / scale
    error = (
        math.sqrt(called * (1 - called) / trial.called + control * (1 - control) / trial.control)
        / scale
    )
    low, high = share - 1.96 * error, share + 1.96 * error
    if low <= 0:
        return fallback(
            f"o medido, {_percent(share)} (entre {_percent(low)} e {_percent(high)}), "
            "ainda não se distingue de nenhum efeito",
            low,
            high,
        )
    return Effect(
        share=share,
        low=low,
        high=high,
        measured=True,
        texto=f"a conversa tem {_percent(share)} do efeito que o modelo prevê "
        f"(entre {_percent(low)} e {_percent(high)}, com 95 % de confiança), medido em "
        f"{trial.called} pessoas chamadas e {trial.control} do grupo de controle",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
