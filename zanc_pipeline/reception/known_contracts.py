"""Payments and phones against the CRM: each row speaks of a contract that the CRM knows, or not.

Asked of the mirror ``crm.contract`` batch by batch, by SQL in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from zanc_pipeline.common.database import copy_table
from zanc_pipeline.common.masking import mask, mask_text
from zanc_pipeline.reception.findings import Finding, thousands
from zanc_pipeline.reception.problems import RowProblem

_RECENT_DAYS = 20
"""A day turned into a month is a month away or more; payments are told sooner, at least some."""
_MONTHS = 12

STAGE = "CREATE TEMP TABLE asked (line bigint, contract text, cpf text)"

_BY_CONTRACT = """
    SELECT a.line, own.cpf AS known, c.convenio AS other
    FROM asked a
    LEFT JOIN crm.contract own ON own.convenio = %(convenio)s AND own.contract = a.contract
    LEFT JOIN LATERAL (
        SELECT c.convenio FROM crm.contract c
        WHERE own.contract IS NULL AND c.cpf = a.cpf AND c.contract = a.contract
        ORDER BY c.convenio LIMIT 1
    ) c ON true
    ORDER BY a.line
"""
_BY_CPF = """
    SELECT a.line, CASE WHEN EXISTS (SELECT FROM crm.contract own
                        WHERE own.cpf = a.cpf AND own.convenio = %(convenio)s)
                   THEN a.cpf END AS known, NULL AS other
    FROM asked a ORDER BY a.line
"""


def check_known(
    cursor: Any, convenio: str, rows: pa.Table, *, any_cpf: bool
) -> tuple[dict[int, list[RowProblem]], list[str | None]]:
    """What the CRM has against typed rows, by their index, and the CPF of each row there.

    ``rows`` have ``line`` and ``cpf``, and ``contract`` unless their layout has none. With
    ``any_cpf`` a person accepted that contracts come with another CPF.
    """
    by_contract = "contract" in rows.column_names
    cursor.execute("TRUNCATE asked")
    copy_table(cursor, "asked", rows.select(["line", "cpf", *["contract"] * by_contract]))
    cursor.execute("ANALYZE asked")
    cursor.execute(_BY_CONTRACT if by_contract else _BY_CPF, {"convenio": convenio})
    answers = {row["line"]: row for row in cursor}
    lines, cpfs = rows["line"].to_pylist(), rows["cpf"].to_pylist()
    contracts = rows["contract"].to_pylist() if by_contract else [None] * len(lines)
    problems = {}
    for index, line in enumerate(lines):
        problem = _problem(line, contracts[index], cpfs[index], answers[line], any_cpf)
        if problem is not None:
            problems[index] = [problem]
    return problems, [answers[line]["known"] for line in lines]


def judge_days(paid: Mapping[date, int], day: date) -> Iterator[Finding]:
    """What speaks against the dates of payments (date → how many) in a file of ``day``. Pure."""
    late = sum(count for when, count in paid.items() if when > day)
    if late:
        yield Finding(
            rule="pagamentos",
            found=f"{thousands(late)} de {thousands(sum(paid.values()))} pagamentos têm data "
            f"depois de {day:%d/%m/%Y}, o dia do arquivo",
            expected="pagamentos já feitos",
            remedy="talvez dia e mês estejam trocados, ou a coluna seja outra; confirme com o "
            "credor",
        )
    as_read = sum(count for when, count in paid.items() if _is_recent(when, day))
    turned = sum(
        count
        for when, count in paid.items()
        if when.day <= _MONTHS and _is_recent(when.replace(day=when.month, month=when.day), day)
    )
    if turned > as_read and not late:
        yield Finding(
            rule="pagamentos",
            found=f"só {thousands(as_read)} de {thousands(sum(paid.values()))} pagamentos são dos "
            f"{_RECENT_DAYS} dias antes do arquivo; com dia e mês trocados seriam "
            f"{thousands(turned)}",
            expected="pagamentos recentes",
            remedy="talvez dia e mês estejam trocados; confirme com o credor",
        )


def _is_recent(when: date, day: date) -> bool:
    return 0 <= (day - when).days <= _RECENT_DAYS


def _problem(
    line: int, contract: str | None, cpf: str | None, answer: Mapping[str, Any], any_cpf: bool
) -> RowProblem | None:
    if answer["known"] is None:
        if contract is None:
            return RowProblem(
                line=line,
                field="cpf",
                found=mask(cpf or ""),
                problem="o CRM não tem contrato deste CPF neste convênio: confirme com o credor, "
                "ou espere a carteira que o traz e mande reprocessar",
            )
        if answer["other"] is not None:
            return of_other(line, contract, answer["other"])
        return RowProblem(
            line=line,
            field="contrato",
            found=mask_text(contract),
            problem="o CRM não tem este contrato neste convênio: confirme com o credor, ou espere "
            "a carteira que o traz e mande reprocessar",
        )
    if cpf is None or cpf == answer["known"] or any_cpf:
        return None
    return other_cpf(line, cpf, answer["known"])


def other_cpf(line: int, found: str, known: str) -> RowProblem:
    """The row's contract is another person's in the CRM."""
    return RowProblem(
        line=line,
        field="cpf",
        found=mask(found),
        problem=f"o CRM tem este contrato com outro CPF ({mask(known)}): confirme com o credor de "
        "quem é a dívida",
    )


def of_other(line: int, contract: str, convenio: str) -> RowProblem:
    """The row's contract, with its CPF, is another convênio's in the CRM."""
    return RowProblem(
        line=line,
        field="contrato",
        found=mask_text(contract),
        problem=f"o CRM tem este contrato, com o mesmo CPF, como do convênio '{convenio}': "
        "confirme com o credor de quem é a dívida",
    )
