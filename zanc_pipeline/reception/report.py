"""The delivery's report: one page, in Portuguese, without personal data, as text and as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.ledger import Delivery
from zanc_pipeline.reception.problems import RowProblem
from zanc_pipeline.reception.process import Processed

_STATUS = {
    "accepted": "ACEITO",
    "quarantined": "EM QUARENTENA",
    "duplicate": "REPETIDO",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything a report says, already masked."""

    title: str
    status: str
    verdict: str
    reason: str | None
    lines: list[tuple[str, str]]
    warnings: list[tuple[str, int]]
    kinds: list[tuple[str, str, int]]
    examples: list[RowProblem]
    more: int
    actions: list[str]


def facts(
    settings: Settings, delivery: Delivery, result: Processed, *, rejected_file: str
) -> Facts:
    """Gather what is to be said of a delivery and of what became of it."""
    verdict = result.verdict
    convenio = settings.convenios.get(delivery.convenio, {}).get("nome", delivery.convenio)
    validation = result.validation
    amount = None
    if validation is not None and verdict.status == "accepted":
        amount = validation.totals.get("valor")
    lines = [
        ("Convênio", str(convenio)),
        ("Arquivo", delivery.file_name),
        ("Entrega", str(delivery.id) if delivery.id else "nenhuma (só conferência)"),
        (
            "Recebido em" if delivery.id else "Conferido em",
            f"{delivery.received_at.astimezone(LOCAL):%d/%m/%Y %H:%M:%S}",
        ),
        ("Tamanho", f"{_thousands(delivery.size_bytes)} bytes"),
        ("SHA-256", delivery.sha256),
    ]
    if verdict.reference_date:
        lines.append(("Data de referência", f"{verdict.reference_date:%d/%m/%Y}"))
    if verdict.layout_version:
        lines.append(("Versão do layout", verdict.layout_version))
    if verdict.rows_total is not None:
        lines += [
            ("Linhas no arquivo", _thousands(verdict.rows_total)),
            ("Linhas aceitas", _thousands(verdict.rows_accepted or 0)),
            ("Linhas rejeitadas", _thousands(verdict.rows_rejected or 0)),
        ]
    if amount is not None:
        lines.append(("Valor aceito", f"R$ {_reais(amount)}"))
    return Facts(
        title=f"{convenio} · {delivery.file_name}",
        status=verdict.status,
        verdict=_STATUS[verdict.status],
        reason=verdict.reason,
        lines=lines,
        warnings=sorted(validation.warnings.items()) if validation is not None else [],
        kinds=[
            (field, kind, count)
            for (field, kind), count in (validation.kinds.most_common(15) if validation else ())
        ],
        examples=validation.examples if validation else [],
        more=validation.problems - len(validation.examples) if validation else 0,
        actions=_actions(delivery, result, rejected_file),
    )


def text(facts: Facts) -> str:
    """The page as plain text."""
    return str(_templates().get_template("relatorio.txt.j2").render(facts=facts))


def html(facts: Facts) -> str:
    """The page as HTML that needs nothing else; every value is escaped."""
    return str(_templates().get_template("relatorio.html.j2").render(facts=facts))


def _actions(delivery: Delivery, result: Processed, rejected_file: str) -> list[str]:
    verdict = result.verdict
    if not delivery.id:
        return _trial_actions(result)
    if verdict.status == "duplicate":
        return ["Nada foi carregado: este conteúdo já tinha vindo."]
    if verdict.status == "quarantined":
        return [
            "Nada deste arquivo foi carregado; os outros convênios seguem normalmente.",
            "Resolva o motivo acima (com o credor, ou no layout do convênio).",
            f"Depois de acertar o layout, reprocesse: zanc reception replay {delivery.id}",
        ]
    if result.rejected:
        return [
            "As linhas aceitas seguem para o CRM.",
            f"As rejeitadas estão em {rejected_file}: corrija-as ou peça a correção ao credor.",
        ]
    return ["Nada a fazer: todas as linhas seguem para o CRM."]


def _trial_actions(result: Processed) -> list[str]:
    if result.verdict.status == "quarantined":
        return ["Foi só uma conferência. Recebido assim, o arquivo inteiro ficaria retido."]
    if result.rejected:
        return ["Foi só uma conferência. Recebido assim, as linhas rejeitadas ficariam de fora."]
    return ["Foi só uma conferência. Recebido assim, todas as linhas seguiriam para o CRM."]


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", ".")


def _reais(amount: Any) -> str:
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


@cache
def _templates() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    folder = resources.files("zanc_pipeline.reception").joinpath("templates")
    return Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
