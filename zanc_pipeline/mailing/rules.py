"""Who is left out and by which rule; the waterfall that adds up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zanc_pipeline.mailing.strategy import Strategy

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Step = dict[str, str | int]

ENTERED, KEPT = "entraram", "ficaram"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A reason to leave a person out: ``code`` is recorded, ``texto`` is what people read."""

    code: str
    texto: str


def rules(strategy: Strategy) -> dict[str, Rule]:
    """All rules by code, in the order in which they apply."""
    audience, never, capacity = strategy.publico, strategy.nunca_chamar, strategy.capacidade
    texts = {
        "valor_minimo": f"devem menos de R$ {_reais(audience.valor_minimo)}",
        "atraso": f"têm menos de {audience.atraso_minimo_dias} dias de atraso",
        "falecido": "pessoa falecida",
        "promessa": "têm promessa de pagamento em curso",
        "conversou": f"conversaram nos últimos {never.conversou_nos_ultimos_dias} dias",
        "outro_mailing": "já estão em outro mailing do dia",
        "sem_telefone": "não têm telefone que se possa discar",
        "sem_nota": "chegaram depois do cálculo das notas",
        "sem_lucro": "a ligação custaria mais do que deve render",
        "capacidade": f"passaram da capacidade de {capacity.pessoas} pessoas",
    }
    return {code: Rule(code=code, texto=texto) for code, texto in texts.items()}


def first_reason(people: int, reasons: Sequence[tuple[str, Bools]]) -> np.ndarray[Any, Any]:
    """For each person the first rule that removes them, or None; rules in order."""
    removed_by = np.full(people, None, dtype=object)
    for code, removes in reasons:
        removed_by[removes & (removed_by == None)] = code  # noqa: E711 (elementwise)
    return removed_by


def waterfall(strategy: Strategy, removed_by: np.ndarray[Any, Any]) -> list[Step]:
    """``[{"step", "texto", "people"}…]``: who entered, how many each rule removed, who stayed."""
    entered = len(removed_by)
    kept = int(np.sum(removed_by == None))  # noqa: E711 (elementwise)
    steps: list[Step] = [
        {"step": ENTERED, "texto": "pessoas com contrato em aberto", "people": entered}
    ]
    steps += [
        {"step": rule.code, "texto": rule.texto, "people": int(np.sum(removed_by == rule.code))}
        for rule in rules(strategy).values()
    ]
    steps.append({"step": KEPT, "texto": "pessoas no mailing", "people": kept})
    removed = sum(int(step["people"]) for step in steps[1:-1])
    assert entered - removed == kept, "a rule is not in the waterfall"
    return steps


def _reais(amount: object) -> str:
    return f"{amount:.2f}".replace(".", ",")
