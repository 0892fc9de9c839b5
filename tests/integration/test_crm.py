"""Deliveries into four real CRMs, exactly once, and out again."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from crm_world import contract, cpf, deliver

from tests.patience import PATIENCE
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, ConflictError, DataError, UnavailableError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm import changes, service, withdrawals
from zanc_pipeline.crm.adapters import adapter_for
from zanc_pipeline.crm.entities import CallOutcome

pytestmark = pytest.mark.integration

DAY_1, DAY_2 = date(2026, 11, 23), date(2026, 11, 24)
CONVENIOS = ("banco_aurora", "energia_sul", "telecom_brisa", "loja_horizonte")
CRM_OF = {
    "banco_aurora": "norma",
    "energia_sul": "larga",
    "telecom_brisa": "leve",
    "loja_horizonte": "remessa",
}


@pytest.fixture(autouse=True)
def empty(settings: Settings) -> None:
    """Empty CRMs, mirror and ledger before each test."""
    service.ensure(settings)
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "TRUNCATE crm.load, crm.contract, crm.person, crm.journal, crm.outcome, "
            "reception.delivery CASCADE"
        )
    for database, tables in (
        ("crm_norma", "cliente, contrato, parcela, telefone, endereco, email, pagamento"),
        ("crm_larga", "carteira"),
    ):
        with transaction(settings, database) as cursor:
            cursor.execute(f"TRUNCATE {tables}, zanc_delivery, zanc_journal, zanc_outcome CASCADE")
    (settings.var / "crm" / "leve.sqlite3").unlink(missing_ok=True)
    for path in (settings.var / "crm" / "remessa").rglob("*.txt"):
        path.unlink()
    service.ensure(settings)


def rows(settings: Settings, database: str, query: str) -> list[dict[str, Any]]:
    with transaction(settings, database) as cursor:
        cursor.execute(query)
        return [dict(row) for row in cursor.fetchall()]


def mirror(settings: Settings) -> list[dict[str, Any]]:
    return rows(
        settings,
        "zanc",
        "SELECT c.convenio, c.contract, c.cpf, c.amount, c.status, c.delivery_id, "
        "p.name, p.email, p.deceased "
        "FROM crm.contract c JOIN crm.person p USING (cpf) ORDER BY 1, 2",
    )


def held(settings: Settings, convenio: str) -> Any:
    """Everything that the CRM of ``convenio`` holds, to compare before and after."""
    crm = CRM_OF[convenio]
    if crm == "norma":
        return [
            rows(settings, "crm_norma", f"SELECT * FROM {table} ORDER BY 1, 2, 3")
            for table in ("cliente", "contrato", "parcela", "telefone")
        ]
    if crm == "larga":
        return rows(settings, "crm_larga", "SELECT * FROM carteira ORDER BY 1, 2")
    if crm == "leve":
        engine = sa.create_engine(f"sqlite:///{settings.var}/crm/leve.sqlite3")
        with engine.connect() as connection:
            found = connection.execute(sa.text("SELECT * FROM carteira ORDER BY 1, 2")).all()
        engine.dispose()
        return found
    folder = settings.var / "crm" / "remessa" / "entrada"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("convenio", CONVENIOS)
def test_a_delivery_is_loaded_into_the_crm_of_its_convenio(
    settings: Settings, convenio: str
) -> None:
    delivery = deliver(settings, convenio, DAY_1, [contract(n) for n in range(50)])
    result = service.load(settings, delivery)
    assert (result.crm, result.rows) == (CRM_OF[convenio], 50)
    assert result.changed >= 50
    assert service.counts(settings)[CRM_OF[convenio]] == 50
    assert [line for line in service.reconcile(settings) if line.expected != line.found] == []
    assert len(mirror(settings)) == 50
    [status] = rows(settings, "zanc", "SELECT status FROM reception.delivery")
    assert status["status"] == "loaded"


def test_a_death_stands_whatever_a_later_file_says(settings: Settings) -> None:
    for day, deceased in ((DAY_1, True), (DAY_2, False)):
        rows_of_day = [contract(1, deceased=deceased), contract(2, owner=1)]
        service.load(settings, deliver(settings, "banco_aurora", day, rows_of_day))
        assert [row["deceased"] for row in mirror(settings)] == [True, True]
        assert rows(settings, "crm_norma", "SELECT falecido FROM cliente") == [{"falecido": True}]


def test_a_database_without_our_tables_is_one_line(settings: Settings) -> None:
    with (
        pytest.raises(ConfigError, match=r":\d+/postgres lacks our tables, .*zanc migrate"),
        transaction(settings, "postgres") as cursor,
    ):
        cursor.execute("SELECT * FROM reception.delivery")


@pytest.mark.parametrize("convenio", CONVENIOS)
def test_loading_again_changes_nothing(settings: Settings, convenio: str) -> None:
    delivery = deliver(settings, convenio, DAY_1, [contract(n) for n in range(5)])
    first = service.load(settings, delivery)
    before = held(settings, convenio)
    assert service.load(settings, delivery) == first
    assert held(settings, convenio) == before


@pytest.mark.parametrize("convenio", CONVENIOS[:3])
def test_the_next_day_touches_only_what_changed(settings: Settings, convenio: str) -> None:
    service.load(settings, deliver(settings, convenio, DAY_1, [contract(n) for n in range(10)]))
    second = [contract(n) for n in range(1, 10)]
    second[0] = contract(1, amount=Decimal("7.50"))
    result = service.load(settings, deliver(settings, convenio, DAY_2, second))
    # one contract removed, where it is kept with its instalment, and one with another amount
    assert result.changed == (3 if CRM_OF[convenio] == "norma" else 2)
    assert service.counts(settings)[CRM_OF[convenio]] == 9
    by_contract = {row["contract"]: row for row in mirror(settings)}
    assert by_contract["C000000"]["status"] == "removed"
    assert by_contract["C000001"]["amount"] == Decimal("7.50")
    assert by_contract["C000002"]["status"] == "open"


@pytest.mark.parametrize("convenio", CONVENIOS[:3])
def test_what_changed_is_loaded_as_the_whole_file_would_be(
    settings: Settings, convenio: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [contract(n, owner=n // 2) for n in range(40)]
    service.load(settings, deliver(settings, convenio, DAY_1, first))
    before, mirrored = held(settings, convenio), mirror(settings)
    second = [dict(row) for row in first[2:]]
    second[0] |= {"phone_1": None, "phone_2": "1133334444"}
    second[5] = contract(7, owner=30, email="a@b.c")
    second += [contract(50, owner=9, deceased=True)]
    delivery = deliver(settings, convenio, DAY_2, second)
    few = service.load(settings, delivery)
    after = held(settings, convenio), mirror(settings)
    service.rollback(settings, delivery)
    assert (held(settings, convenio), mirror(settings)) == (before, mirrored)
    monkeypatch.setattr(changes, "MOST", 0.0)
    assert service.load(settings, delivery) == few
    assert (held(settings, convenio), mirror(settings)) == after


@pytest.mark.parametrize("convenio", CONVENIOS[:3])
def test_what_a_crm_lost_comes_with_the_same_file_again(settings: Settings, convenio: str) -> None:
    contracts = [contract(n) for n in range(3)]
    service.load(settings, deliver(settings, convenio, DAY_1, contracts))
    crm = CRM_OF[convenio]
    if crm == "leve":
        engine = sa.create_engine(f"sqlite:///{settings.var}/crm/leve.sqlite3")
        with engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM carteira WHERE contrato = 'C000001'"))
        engine.dispose()
    else:
        table, number = ("contrato", "numero") if crm == "norma" else ("carteira", "contrato")
        with transaction(settings, f"crm_{crm}") as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE {number} = 'C000001'")
    assert service.counts(settings)[crm] == 2
    service.load(settings, deliver(settings, convenio, DAY_2, contracts))
    assert service.counts(settings)[crm] == 3


@pytest.mark.parametrize("convenio", CONVENIOS)
def test_rollback_restores_what_was_there(settings: Settings, convenio: str) -> None:
    service.load(settings, deliver(settings, convenio, DAY_1, [contract(n) for n in range(10)]))
    before, mirrored = held(settings, convenio), mirror(settings)
    changed = [contract(n, name="OUTRO", amount=Decimal(9)) for n in range(3, 14)]
    delivery = deliver(settings, convenio, DAY_2, changed)
    service.load(settings, delivery)
    assert held(settings, convenio) != before
    service.rollback(settings, delivery)
    service.rollback(settings, delivery)
    assert held(settings, convenio) == before
    assert mirror(settings) == mirrored
    # and it may be loaded again
    assert service.load(settings, delivery).rows == 11
    assert len({row["contract"] for row in mirror(settings)}) == 14


def test_rollback_is_refused_while_a_later_delivery_is_loaded(settings: Settings) -> None:
    first = deliver(settings, "energia_sul", DAY_1, [contract(1)])
    second = deliver(settings, "energia_sul", DAY_2, [contract(1)])
    service.load(settings, first)
    service.load(settings, second)
    with pytest.raises(ConflictError, match=rf"delivery {second} .*roll it back first"):
        service.rollback(settings, first)
    service.rollback(settings, second)
    service.rollback(settings, first)
    assert service.counts(settings)["larga"] == 0
    assert mirror(settings) == []


def test_rollback_spares_what_another_convenio_wrote_of_the_same_person(
    settings: Settings,
) -> None:
    aurora = deliver(settings, "banco_aurora", DAY_1, [contract(1, email="a@example.com")])
    energia = deliver(settings, "energia_sul", DAY_1, [contract(9, owner=1, name="NOVO NOME")])
    service.load(settings, aurora)
    service.load(settings, energia)
    service.rollback(settings, aurora)
    [row] = mirror(settings)
    assert (row["convenio"], row["name"]) == ("energia_sul", "NOVO NOME")
    service.rollback(settings, energia)
    assert rows(settings, "zanc", "SELECT * FROM crm.person") == []


def test_an_older_portfolio_does_not_replace_a_newer_one(settings: Settings) -> None:
    old = deliver(settings, "telecom_brisa", DAY_1, [contract(1)])
    service.load(settings, deliver(settings, "telecom_brisa", DAY_2, [contract(2)]))
    with pytest.raises(DataError, match="an older portfolio does not replace a newer one"):
        service.load(settings, old)


def test_a_delivery_that_was_not_accepted_is_not_loaded(settings: Settings) -> None:
    with pytest.raises(DataError, match="there is no delivery 999999"):
        service.load(settings, 999999)
    delivery = deliver(settings, "telecom_brisa", DAY_1, [contract(1)])
    with transaction(settings, "zanc") as cursor:
        cursor.execute("UPDATE reception.delivery SET status = 'quarantined'")
    with pytest.raises(DataError, match="is quarantined, not accepted"):
        service.load(settings, delivery)


def test_a_crm_table_that_lacks_a_column_is_told_before_anything_loads(
    settings: Settings,
) -> None:
    delivery = deliver(settings, "energia_sul", DAY_1, [contract(1)])
    with transaction(settings, "crm_larga") as cursor:
        cursor.execute("ALTER TABLE carteira RENAME COLUMN produto TO artigo")
    try:
        with pytest.raises(ConfigError, match=r"carteira.colunas.produto: .* crie a coluna no CRM"):
            service.load(settings, delivery)
    finally:
        with transaction(settings, "crm_larga") as cursor:
            cursor.execute("ALTER TABLE carteira RENAME COLUMN artigo TO produto")
    assert mirror(settings) == []


@pytest.mark.parametrize("convenio", CONVENIOS)
def test_two_that_load_the_same_delivery_at_once_load_it_once(
    settings: Settings, convenio: str
) -> None:
    delivery = deliver(settings, convenio, DAY_1, [contract(n) for n in range(200)])
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(service.load(settings, delivery)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert len(set(results)) == 1
    assert service.counts(settings)[CRM_OF[convenio]] == 200


def test_convenios_of_different_crms_with_common_persons_load_at_once(settings: Settings) -> None:
    deliveries = [
        deliver(settings, convenio, DAY_1, [contract(n, name=convenio) for n in order])
        for convenio, order in zip(
            CONVENIOS,
            (range(300), reversed(range(300)), range(300), reversed(range(300))),
            strict=True,
        )
    ]
    failures: list[Exception] = []

    def run(delivery: int) -> None:
        try:
            service.load(settings, delivery)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(delivery,)) for delivery in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(mirror(settings)) == 1200


def _load_when_told(settings: Settings, delivery: int, ready: Any) -> None:
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    ready.set()
    service.load(settings, delivery)


@pytest.mark.parametrize("convenio", CONVENIOS)
def test_killed_in_the_middle_a_load_is_in_or_out_and_a_retry_completes_it(
    settings: Settings, convenio: str
) -> None:
    contracts = [contract(n, phone_2=f"11{30000000 + n}") for n in range(3000)]
    spawn = multiprocessing.get_context("spawn")
    seeded = random.Random(convenio)
    for day in (DAY_1, DAY_2):
        delivery = deliver(settings, convenio, day, contracts[day.day - 23 :])
        for _ in range(2):
            ready = spawn.Event()
            process = spawn.Process(target=_load_when_told, args=(settings, delivery, ready))
            process.start()
            assert ready.wait(PATIENCE)
            time.sleep(seeded.uniform(0.0, 0.6))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            mark = adapter_for(settings, CRM_OF[convenio]).loaded(delivery)
            open_rows = service.counts(settings)[CRM_OF[convenio]]
            before = 0 if day == DAY_1 else 3000 - (day.day - 24)
            assert open_rows == (3000 - (day.day - 23) if mark else before)
        service.load(settings, delivery)
        assert service.counts(settings)[CRM_OF[convenio]] == 3000 - (day.day - 23)
        assert all(line.expected == line.found for line in service.reconcile(settings))


def test_killed_in_the_middle_a_rollback_is_finished_by_the_next(settings: Settings) -> None:
    chosen = random.Random(7)
    fork = multiprocessing.get_context("fork")
    contracts = [contract(n) for n in range(1000)]
    for convenio in CONVENIOS[:3]:
        service.load(settings, deliver(settings, convenio, DAY_1, contracts))
        before, mirrored = held(settings, convenio), mirror(settings)
        changed = [{**one, "amount": Decimal(9)} for one in contracts[1:]]
        delivery = deliver(settings, convenio, DAY_2, changed)
        service.load(settings, delivery)
        for wait in (chosen.uniform(0, 0.1), chosen.uniform(0.1, 0.4)):
            process = fork.Process(target=service.rollback, args=(settings, delivery))
            process.start()
            time.sleep(wait)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        service.rollback(settings, delivery)
        assert (held(settings, convenio), mirror(settings)) == (before, mirrored)


@pytest.mark.parametrize("convenio", CONVENIOS)
def test_a_crash_between_the_crm_and_the_mirror_is_completed_by_the_next_delivery(
    settings: Settings, convenio: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    def crash(*_: object) -> None:
        raise Crash

    first = deliver(settings, convenio, DAY_1, [contract(1), contract(2)])
    with monkeypatch.context() as patched:
        patched.setattr("zanc_pipeline.crm.mirror.write", crash)
        with pytest.raises(Crash):
            service.load(settings, first)
    assert mirror(settings) == []
    service.load(settings, deliver(settings, convenio, DAY_2, [contract(2)]))
    assert [row["status"] for row in mirror(settings)] == ["removed", "open"]
    statuses = rows(settings, "zanc", "SELECT status FROM reception.delivery")
    assert {row["status"] for row in statuses} == {"loaded"}


def test_an_interrupted_rollback_must_be_finished_before_loading(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = deliver(settings, "banco_aurora", DAY_1, [contract(1)])
    service.load(settings, delivery)

    def crash(*_: object) -> None:
        raise UnavailableError("PostgreSQL", "here")

    with monkeypatch.context() as patched:
        patched.setattr("zanc_pipeline.crm.mirror.take_out", crash)
        with pytest.raises(UnavailableError):
            service.rollback(settings, delivery)
    with pytest.raises(ConflictError, match=f"zanc crm rollback {delivery}"):
        service.load(settings, delivery)
    service.rollback(settings, delivery)
    assert service.load(settings, delivery).rows == 1


def outcome(number: int, crm: str, **changed: Any) -> CallOutcome:
    values: dict[str, Any] = {
        "call_id": f"{crm}-{number:04d}",
        "crm": crm,
        "convenio": next(name for name, owner in CRM_OF.items() if owner == crm),
        "contract": "C000001",
        "cpf": cpf(1),
        "phone": "11987654321",
        "started_at": datetime(2026, 11, 23, 15, number, tzinfo=UTC),
        "outcome": "human",
        "tabulation": "promise",
        "promise_date": date(2026, 12, 1),
        "promise_amount": Decimal("10.55"),
        **changed,
    }
    return CallOutcome(**values)


def taken(settings: Settings) -> dict[str, int]:
    """How many outcomes each CRM holds."""
    engine = sa.create_engine(f"sqlite:///{settings.var}/crm/leve.sqlite3")
    with engine.connect() as connection:
        leve = connection.execute(sa.text("SELECT count(*) FROM zanc_outcome")).scalar_one()
    engine.dispose()
    query = "SELECT count(*) AS n FROM zanc_outcome"
    files = (settings.var / "crm" / "remessa" / "retorno").glob("ZANC_RET_*.txt")
    return {
        "norma": rows(settings, "crm_norma", query)[0]["n"],
        "larga": rows(settings, "crm_larga", query)[0]["n"],
        "leve": leve,
        "remessa": sum(len(path.read_text().splitlines()) - 2 for path in files),
    }


def test_outcomes_go_to_the_crm_of_the_debt_once(settings: Settings) -> None:
    outcomes = [outcome(n, crm) for crm in settings.crms for n in range(3)]
    assert service.return_outcomes(settings, outcomes) == 12
    assert service.return_outcomes(settings, outcomes) == 0
    assert service.return_outcomes(settings, [*outcomes, outcome(3, "remessa")]) == 1
    assert taken(settings) == {"norma": 3, "larga": 3, "leve": 3, "remessa": 4}


def test_a_crm_that_is_down_holds_back_only_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [outcome(n, crm) for crm in settings.crms for n in range(3)]
    real: Callable[..., Any] = adapter_for

    def larga_is_down(given: Settings, crm: str) -> Any:
        if crm == "larga":
            raise error
        return real(given, crm)

    monkeypatch.setattr(service, "_RETURNED_AT_ONCE", 2)
    error: Exception = UnavailableError("PostgreSQL", "10.0.0.1:5432/crm_larga")
    with monkeypatch.context() as patched:
        patched.setattr(service, "adapter_for", larga_is_down)
        with pytest.raises(UnavailableError, match="crm_larga"):
            service.return_outcomes(settings, outcomes)
        assert taken(settings) == {"norma": 3, "larga": 0, "leve": 3, "remessa": 3}
        # a day of them piles up, while the others get theirs, whatever it is that fails
        error = ConfigError("config/crms/larga.yaml: tabelas.carteira: falta a coluna 'cpf'")
        more = [outcome(n, crm) for crm in settings.crms for n in range(3, 8)]
        with pytest.raises(ConfigError, match="larga"):
            service.return_outcomes(settings, more)
    assert taken(settings) == {"norma": 8, "larga": 0, "leve": 8, "remessa": 8}
    assert service.return_outcomes(settings, []) == 8
    assert service.return_outcomes(settings, [*outcomes, *more]) == 0
    assert taken(settings) == {"norma": 8, "larga": 8, "leve": 8, "remessa": 8}


def test_outcomes_that_a_crm_took_before_a_crash_are_not_doubled(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CRM took them, and the process died before it was recorded."""
    outcomes = [outcome(n, crm) for crm in settings.crms for n in range(3)]
    service.return_outcomes(settings, outcomes)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("UPDATE crm.outcome SET returned_at = NULL")
    more = [outcome(7, crm) for crm in settings.crms]
    assert service.return_outcomes(settings, more) == 16
    assert taken(settings) == {"norma": 4, "larga": 4, "leve": 4, "remessa": 4}


def test_a_call_that_is_tabulated_late_is_returned_once_more(settings: Settings) -> None:
    waiting = [outcome(1, crm, tabulation="no_tabulation") for crm in settings.crms]
    late = [outcome(1, crm, tabulation="promise") for crm in settings.crms]
    assert service.return_outcomes(settings, waiting) == 4
    assert service.return_outcomes(settings, late) == 4
    assert service.return_outcomes(settings, [*late, *waiting]) == 0
    assert taken(settings) == {"norma": 1, "larga": 1, "leve": 1, "remessa": 2}
    query = "SELECT tabulation FROM zanc_outcome"
    assert rows(settings, "crm_norma", query) == [{"tabulation": "promise"}]
    engine = sa.create_engine(f"sqlite:///{settings.var}/crm/leve.sqlite3")
    with engine.connect() as connection:
        assert connection.execute(sa.text(query)).scalar_one() == "promise"
    engine.dispose()


def test_a_contract_that_ends_leaves_the_campaigns_until_the_dialer_knows(
    settings: Settings,
) -> None:
    service.load(
        settings, deliver(settings, "banco_aurora", DAY_1, [contract(n) for n in range(3)])
    )
    [first] = withdrawals.pending(settings)
    assert (first.paid, first.withdrawn, first.deceased) == ((), (), ())
    withdrawals.mark_told(settings, first.delivery_id)
    second = deliver(settings, "banco_aurora", DAY_2, [contract(1), contract(2, deceased=True)])
    service.load(settings, second)
    for _ in range(2):  # until it is told
        [one] = withdrawals.pending(settings)
        assert (one.delivery_id, one.paid) == (second, ())
        assert one.withdrawn == (("banco_aurora", "C000000"),)
        assert one.deceased == (cpf(1002),)
    withdrawals.mark_told(settings, second)
    assert list(withdrawals.pending(settings)) == []


def test_the_import_file_has_one_row_a_client(settings: Settings) -> None:
    contracts = [
        contract(1, owner=1, amount=Decimal("50.00"), name="José da Conceição"),
        contract(2, owner=1, amount=Decimal("80.00"), name="José da Conceição", phone_1=None),
        contract(3, owner=2),
    ]
    delivery = deliver(settings, "loja_horizonte", DAY_1, contracts)
    assert service.load(settings, delivery).changed == 2
    path = settings.var / "crm" / "remessa" / "entrada" / f"ZANC_{delivery}.txt"
    header, first, _, trailer = path.read_text(encoding="ascii").splitlines()
    assert header.startswith("0loja_horizonte ")
    assert first.startswith("1" + cpf(1001) + "Jose da Conceicao ")
    assert "C000002" in first
    assert "00000000008000" in first
    assert "11980000001" in first
    assert trailer == "90000000002"
