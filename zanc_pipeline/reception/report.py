"""The delivery's report: one page, in Portuguese, without personal data, as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.findings import RULES, Finding, reais, thousands
from zanc_pipeline.reception.layout import is_partial
from zanc_pipeline.reception.ledger import Decision, Delivery
from zanc_pipeline.reception.problems import RowProblem
from zanc_pipeline.reception.process import Processed
from zanc_pipeline.reception.treatments import describe
from zanc_pipeline.reception.validate import Validation

KINDS = 15
"""Kinds of problem that a report lists."""

_STATUS = {
    "accepted": "ACEITO",
    "held": "À ESPERA",
    "joined": "JUNTADO",
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
    notes: list[tuple[str, int]]
    kinds: list[tuple[str, str, int]]
    more_kinds: str
    """How many kinds of problem are not listed; empty when all are."""
    examples: list[RowProblem]
    shown: str
    """How many of the problems the examples are, and where all are; empty when they are all."""
    actions: list[str]
    findings: list[Finding]
    adapted: list[str]
    treatment: list[str]
    decisions: list[str]


def facts(
    settings: Settings,
    delivery: Delivery,
    result: Processed,
    *,
    rejected_file: str,
    decisions: Sequence[Decision] = (),
) -> Facts:
    """Gather what is to be said of a delivery and of what became of it."""
    verdict = result.verdict
    convenio = settings.convenios.get(delivery.convenio, {}).get("nome", delivery.convenio)
    validation = result.validation
    amount = None
    if validation is not None and verdict.status == "accepted":
        amount = validation.totals.get("valor", validation.totals.get("valor_pago"))
    lines = [
        ("Convênio", str(convenio)),
        ("Arquivo", delivery.file_name),
        ("Entrega", str(delivery.id) if delivery.id else "nenhuma (só conferência)"),
        (
            "Recebido em" if delivery.id else "Conferido em",
            f"{delivery.received_at.astimezone(LOCAL):%d/%m/%Y %H:%M:%S}",
        ),
        ("Tamanho", f"{thousands(delivery.size_bytes)} bytes"),
        ("SHA-256", delivery.sha256),
    ]
    if delivery.corrects is not None:
        lines.insert(3, ("Corrige a entrega", str(delivery.corrects)))
    if verdict.reference_date:
        lines.append(("Data de referência", f"{verdict.reference_date:%d/%m/%Y}"))
    if verdict.layout_version:
        lines.append(("Versão do layout", verdict.layout_version))
    if verdict.rows_total is not None:
        lines += [
            ("Linhas no arquivo", thousands(verdict.rows_total)),
            ("Linhas aceitas", thousands(verdict.rows_accepted or 0)),
            ("Linhas rejeitadas", thousands(verdict.rows_rejected or 0)),
        ]
    if verdict.rows_removed:
        lines.append(("Linhas retiradas", f"{thousands(verdict.rows_removed)} (pelo tratamento)"))
    if amount is not None:
        lines.append(("Valor aceito", f"R$ {reais(amount)}"))
    return Facts(
        title=f"{convenio} · {delivery.file_name}",
        status=verdict.status,
        verdict=_STATUS[verdict.status],
        reason=verdict.reason,
        lines=lines,
        warnings=sorted(validation.warnings.items()) if validation is not None else [],
        notes=sorted((+validation.notes).items()) if validation is not None else [],
        kinds=[
            (field, kind, count)
            for (field, kind), count in (validation.kinds.most_common(KINDS) if validation else ())
        ],
        more_kinds=more_kinds(validation) if validation else "",
        examples=validation.examples if validation else [],
        shown=shown(validation, rejected_file if delivery.id else "") if validation else "",
        actions=[*_actions(delivery, result, rejected_file), *_emptied(result)],
        findings=list(result.findings) if verdict.status == "quarantined" else [],
        adapted=list(result.adapted),
        treatment=list(describe(result.differences)) if result.differences is not None else [],
        decisions=[
            f"{RULES.get(one.rule, one.rule)}: aceito por {one.decided_by} em "
            f"{one.decided_at.astimezone(LOCAL):%d/%m/%Y %H:%M}, porque {one.reason}"
            for one in decisions
        ],
    )


def more_kinds(seen: Validation) -> str:
    """The kinds of problem beyond those that a report lists, counted; empty without any."""
    left = seen.kinds.most_common()[KINDS:]
    if not left:
        return ""
    times = thousands(sum(count for _, count in left))
    return f"Mostrando {KINDS} de {thousands(len(seen.kinds))} tipos; os outros, {times} vezes."


def shown(seen: Validation, rejected_file: str) -> str:
    """How many problems the examples stand for, and where the rows are; empty for all of them."""
    if seen.problems <= len(seen.examples):
        return ""
    said = f"Mostrando {len(seen.examples)} de {thousands(seen.problems)} problemas"
    if not rejected_file:
        return f"{said}."
    return f"{said}; linhas rejeitadas em {rejected_file}: {thousands(seen.rows_rejected)}."


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
    if verdict.status == "joined":
        return ["As linhas seguem com a carteira do conjunto; as rejeitadas ficam de fora."]
    if verdict.status in {"quarantined", "held"}:
        return [
            "Nada deste arquivo foi carregado; os outros convênios seguem normalmente.",
            *_remedies(delivery, result, rejected_file),
        ]
    if verdict.rows_rejected:
        return [
            "As linhas aceitas seguem para o CRM.",
            *_correction(delivery, result, rejected_file),
        ]
    return ["Todas as linhas seguem para o CRM."]


def _emptied(result: Processed) -> list[str]:
    """A field that is wrong in most rows: the layout is to blame more likely than the creditor."""
    seen = result.validation
    if seen is None or result.verdict.status != "accepted":
        return []
    return [
        f"Confira '{name}' no layout: o que veio nele não é válido e ficou vazio em "
        f"{thousands(count)} de {thousands(seen.rows_total)} linhas."
        for name, count in sorted(seen.warnings.items())
        if 2 * count > seen.rows_total
    ]


def _remedies(delivery: Delivery, result: Processed, rejected_file: str) -> list[str]:
    number, rules = delivery.id, result.verdict.rules
    if result.verdict.status == "held":
        return [
            "Ele segue sozinho assim que chegar o que falta: se não vier, peça-o ao credor.",
            f"Para seguir sem ele: zanc reception release {number} --by NOME --reason MOTIVO",
        ]
    lines = ["Confirme com o credor o motivo acima, ou acerte o layout ou o tratamento."]
    if rules:
        options = " ".join(f"--rule {rule}" for rule in rules)
        lines.append(
            "Se está certo assim, aceite: zanc reception accept "
            f"{number} {options} --by NOME --reason MOTIVO"
        )
    lines.append(f"Depois de acertar layout ou tratamento: zanc reception replay {number}")
    if result.verdict.rows_rejected and delivery.corrects is None:
        lines += _correction(delivery, result, rejected_file)
    return lines


def _correction(delivery: Delivery, result: Processed, rejected_file: str) -> list[str]:
    layout = result.layout
    if layout is not None and layout.content == "carteira" and is_partial(layout):
        return [
            f"As rejeitadas estão em {rejected_file}: peça a correção ao credor, que manda o "
            "conjunto de novo."
        ]
    return [
        f"As rejeitadas estão em {rejected_file}: corrija-as na planilha, sem mudar a coluna "
        f"'linha', e devolva-as: zanc reception resubmit {delivery.id} {rejected_file}",
    ]


def _trial_actions(result: Processed) -> list[str]:
    if result.verdict.status != "accepted":
        return ["Foi só uma conferência. Recebido assim, o arquivo inteiro ficaria retido."]
    if result.rejected:
        return ["Foi só uma conferência. Recebido assim, as linhas rejeitadas ficariam de fora."]
    return ["Foi só uma conferência. Recebido assim, todas as linhas seguiriam para o CRM."]


@cache
def _templates() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    folder = resources.files("zanc_pipeline.reception").joinpath("templates")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["milhares"] = thousands
    return environment
