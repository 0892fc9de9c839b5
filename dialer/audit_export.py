"""The audit of a campaign's attempts as a spreadsheet: for each, why it was allowed. In Portuguese.

A column for every rule that was asked right before dialling, with the figures of that moment.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from zanc_pipeline.common.days import LOCAL
from zanc_pipeline.common.errors import DataError

RULES = (
    "numero", "descadastro", "nao_ligar", "horario_campanha", "horario_estado", "feriado",
    "limites", "chamadas_curtas", "volume_dia", "volume_mes", "identificador", "toque_maximo",
    "melhor_hora",
)  # fmt: skip
"""The rules of ``permission.Check``, in the order in which the file shows them."""

_FIELDS = {
    "tentativa": "id",
    "campanha": "campaign_name",
    "execucao": "campaign_id",
    "telefone": "phone",
    "cpf": "cpf",
    "convenio": "convenio",
    "contrato": "contract",
    "central": "pbx",
    "tronco": "trunk",
    "operador": "operator",
    "saiu_para_a_rede": "placed",
    "resultado": "outcome",
    "tabulacao": "tabulation",
    "gravacao": "recording",
}
HEADER = ("discado_em", *_FIELDS, "segundos_de_conversa", "regras_conferidas_em", *RULES)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def row_of(attempt: Mapping[str, Any]) -> dict[str, str]:
    """A row of the file from an attempt with its evidence, as the dialer's API gives it."""
    evidence = attempt.get("evidence") or {}
    checks: Mapping[str, str] = evidence.get("checks") or {}
    row = {
        "discado_em": _local(attempt.get("created_at")),
        **{name: _text(attempt.get(field)) for name, field in _FIELDS.items()},
        "segundos_de_conversa": _talk(attempt),
        "regras_conferidas_em": _local(evidence.get("at")),
        **{rule: checks.get(rule, "") for rule in RULES},
    }
    return {name: safe_cell(value) for name, value in row.items()}


def safe_cell(value: str) -> str:
    """A text that no spreadsheet takes for a formula, in one line."""
    line = " ".join(value.split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def write(path: Path, attempts: Iterable[Mapping[str, Any]]) -> int:
    """Write the file, readable by its owner only; how many attempts are in it.

    It is there whole or not at all. Raises DataError when the folder can't be written to.
    """
    part = path.with_name(f".{path.name}.part")
    count = 0
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as handle:
            rows = csv.DictWriter(handle, HEADER, delimiter=";")
            rows.writeheader()
            for attempt in attempts:
                rows.writerow(row_of(attempt))
                count += 1
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return count


def _local(value: object) -> str:
    if not value:
        return ""
    return datetime.fromisoformat(str(value)).astimezone(LOCAL).strftime("%d/%m/%Y %H:%M:%S")


def _talk(attempt: Mapping[str, Any]) -> str:
    began, ended = attempt.get("connected_at"), attempt.get("ended_at")
    if not began or not ended:
        return ""
    span = datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(began))
    return f"{span.total_seconds():.1f}".replace(".", ",")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "sim" if value else "não"
    return "" if value is None else str(value)
