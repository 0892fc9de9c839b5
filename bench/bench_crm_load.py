"""A delivery into each CRM on PostgreSQL, beside the same rows by COPY and hand-written merges.

Both start from the same Parquet file and end with the same rows in the same tables; the limit is
what a person would write in SQL for these very columns, without a mapping, journal or mark. The
file is then loaded again unchanged, as the next day's delivery. Best of several rounds, in turns.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import own_postgres
import pyarrow as pa
import pyarrow.parquet as pq

from zanc_pipeline.common.database import copy_batches, transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm.adapters import adapter_for
from zanc_pipeline.crm.changes import changes_since
from zanc_pipeline.crm.entities import PORTFOLIO_COLUMNS, Portfolio, read_portfolio
from zanc_pipeline.world.people import cpfs_of

ROUNDS = 3
DAY = date(2026, 11, 23)
FIRST_LEAST, AGAIN_LEAST = 0.7, 2.0

_STAGING = """
    CREATE TEMP TABLE incoming (
        line bigint, cpf text, name text, contract text, product text, amount numeric(14, 2),
        due_date date, birth_date date, email text, city text, state text,
        phone_1 text, phone_2 text, phone_3 text, deceased boolean) ON COMMIT DROP
"""
_BY_HAND = {
    "larga": [
        """
        INSERT INTO carteira AS t
        SELECT 'bench', contract, cpf, name, product, amount, due_date, birth_date, email, city,
               state, phone_1, phone_2, phone_3, CASE WHEN deceased THEN 'S' ELSE 'N' END, 'aberto'
        FROM incoming
        ON CONFLICT (convenio, contrato) DO UPDATE SET
            (cpf, nome, produto, valor, vencimento, nascimento, email, cidade, uf, fone1, fone2,
             fone3, falecido, situacao) = ROW (
             excluded.cpf, excluded.nome, excluded.produto, excluded.valor, excluded.vencimento,
             excluded.nascimento, excluded.email, excluded.cidade, excluded.uf, excluded.fone1,
             excluded.fone2, excluded.fone3, excluded.falecido, excluded.situacao)
        WHERE (t.*) IS DISTINCT FROM (excluded.*)
        """,
        """
        UPDATE carteira t SET situacao = 'removido' WHERE convenio = 'bench' AND situacao = 'aberto'
        AND NOT EXISTS (SELECT FROM incoming i WHERE i.contract = t.contrato)
        """,
    ],
    "norma": [
        """
        INSERT INTO cliente AS t
        SELECT DISTINCT ON (cpf) cpf, name, birth_date, email, city, state, deceased FROM incoming
        ORDER BY cpf, deceased DESC, line DESC
        ON CONFLICT (cpf) DO UPDATE SET (nome, nascimento, email, cidade, uf, falecido) = ROW (
            excluded.nome, excluded.nascimento, excluded.email, excluded.cidade, excluded.uf,
            excluded.falecido) WHERE (t.*) IS DISTINCT FROM (excluded.*)
        """,
        """
        INSERT INTO contrato AS t SELECT 'bench', contract, cpf, product, 'A' FROM incoming
        ON CONFLICT (convenio, numero) DO UPDATE SET (cpf, produto, situacao) = ROW (
            excluded.cpf, excluded.produto, excluded.situacao)
        WHERE (t.*) IS DISTINCT FROM (excluded.*)
        """,
        """
        UPDATE contrato t SET situacao = 'R' WHERE convenio = 'bench' AND situacao = 'A'
        AND NOT EXISTS (SELECT FROM incoming i WHERE i.contract = t.numero)
        """,
        """
        INSERT INTO parcela AS t
        SELECT 'bench', contract, 1, due_date, amount, 'A' FROM incoming
        ON CONFLICT (convenio, contrato, numero) DO UPDATE SET (vencimento, valor, situacao) = ROW (
            excluded.vencimento, excluded.valor, excluded.situacao)
        WHERE (t.*) IS DISTINCT FROM (excluded.*)
        """,
        """
        UPDATE parcela t SET situacao = 'R' WHERE convenio = 'bench' AND situacao = 'A'
        AND NOT EXISTS (SELECT FROM incoming i WHERE i.contract = t.contrato)
        """,
        """
        INSERT INTO telefone AS t
        SELECT DISTINCT ON (i.cpf, p.phone) 'bench', i.cpf, p.phone, p.place
        FROM incoming i CROSS JOIN LATERAL (
            VALUES (1, phone_1), (2, phone_2), (3, phone_3)) AS p (place, phone)
        WHERE p.phone IS NOT NULL ORDER BY i.cpf, p.phone, p.place, i.line
        ON CONFLICT (convenio, cpf, numero) DO UPDATE SET ordem = excluded.ordem
        WHERE t.ordem <> excluded.ordem
        """,
        """
        INSERT INTO email SELECT DISTINCT 'bench', cpf, email FROM incoming WHERE email IS NOT NULL
        ON CONFLICT DO NOTHING
        """,
    ],
}
_TABLES = {
    "larga": "carteira",
    "norma": "cliente, contrato, parcela, telefone, endereco, email, pagamento",
}


def main() -> None:
    """Print both figures of each CRM; exit status 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="2,000,000 contracts, not 40,000")
    rows = 2_000_000 if parser.parse_args().full else 40_000
    missed = []
    with (
        TemporaryDirectory(prefix="zanc-bench-") as folder,
        own_postgres.server(Path(folder)) as settings,
    ):
        path = Path(folder) / "accepted.parquet"
        _write_contracts(path, rows, changed_every=None)
        _write_contracts(path.with_name("changed.parquet"), rows, changed_every=1000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for crm in _BY_HAND:
            missed += _measure(settings, crm, path, rows)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory that the loads added to this process: {grown / 1024:.0f} MiB")
    if missed:
        sys.exit(f"missed: {'; '.join(missed)}")


def _measure(settings: Settings, crm: str, path: Path, rows: int) -> list[str]:
    changed = path.with_name("changed.parquet")
    adapter = adapter_for(settings, crm)
    adapter.ensure()
    database = f"crm_{crm}"
    limit = first = again = some = limit_again = np.inf
    for _ in range(ROUNDS):
        _empty(settings, crm)
        limit = min(limit, _seconds(lambda: _by_hand(settings, crm, _delivery(path, 1))))
        limit_again = min(
            limit_again, _seconds(lambda: _by_hand(settings, crm, _delivery(path, 1)))
        )
        expected = _content(settings, crm)
        _empty(settings, crm)
        first = min(first, _seconds(lambda: adapter.load(_delivery(path, 1))))
        assert _content(settings, crm) == expected, f"{crm}: not the same rows"
        again = min(again, _seconds(lambda: adapter.load(_delivery(path, 2))))
        assert _content(settings, crm) == expected
        some = min(some, _seconds(lambda: adapter.load(_next(path, changed))))
    print(f"{crm} ({database}), {rows:,} contracts        first load        again, unchanged")
    print(
        f"  COPY + hand-written merge   {rows / limit:>9,.0f} rows/s  {rows / limit_again:>9,.0f}"
    )
    print(f"  the adapter                 {rows / first:>9,.0f} rows/s  {rows / again:>9,.0f}")
    print(f"  the adapter, one contract in a thousand changed     {rows / some:>9,.0f}")
    print(
        f"  of the limit {limit / first:.2f} (at least {FIRST_LEAST}); again, unchanged, "
        f"{first / again:.1f} times as fast (at least {AGAIN_LEAST:.0f}); nearly unchanged "
        f"{first / some:.1f} times (nothing asked)"
    )
    missed = []
    if limit / first < FIRST_LEAST:
        missed.append(f"{crm}: first load {limit / first:.2f} of the limit")
    if first / again < AGAIN_LEAST:
        missed.append(f"{crm}: unchanged {first / again:.1f} times as fast")
    return missed


def _by_hand(settings: Settings, crm: str, portfolio: Portfolio) -> None:
    with transaction(settings, f"crm_{crm}") as cursor:
        cursor.execute(_STAGING)
        copy_batches(cursor, "incoming", PORTFOLIO_COLUMNS, portfolio.batches(PORTFOLIO_COLUMNS))
        cursor.execute("ANALYZE incoming (cpf, contract)")
        for statement in _BY_HAND[crm]:
            cursor.execute(statement)


def _delivery(path: Path, number: int) -> Portfolio:
    return read_portfolio(
        path, delivery_id=number, convenio="bench", reference_date=DAY + timedelta(days=number)
    )


def _next(path: Path, changed: Path) -> Portfolio:
    """The delivery after ``path``, compared with it as the load does."""
    after = _delivery(changed, 3)
    return replace(after, changes=changes_since(_delivery(path, 2), after))


def _write_contracts(path: Path, rows: int, *, changed_every: int | None) -> None:
    random = np.random.default_rng(7)
    people = rows * 4 // 5
    cpfs = pa.array(cpfs_of(np.arange(people) * 31 + 100_000_007))
    owner = random.integers(0, people, rows)
    dates = pa.array(np.datetime64("2025-01-01") + random.integers(0, 600, rows))
    births = pa.array(np.datetime64("1950-01-01") + owner % 18_000)
    numbers = np.arange(rows)
    second = random.random(rows) < 0.4
    amounts = random.integers(5_000, 900_000, rows)
    if changed_every is not None:
        amounts[::changed_every] += 1
    table = pa.table(
        {
            "line": pa.array(numbers + 2),
            "cpf": cpfs.take(pa.array(owner)),
            "name": pa.array([f"PESSOA NUMERO {number} DA SILVA" for number in owner]),
            "contract": pa.array([f"CT{number:010d}" for number in numbers]),
            "product": pa.array(np.array(["CARTAO", "CHEQUE ESPECIAL", "CREDIARIO"])[owner % 3]),
            "amount": pa.array(amounts).cast(pa.decimal128(21, 2)).cast(pa.decimal128(14, 2)),
            "due_date": dates,
            "birth_date": births,
            "email": pa.array([f"p{n}@example.com" if n % 3 else None for n in owner]),
            "city": pa.array(np.array(["SAO PAULO", "CAMPINAS", "RECIFE", "BELEM"])[owner % 4]),
            "state": pa.array(np.array(["SP", "SP", "PE", "PA"])[owner % 4]),
            "phone_1": pa.array([f"119{80_000_000 + number}" for number in owner]),
            "phone_2": pa.array(
                [f"11{30_000_000 + n}" if s else None for n, s in zip(owner, second, strict=True)]
            ),
            "phone_3": pa.nulls(rows, pa.string()),
            "deceased": pa.array(owner % 200 == 0),
        }
    )
    pq.write_table(table, path)


def _empty(settings: Settings, crm: str) -> None:
    with transaction(settings, f"crm_{crm}") as cursor:
        cursor.execute(f"TRUNCATE {_TABLES[crm]}, zanc_delivery, zanc_journal")
        cursor.execute("CHECKPOINT")


def _content(settings: Settings, crm: str) -> list[Any]:
    found = []
    with transaction(settings, f"crm_{crm}") as cursor:
        for table in _TABLES[crm].split(", "):
            cursor.execute(f"SELECT count(*) AS n, sum(hashtext(t::text)) AS sum FROM {table} t")  # noqa: S608 (constants)
            found.append(dict(cursor.fetchone()))
    return found


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
