"""The business tier: a file's rows against what the CRM knows of this convênio's portfolio.

The mirror ``crm.contract`` is asked batch by batch, by SQL in PostgreSQL; only sums come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa

from zanc_pipeline.common.database import connect, copy_table, unavailable
from zanc_pipeline.common.masking import mask
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.findings import Finding, percent, reais, thousands
from zanc_pipeline.reception.layout import Limits
from zanc_pipeline.reception.problems import RowProblem

MATTERS_FROM = 50
"""With fewer contracts known to the CRM, shares of them say nothing."""

_FOREIGN_SHARE = 0.5
_COLUMNS = ["line", "contract", "cpf", "amount", "due_date"]
_STAGE = """
    CREATE TEMP TABLE judged (
        line bigint, contract text, cpf text, amount numeric(14, 2), due_date date
    )
"""
_COMPARE = """
    SELECT count(own.contract) AS known,
           count(*) FILTER (WHERE own.status = 'open') AS still_open,
           count(*) FILTER (WHERE own.cpf <> j.cpf) AS other_cpf,
           count(*) FILTER (WHERE own.status = 'open' AND abs(j.amount - own.amount)
                            > %(changed_by)s * greatest(abs(own.amount), 1)) AS changed,
           count(*) FILTER (WHERE own.status = 'open' AND j.due_date <> own.due_date) AS moved,
           coalesce(sum(own.amount) FILTER (WHERE own.status = 'open'), 0) AS debt_before,
           coalesce(sum(j.amount) FILTER (WHERE own.status = 'open'), 0) AS debt_after
    FROM judged j
    LEFT JOIN crm.contract own ON own.convenio = %(convenio)s AND own.contract = j.contract
"""
_OTHER_CPF = """
    SELECT j.line, own.cpf
    FROM judged j
    JOIN crm.contract own ON own.convenio = %(convenio)s AND own.contract = j.contract
    WHERE own.cpf <> j.cpf
    ORDER BY j.line
"""
_FOREIGN = """
    SELECT c.convenio, count(*) AS rows
    FROM judged j JOIN crm.contract c ON c.cpf = j.cpf AND c.contract = j.contract
    WHERE c.convenio <> %(convenio)s
    GROUP BY c.convenio
"""


@dataclass(kw_only=True)
class Comparison:
    """A file's rows beside the CRM's contracts of its convênio, added up."""

    rows: int = 0
    known: int = 0
    still_open: int = 0
    changed: int = 0
    moved: int = 0
    other_cpf: int = 0
    open_before: int = 0
    debt_before: Decimal = Decimal(0)
    debt_after: Decimal = Decimal(0)
    foreign: Counter[str] = field(default_factory=Counter)


class CrmWitness:
    """Compares rows with the CRM's mirror over one connection; ``close`` it at the end.

    Where the mirror's tables do not exist yet, nothing is known and nothing is said.
    """

    def __init__(self, settings: Settings, convenio: str, *, any_cpf: bool) -> None:
        self._settings, self._any_cpf = settings, any_cpf
        self._values: dict[str, Any] = {"convenio": convenio}
        self._connection = connect(settings, "zanc", application="reception")
        self._connection.autocommit = True
        self._cursor = cast(Any, self._connection.cursor())
        with unavailable(settings, "zanc"):
            self._cursor.execute("SELECT to_regclass('crm.contract') IS NOT NULL AS known")
            self._has_mirror = bool(self._cursor.fetchone()["known"])
            if self._has_mirror:
                self._cursor.execute(_STAGE)
        self.seen = Comparison()

    def start(self, limits: Limits) -> None:
        """Begin a file, or begin it again."""
        self.seen = Comparison()
        self._values["changed_by"] = limits.changed_by
        if not self._has_mirror:
            return
        with unavailable(self._settings, "zanc"):
            self._cursor.execute(
                "SELECT count(*) AS n FROM crm.contract"
                " WHERE convenio = %(convenio)s AND status = 'open'",
                self._values,
            )
            self.seen.open_before = self._cursor.fetchone()["n"]

    def check(self, rows: pa.Table) -> dict[int, list[RowProblem]]:
        """Compare typed rows; the index of each whose contract has another CPF in the CRM."""
        seen = self.seen
        seen.rows += rows.num_rows
        if not self._has_mirror:
            return {}
        with unavailable(self._settings, "zanc"):
            self._cursor.execute("TRUNCATE judged")
            copy_table(self._cursor, "judged", rows.select(_COLUMNS))
            self._cursor.execute("ANALYZE judged")
            self._cursor.execute(_COMPARE, self._values)
            found = self._cursor.fetchone()
            for name, value in found.items():
                setattr(seen, name, getattr(seen, name) + value)
            if found["known"] < rows.num_rows * _FOREIGN_SHARE:
                self._cursor.execute(_FOREIGN, self._values)
                seen.foreign.update({row["convenio"]: row["rows"] for row in self._cursor})
            if self._any_cpf or not found["other_cpf"]:
                return {}
            self._cursor.execute(_OTHER_CPF, self._values)
            other = {row["line"]: row["cpf"] for row in self._cursor}
        places = {line: index for index, line in enumerate(rows["line"].to_pylist())}
        return {
            places[line]: [_other_cpf(line, rows["cpf"][places[line]].as_py(), cpf)]
            for line, cpf in other.items()
        }

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()


def _other_cpf(line: int, found: str, known: str) -> RowProblem:
    return RowProblem(
        line=line,
        field="cpf",
        found=mask(found),
        problem=f"o CRM tem este contrato com outro CPF ({mask(known)}): confirme com o credor de "
        "quem é a dívida",
    )


def judge(seen: Comparison, limits: Limits) -> Iterator[Finding]:
    """What in the whole file contradicts the CRM. Pure."""
    yield from _sender(seen)
    known, opened = seen.known, seen.still_open
    if known >= MATTERS_FROM and seen.other_cpf > limits.other_cpf_share * known:
        yield Finding(
            rule="cpf",
            found=f"{_of(seen.other_cpf, known)} contratos conhecidos vieram com outro CPF",
            expected=f"até {percent(limits.other_cpf_share)}",
            remedy="talvez as colunas ou as linhas estejam trocadas; confirme com o credor",
        )
    if seen.open_before >= MATTERS_FROM:
        gone = seen.open_before - opened
        if gone > limits.gone_share * seen.open_before:
            yield Finding(
                rule="carteira",
                found=f"{_of(gone, seen.open_before)} contratos abertos no CRM não estão no "
                "arquivo e sairiam da carteira",
                expected=f"até {percent(limits.gone_share)}",
                remedy="confirme com o credor se o arquivo veio inteiro e se é da carteira certa",
            )
        if seen.rows > limits.growth_factor * seen.open_before:
            yield Finding(
                rule="carteira",
                found=f"o arquivo traz {thousands(seen.rows)} contratos e o CRM tem "
                f"{thousands(seen.open_before)} abertos",
                expected=f"até {limits.growth_factor:g} vezes a carteira".replace(".", ","),
                remedy="confirme com o credor se a carteira cresceu tanto",
            )
    if opened < MATTERS_FROM:
        return
    if seen.changed > limits.changed_share * opened:
        yield Finding(
            rule="valores",
            found=f"o valor mudou mais de {percent(limits.changed_by)} em "
            f"{_of(seen.changed, opened)} contratos conhecidos",
            expected=f"até {percent(limits.changed_share)} dos contratos",
            remedy="talvez as casas decimais ou a coluna do valor tenham mudado; confirme com o "
            "credor",
        )
    before, after = seen.debt_before, seen.debt_after
    if before and abs(after / before - 1) > Decimal(str(limits.debt_change)):
        yield Finding(
            rule="divida",
            found=f"a dívida dos contratos conhecidos iria de R$ {reais(before)} a "
            f"R$ {reais(after)}",
            expected=f"mudança de até {percent(limits.debt_change)}",
            remedy="talvez as casas decimais ou a coluna do valor tenham mudado; confirme com o "
            "credor",
        )
    if seen.moved > limits.moved_share * opened:
        yield Finding(
            rule="vencimentos",
            found=f"o vencimento mudou em {_of(seen.moved, opened)} contratos conhecidos",
            expected=f"até {percent(limits.moved_share)}",
            remedy="talvez a ordem de dia e mês ou a coluna tenha mudado; confirme com o credor",
        )


def _sender(seen: Comparison) -> Iterator[Finding]:
    if seen.rows < MATTERS_FROM or not seen.foreign:
        return
    convenio, rows = seen.foreign.most_common(1)[0]
    if rows > _FOREIGN_SHARE * seen.rows and rows > seen.known:
        yield Finding(
            rule="remetente",
            found=f"{_of(rows, seen.rows)} linhas são contratos de '{convenio}', com o mesmo CPF",
            expected="contratos deste convênio",
            remedy="o arquivo parece ter vindo na pasta errada; confirme com o credor",
        )


def _of(part: int, whole: int) -> str:
    return f"{thousands(part)} de {thousands(whole)} ({percent(part / whole)})"
