"""Payments and phones of contracts that the CRM knows: the guide's examples, from file to CRM."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from crm_world import contract, cpf, deliver

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm import service as crm
from zanc_pipeline.crm import withdrawals
from zanc_pipeline.localization.base import add_phones_of_delivery
from zanc_pipeline.reception import ledger, service

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[2] / "docs" / "recepcao.md"
EXAMPLE = re.compile(r"<!-- avulso: (\S+) -->\n```yaml\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)


def examples() -> dict[str, tuple[str, str]]:
    """The guide's examples: file name → layout, content (people as valid CPFs)."""
    text = GUIDE.read_text(encoding="utf-8")
    return {
        name: (layout, re.sub(r"CPF(\d)", lambda found: cpf(1000 + int(found[1])), content))
        for name, layout, content in EXAMPLE.findall(text)
    }


@pytest.fixture(scope="module")
def stack(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A convênio that sends payments and phones beside its portfolio."""
    config = tmp_path_factory.mktemp("config")
    shutil.copytree(settings.config, config, dirs_exist_ok=True)
    own = settings.model_copy(update={"config": config})
    for name, (layout, _) in examples().items():
        kind = name.partition("_")[0].lower()
        for convenio in ("banco_aurora", "energia_sul", "telecom_brisa", "loja_horizonte"):
            path = config / "convenios" / convenio / f"layout-{kind}.yaml"
            path.write_text(layout, encoding="utf-8")
    crm.ensure(own)
    return own


@pytest.fixture(autouse=True)
def empty(stack: Settings) -> None:
    with transaction(stack, "zanc") as cursor:
        cursor.execute(
            "TRUNCATE crm.load, crm.contract, crm.person, crm.journal, reception.delivery CASCADE"
        )


def rows(stack: Settings, query: str, database: str = "zanc") -> list[dict[str, Any]]:
    with transaction(stack, database) as cursor:
        cursor.execute(query)
        return [dict(row) for row in cursor.fetchall()]


def portfolio(stack: Settings, convenio: str = "banco_aurora", day: int = 23) -> int:
    number = deliver(
        stack, convenio, date(2026, 11, day), [contract(number) for number in range(1, 6)]
    )
    crm.load(stack, number)
    return number


def send(
    stack: Settings, folder: Path, name: str, content: str = "", convenio: str = "banco_aurora"
) -> service.Delivery:
    path = folder / name
    path.write_text(content or examples()[name][1], encoding="utf-8")
    return service.receive(stack, path, convenio)


STATES = "SELECT contract, status FROM crm.contract ORDER BY contract"


def test_payments_of_known_contracts_reach_the_crm_and_end_what_is_paid_off(
    stack: Settings, tmp_path: Path
) -> None:
    whole = portfolio(stack)
    delivery = send(stack, tmp_path, "PAGAMENTOS_20261124.csv")
    # One of four rows is of an unknown contract: the usual limit holds the file for a person.
    assert (delivery.status, delivery.rules) == ("quarantined", ["rejeicao"])
    delivery = service.accept(stack, delivery.id, ["rejeicao"], by="Ana", reason="já saiu")
    assert (delivery.status, delivery.content) == ("accepted", "pagamentos")
    assert (delivery.rows_accepted, delivery.rows_rejected) == (3, 1)
    (wrong,) = rows(stack, "SELECT * FROM reception.rejected_row")
    assert (wrong["line"], wrong["field"], wrong["found"]) == (5, "contrato", "C999999")
    assert wrong["problem"].startswith("o CRM não tem este contrato neste convênio: confirme")

    loaded = crm.load(stack, delivery.id)
    assert loaded.rows == 3
    query = "SELECT contrato, pago_em::text, valor::text FROM pagamento ORDER BY 1, 2"
    paid = rows(stack, query, "crm_norma")
    assert [tuple(row.values()) for row in paid] == [
        ("C000001", "2026-11-23", "101.00"),
        ("C000002", "2026-11-23", "50.00"),
        ("C000002", "2026-11-24", "25.50"),
    ]
    states = {row["contract"]: row["status"] for row in rows(stack, STATES)}
    assert states == {f"C00000{n}": "paid" if n == 1 else "open" for n in range(1, 6)}
    ended = rows(stack, "SELECT numero FROM contrato WHERE situacao = 'Q'", "crm_norma")
    assert [row["numero"] for row in ended] == ["C000001"]
    told = {one.delivery_id: one for one in withdrawals.pending(stack)}
    assert told[delivery.id].paid == (("banco_aurora", "C000001"),)
    assert crm.load(stack, delivery.id) == loaded

    with pytest.raises(ConflictError, match=f"delivery {delivery.id}"):
        crm.rollback(stack, whole)
    crm.rollback(stack, delivery.id)
    assert rows(stack, query, "crm_norma") == []
    assert {row["status"] for row in rows(stack, STATES)} == {"open"}


def test_the_next_portfolio_is_compared_with_the_last_portfolio(
    stack: Settings, tmp_path: Path
) -> None:
    portfolio(stack)
    known = "CONTRATO;DT_PAGTO;VL_PAGO;QUITOU\nC000003;24/11/2026;10,00;S\n"
    payments = send(stack, tmp_path, "PAGAMENTOS_20261130.csv", known)
    crm.load(stack, payments.id)
    after = portfolio(stack, day=24)  # an older day than that of the payments
    assert {row["status"] for row in rows(stack, STATES)} == {"open"}
    with pytest.raises(ConflictError, match=f"delivery {after}"):
        crm.rollback(stack, payments.id)
    with transaction(stack, "zanc") as cursor:
        standing = ledger.standing(cursor, payments)
    assert standing.of("carteira")[0].delivery_id == after
    assert not standing.of("pagamentos")


@pytest.mark.parametrize("convenio", ["energia_sul", "telecom_brisa", "loja_horizonte"])
def test_a_crm_without_payments_learns_what_was_paid_off(
    stack: Settings, tmp_path: Path, convenio: str
) -> None:
    portfolio(stack, convenio)
    before = crm.counts(stack)
    known = "CONTRATO;DT_PAGTO;VL_PAGO;QUITOU\nC000003;24/11/2026;10,00;S\n"
    payments = send(stack, tmp_path, "PAGAMENTOS_20261124.csv", known, convenio)
    loaded = crm.load(stack, payments.id)
    assert loaded.changed == (0 if convenio == "loja_horizonte" else 1)
    assert [row["status"] for row in rows(stack, STATES)].count("paid") == 1
    assert sum(before.values()) - sum(crm.counts(stack).values()) == loaded.changed
    crm.rollback(stack, payments.id)
    assert crm.counts(stack) == before


def test_phones_of_known_people_reach_the_localization_base(
    stack: Settings, tmp_path: Path
) -> None:
    portfolio(stack)
    delivery = send(stack, tmp_path, "FONES_20261124.txt")
    assert (delivery.status, delivery.content) == ("accepted", "telefones"), delivery.reason
    assert (delivery.rows_accepted, delivery.rows_rejected) == (2, 1)
    assert add_phones_of_delivery(stack, delivery.id) == 2
    assert crm.load(stack, delivery.id).changed == 2
    query = "SELECT phone FROM localization.person_phone WHERE cpf = '{}'"
    assert rows(stack, query.format(cpf(1001))) == [{"phone": "84987654321"}]
    assert {row["status"] for row in rows(stack, STATES)} == {"open"}


def test_day_after_day_other_contracts_pay(stack: Settings, tmp_path: Path) -> None:
    """Two files of payments have hardly a contract in common, and any number of rows."""
    people = [contract(number) for number in range(1, 900)]
    crm.load(stack, deliver(stack, "banco_aurora", date(2026, 11, 20), people))
    start = 1
    for day, count in ((23, 200), (24, 40), (25, 400)):
        lines = [
            f"C{number:06d};{day}/11/2026;{number * 7919 % 997 + 10},{number % 90 + 10};N"
            for number in range(start, start + count)
        ]
        start += count
        text = "CONTRATO;DT_PAGTO;VL_PAGO;QUITOU\n" + "".join(f"{line}\n" for line in lines)
        delivery = send(stack, tmp_path, f"PAGAMENTOS_202611{day}.csv", text)
        assert delivery.status == "accepted", delivery.reason
    late = send(stack, tmp_path, "PAGAMENTOS_20261101.csv", text.replace("/11/", "/10/"))
    assert late.status == "accepted", late.reason
    turned = text.replace("25/11/2026", "11/10/2026")  # 10 November by a creditor who turned them
    wrong = send(stack, tmp_path, "PAGAMENTOS_20261110.csv", turned)
    assert (wrong.status, wrong.rules) == ("quarantined", ["pagamentos"]), wrong.reason


def test_phones_by_contract_get_the_persons_cpf(stack: Settings, tmp_path: Path) -> None:
    portfolio(stack)
    path = stack.config / "convenios" / "banco_aurora" / "layout-telefones.yaml"
    layout = examples()["FONES_20261124.txt"][0].replace("TELEFONES", "X")
    own = layout.replace("{nome: cpf,", "{nome: contrato, obrigatorio: sim,")
    path.write_text(own.replace("telefones-1", "telefones-2").replace("FONES_", "TEL_"), "utf-8")
    try:
        delivery = send(stack, tmp_path, "TEL_20261124.txt", "C000001|84|991234567\n")
        assert delivery.status == "accepted", delivery.reason
        assert add_phones_of_delivery(stack, delivery.id) == 1
    finally:
        path.unlink()
    query = f"SELECT phone FROM localization.person_phone WHERE cpf = '{cpf(1001)}'"
    assert {"phone": "84991234567"} in rows(stack, query)
