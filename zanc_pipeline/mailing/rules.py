"""Who is left out and by which rule; the waterfall that adds up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zanc_pipeline.mailing.strategy import Capacity, Strategy

Bools = np.ndarray[Any, np.dtype[np.bool_]]
Step = dict[str, str | int]

ENTERED, KEPT = "entraram", "ficaram"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A reason to leave a person out: ``code`` is recorded, ``texto`` is what people read."""

    code: str
    texto: str


def rules(strategy: Strategy) -> dict[str, Rule]:
    """The rules that the strategy uses, by code, in the order in which they apply."""
    audience, never, chance = strategy.publico, strategy.nunca_chamar, strategy.exploracao
    texts: dict[str, object] = {
        "produto": audience.produtos and "não têm contrato dos produtos da campanha",
        "regiao": (audience.estados or audience.cidades) and "moram fora da região da campanha",
        "valor_minimo": f"devem menos de R$ {_reais(audience.valor_minimo)}",
        "valor_maximo": audience.valor_maximo
        and f"devem mais de R$ {_reais(audience.valor_maximo)}",
        "atraso": f"têm menos de {audience.atraso_minimo_dias} dias de atraso",
        "atraso_maximo": audience.atraso_maximo_dias is not None
        and f"têm mais de {audience.atraso_maximo_dias} dias de atraso",
        "falecido": "faleceram",
        "pediu": "pediram para não receber mais ligações",
        "nao_ligar": "estão em uma lista de não ligar",
        "promessa": "têm promessa de pagamento em curso",
        "disse_que_pagou": never.disse_que_pagou_nos_ultimos_dias
        and f"disseram que pagaram nos últimos {never.disse_que_pagou_nos_ultimos_dias} dias",
        "conversou": f"conversaram nos últimos {never.conversou_nos_ultimos_dias} dias",
        "outro_mailing": "já estão em outro mailing do dia",
        "sem_telefone": "não têm telefone que se possa discar",
        "ddd": audience.ddds and "não têm telefone nos DDDs da campanha",
        "sem_nota": "chegaram depois do cálculo das notas",
        "sem_lucro": "a ligação custaria mais do que deve render",
        "controle": chance.nunca_ligar
        and "ficam no grupo de controle: nunca ligar, para medir o efeito da ligação",
        "capacidade": f"passaram da capacidade de {capacity_text(strategy.capacidade)}",
    }
    return {code: Rule(code=code, texto=str(texto)) for code, texto in texts.items() if texto}


def capacity_text(capacity: Capacity) -> str:
    """How much a mailing holds, as the analyst reads it."""
    parts = []
    if capacity.pessoas is not None:
        parts.append(f"{capacity.pessoas:,} pessoas".replace(",", "."))
    if capacity.operadores is not None:
        parts.append(f"{capacity.operadores} operadores")
    if capacity.linhas is not None:
        parts.append(f"{capacity.linhas} linhas")
    hours = f" por {capacity.horas:g} horas".replace(".", ",") if capacity.horas else ""
    return " e ".join(parts) + hours


def removals(
    people: int, reasons: Sequence[tuple[str, Bools]]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each person the first rule that removes them, or None; and all that would, or None.

    All of them are one text, the codes in the order of the rules with commas between.
    """
    removed_by = np.full(people, None, dtype=object)
    bits = np.zeros(people, dtype=np.int64)
    for position, (code, removes) in enumerate(reasons):
        removed_by[removes & (bits == 0)] = code
        bits |= removes.astype(np.int64) << position
    kinds, which = np.unique(bits, return_inverse=True)
    said = [
        ",".join(code for place, (code, _) in enumerate(reasons) if kind >> place & 1) or None
        for kind in kinds.tolist()
    ]
    return removed_by, np.array(said, dtype=object)[which]


def waterfall(strategy: Strategy, removed_by: np.ndarray[Any, Any]) -> list[Step]:
    """``[{"step", "texto", "people"}…]``: who entered, how many each rule removed, who stayed."""
    import pandas as pd

    counts = pd.Series(removed_by, dtype=object).value_counts()
    entered, kept = len(removed_by), len(removed_by) - int(counts.sum())
    steps: list[Step] = [
        {"step": ENTERED, "texto": "pessoas com contrato em aberto", "people": entered}
    ]
    steps += [
        {"step": rule.code, "texto": rule.texto, "people": int(counts.get(rule.code, 0))}
        for rule in rules(strategy).values()
    ]
    steps.append({"step": KEPT, "texto": "pessoas no mailing", "people": kept})
    removed = sum(int(step["people"]) for step in steps[1:-1])
    assert entered - removed == kept, "a rule is not in the waterfall"
    return steps


def _reais(amount: object) -> str:
    return f"{amount:.2f}".replace(".", ",")
