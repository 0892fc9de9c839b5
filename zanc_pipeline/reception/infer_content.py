"""Whether a drafted layout is of payments or of phones, by the names of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from zanc_pipeline.reception.layout import REQUIRED
from zanc_pipeline.reception.layout_fields import PAYMENT

_NAMED = re.compile(r"\{nome: \"?(\w+)")


def names_in(body: Sequence[str]) -> set[str]:
    """The names of the fields that a draft's lines hold."""
    return set(_NAMED.findall("\n".join(body)))


def content_of(names: Iterable[str]) -> str:
    """``carteira`` unless the fields of one are missing, and those of another file are there."""
    there = set(names)
    if {"valor", "vencimento"} <= there:
        return "carteira"
    if {"contrato", *PAYMENT} <= there:
        return "pagamentos"
    phones = there & {"telefone_1", "telefones"}
    debt = there & {"valor", "vencimento", *PAYMENT}
    return "telefones" if phones and there & {"cpf", "contrato"} and not debt else "carteira"


def required(body: Sequence[str], content: str) -> list[str]:
    """The lines of a draft with ``obrigatorio: sim`` where this content needs it."""
    names = {"contrato", *PAYMENT} if content == "pagamentos" else {"contrato", "telefone_1"}
    if content == "telefones" and "telefone_1" not in names_in(body):
        names |= {"telefones"}
    lines = []
    for line in body:
        found = _NAMED.search(line)
        needs = found is not None and found[1] in names and line.endswith("}")
        lines.append(f"{line[:-1]}, obrigatorio: sim}}" if needs else line)
    return lines


def missing(body: Sequence[str]) -> list[str]:
    """Comments that name what a portfolio still lacks."""
    absent = [name for name in REQUIRED if name not in names_in(body)]
    if not absent:
        return []
    return [
        f"# FALTA dizer qual campo é: {', '.join(absent)}",
        "# (troque o 'nome' do campo certo por um destes)",
    ]
