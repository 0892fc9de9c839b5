"""The business tier: a file's rows against what the CRM knows of this convênio's portfolio.

The mirror ``crm.contract`` is asked batch by batch, by SQL in PostgreSQL; only sums come back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.database import connect, copy_table, unavailable
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception.accepted import ACCEPTED_SCHEMA, EXTRA
from zanc_pipeline.reception.findings import Finding, percent, reais, thousands
from zanc_pipeline.reception.known_contracts import STAGE, check_known, of_other, other_cpf
from zanc_pipeline.reception.layout import AnyLayout, Limits
from zanc_pipeline.reception.problems import FileRejected, RowProblem

MATTERS_FROM = 50
"""With fewer contracts known to the CRM, shares of them say nothing."""

PAID_ON = EXTRA + "pago_em"
_FOREIGN_SHARE = 0.5
_COLUMNS = ["line", "contract", "cpf", "amount", "due_date"]
_JUDGED = pa.schema([ACCEPTED_SCHEMA.field(name) for name in _COLUMNS])
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
    SELECT j.line, c.convenio, c.status = 'open' AS is_open
    FROM judged j JOIN crm.contract c ON c.cpf = j.cpf AND c.contract = j.contract
    WHERE c.convenio <> %(convenio)s AND NOT EXISTS (
        SELECT FROM crm.contract own
        WHERE own.convenio = %(convenio)s AND own.contract = j.contract)
    ORDER BY j.line, is_open DESC, c.convenio
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
    """Another convênio → how many of its contracts, with their CPF, are among the rows."""
    refused: set[str] = field(default_factory=set)
    """Rules by which rows were rejected one by one."""
    paid: Counter[date] = field(default_factory=Counter)
    """Of payments: day → how many."""
    passed: int = 0
    """Rows of another convênio's open contracts that were not rejected, for most were so."""


class CrmWitness:
    """Compares rows with the CRM's mirror over one connection; ``close`` it at the end.

    Where the mirror's tables do not exist yet, nothing is known and nothing is said.
    """

    def __init__(self, settings: Settings, convenio: str, *, decided: frozenset[str]) -> None:
        self._settings, self._decided = settings, decided
        self._content = "carteira"
        self._cpfs: list[str | None] = []
        self._values: dict[str, Any] = {"convenio": convenio}
        self._connection = connect(settings, "zanc", application="reception")
        self._connection.autocommit = True
        self._cursor = cast(Any, self._connection.cursor())
        with unavailable(settings, "zanc"):
            self._cursor.execute("SELECT to_regclass('crm.contract') IS NOT NULL AS known")
            self._has_mirror = bool(self._cursor.fetchone()["known"])
            if self._has_mirror:
                self._cursor.execute(_STAGE)
                self._cursor.execute(STAGE)
        self.seen = Comparison()

    def start(self, layout: AnyLayout) -> None:
        """Begin a file, or begin it again."""
        self.seen, self._content = Comparison(), layout.content
        self._values["changed_by"] = layout.limits.changed_by
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
        """Compare typed rows; what the CRM has against each of them, by their index.

        Of a portfolio: a contract with another CPF, another convênio's contract. Of payments and
        phones: a contract that it does not know.
        """
        self.seen.rows += rows.num_rows
        if self._content != "carteira":
            return self._check_known(rows)
        if not self._has_mirror:
            return {}
        with unavailable(self._settings, "zanc"):
            return self._compare(rows)

    def completed(self, rows: pa.Table) -> pa.Table:
        """Payments and phones that ``check`` let pass last, with the CPFs that the CRM has."""
        if self._content == "carteira" or not rows.num_rows:
            return rows
        place = rows.schema.get_field_index("cpf")
        known = pa.array(self._cpfs, pa.string())
        said = rows["cpf"].cast(pa.string())
        return rows.set_column(place, "cpf", pc.coalesce(said, known))

    def _check_known(self, rows: pa.Table) -> dict[int, list[RowProblem]]:
        if not self._has_mirror:
            raise FileRejected(
                "o CRM ainda não tem nenhuma carteira: carregue a deste convênio e mande "
                "reprocessar"
            )
        with unavailable(self._settings, "zanc"):
            problems, cpfs = check_known(
                self._cursor,
                self._values["convenio"],
                rows,
                any_cpf="cpf" in self._decided,
            )
        self._cpfs = [cpf for index, cpf in enumerate(cpfs) if index not in problems]
        if PAID_ON in rows.column_names:
            self.seen.paid.update(rows[PAID_ON].to_pylist())
        return problems

    def _compare(self, rows: pa.Table) -> dict[int, list[RowProblem]]:
        seen, cursor = self.seen, self._cursor
        cursor.execute("TRUNCATE judged")
        copy_table(cursor, "judged", rows.select(_COLUMNS).cast(_JUDGED))
        cursor.execute("ANALYZE judged")
        cursor.execute(_COMPARE, self._values)
        found = cursor.fetchone()
        for name, value in found.items():
            setattr(seen, name, getattr(seen, name) + value)
        problems: dict[int, RowProblem] = {}
        if found["known"] < rows.num_rows:
            problems |= self._foreign(rows)
        if found["other_cpf"] and "cpf" not in self._decided:
            cursor.execute(_OTHER_CPF, self._values)
            places = _places(rows)
            for row in cursor:
                index = places[row["line"]]
                problems[index] = other_cpf(row["line"], rows["cpf"][index].as_py(), row["cpf"])
            seen.refused.add("cpf")
        return {index: [problem] for index, problem in problems.items()}

    def _foreign(self, rows: pa.Table) -> dict[int, RowProblem]:
        """Rows that are another convênio's open contracts, each alone.

        Not while they are most of the file: it is in the wrong folder then, and is held whole.
        """
        seen = self.seen
        self._cursor.execute(_FOREIGN, self._values)
        owners: dict[int, str] = {}
        for row in self._cursor:
            seen.foreign[row["convenio"]] += 1
            if row["is_open"]:
                owners.setdefault(row["line"], row["convenio"])
        if not owners or "remetente" in self._decided:
            return {}
        if seen.rows >= MATTERS_FROM and seen.foreign.total() > _FOREIGN_SHARE * seen.rows:
            seen.passed += len(owners)
            return {}
        seen.refused.add("remetente")
        places = _places(rows)
        return {
            places[line]: of_other(line, rows["contract"][places[line]].as_py(), convenio)
            for line, convenio in owners.items()
        }

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()


def _places(rows: pa.Table) -> dict[int, int]:
    return {line: index for index, line in enumerate(rows["line"].to_pylist())}


def judge(seen: Comparison, limits: Limits) -> Iterator[Finding]:
    """What in the whole file contradicts the CRM. Pure."""
    yield from _sender(seen)
    known, opened = seen.known, seen.still_open
    if known >= MATTERS_FROM and seen.other_cpf > max(1, limits.other_cpf_share * known):
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
    if not seen.foreign:
        return
    convenio, rows = seen.foreign.most_common(1)[0]
    most = rows > _FOREIGN_SHARE * seen.rows and rows > seen.known
    if (seen.rows >= MATTERS_FROM and most) or seen.passed:
        yield Finding(
            rule="remetente",
            found=f"{_of(rows, seen.rows)} linhas são contratos de '{convenio}', com o mesmo CPF",
            expected="contratos deste convênio",
            remedy="o arquivo parece ter vindo na pasta errada; confirme com o credor",
        )


def _of(part: int, whole: int) -> str:
    return f"{thousands(part)} de {thousands(whole)} ({percent(part / whole)})"
