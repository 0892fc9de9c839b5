"""Return files of a CRM that takes import files: read once, whole, undone with the import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from crm_world import contract, cpf, deliver

from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.crm import service
from zanc_pipeline.crm.adapters.fixed_width import FixedWidthFiles
from zanc_pipeline.world.import_crm import answer_imports

pytestmark = pytest.mark.integration

DAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def empty(settings: Settings) -> None:
    service.ensure(settings)
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "TRUNCATE crm.load, crm.contract, crm.person, crm.journal, reception.delivery, "
            "localization.person_phone CASCADE"
        )
    for path in (settings.var / "crm" / "remessa").rglob("*.txt"):
        path.unlink()


@pytest.fixture
def loaded(settings: Settings) -> int:
    """A delivery of three clients, of whom one has no phone."""
    contracts = [contract(1), contract(2, phone_1=None), contract(3)]
    delivery = deliver(settings, "loja_horizonte", DAY, contracts)
    assert service.load(settings, delivery).refused is None
    return delivery


def folder(settings: Settings) -> Path:
    return settings.var / "crm" / "remessa"


def refusals(settings: Settings, delivery: int) -> list[dict[str, Any]]:
    return service.refused_rows(settings, delivery)


def test_refused_rows_show_in_the_deliverys_result(settings: Settings, loaded: int) -> None:
    assert answer_imports(settings) == {loaded: 1}
    [answer] = service.read_returns(settings)
    assert (answer.delivery_id, answer.accepted, answer.refused) == (loaded, 2, 1)
    assert service.load(settings, loaded).refused == 1
    assert refusals(settings, loaded) == [
        {"row": 2, "cpf": cpf(1002), "contract": "C000002", "reason": "CLIENTE SEM TELEFONE"}
    ]
    # everything again: nothing more
    assert answer_imports(settings) == {}
    assert service.read_returns(settings) == []
    assert len(refusals(settings, loaded)) == 1


def test_killed_in_the_middle_an_answer_is_read_by_the_next(
    settings: Settings, loaded: int
) -> None:
    fork = multiprocessing.get_context("fork")
    for wait in (0.0, 0.02, 0.05):
        answer_imports(settings)
        process = fork.Process(target=service.read_returns, args=(settings,))
        process.start()
        time.sleep(wait)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        service.read_returns(settings)
        assert [one["row"] for one in refusals(settings, loaded)] == [2]
        assert service.load(settings, loaded).refused == 1
        assert [path.parent.name for path in folder(settings).rglob("devolucao/**/*.txt")] == [
            "lidos"
        ]
        service.rollback(settings, loaded)
        service.load(settings, loaded)


def test_an_answer_read_before_a_crash_is_read_again_with_the_same_result(
    settings: Settings, loaded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_imports(settings)

    class Crash(Exception):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(FixedWidthFiles, "put_aside", crash)
        with pytest.raises(Crash):
            service.read_returns(settings)
    assert len(refusals(settings, loaded)) == 1
    assert [answer.refused for answer in service.read_returns(settings)] == [1]
    assert len(refusals(settings, loaded)) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lines: lines[:-1], "falta o rodapé"),
        (lambda lines: ["00000000099", *lines[1:]], ":1: o cabeçalho não é o da entrega"),
        (lambda lines: [*lines[:2], *lines[3:]], "o rodapé não conta 2 linhas"),
        (lambda lines: [*lines[:2], lines[1], *lines[3:]], ":3: a linha 1 já foi respondida"),
        (lambda lines: [*lines[:1], "1" + "9" * 21 + "A", *lines[2:]], ":2: a linha '9"),
        (lambda lines: [*lines[:1], lines[1][:22] + "X", *lines[2:]], ":2: a situação 'X'"),
        (lambda lines: [*lines[:2], "9" + lines[2][1:], *lines[3:]], ":3: esperava um registro"),
        (
            lambda lines: [lines[0], lines[1][:11] + cpf(1003) + "A", *lines[2:]],
            ":2: a linha 1 da importação é de outro CPF",
        ),
        (lambda lines: [*lines[:-2], "90000000002"], "responde 2 das 3 linhas"),
    ],
)
def test_an_answer_that_is_not_whole_is_named_and_read_when_it_is(
    settings: Settings, loaded: int, spoil: Any, message: str
) -> None:
    answer_imports(settings)
    path = folder(settings) / "devolucao" / f"ZANC_{loaded}.txt"
    right = path.read_text(encoding="ascii")
    path.write_text("\n".join(spoil(right.splitlines())), encoding="ascii")
    with pytest.raises(DataError, match=message):
        service.read_returns(settings)
    assert service.load(settings, loaded).refused is None
    path.write_text(right, encoding="ascii")
    assert len(service.read_returns(settings)) == 1


def test_an_import_that_the_crm_took_is_undone_by_a_file_and_may_come_again(
    settings: Settings, loaded: int
) -> None:
    answer_imports(settings)
    service.read_returns(settings)
    for number in (1, 2):
        service.rollback(settings, loaded)
        assert service.counts(settings)["remessa"] == 0
        order = folder(settings) / "entrada" / f"ESTORNO_{loaded}_{number}.txt"
        header, trailer = order.read_text(encoding="ascii").splitlines()
        assert (header[:15], trailer) == ("0loja_horizonte", "90000000000")
        assert refusals(settings, loaded) == []
        assert service.load(settings, loaded).refused is None
        answer_imports(settings)
        assert service.counts(settings)["remessa"] == 3  # nobody read the answer yet
        assert [answer.refused for answer in service.read_returns(settings)] == [1]
        assert service.counts(settings)["remessa"] == 2
        assert [(line.expected, line.found) for line in service.reconcile(settings)] == [(2, 2)]


def test_the_phone_is_the_one_that_the_calls_of_all_crms_know_best(settings: Settings) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "INSERT INTO localization.person_phone (cpf, phone, mobile, source, first_seen, "
            "last_seen, attempts, answers, last_attempt_at) VALUES "
            "(%(cpf)s, '11980000001', true, 'x', %(day)s, %(day)s, 3, 0, now()), "
            "(%(cpf)s, '1133334444', false, 'x', %(day)s, %(day)s, 1, 1, now())",
            {"cpf": cpf(1001), "day": DAY},
        )
    delivery = deliver(settings, "loja_horizonte", DAY, [contract(1, phone_2="1133334444")])
    service.load(settings, delivery)
    [_, detail, _] = (
        (folder(settings) / "entrada" / f"ZANC_{delivery}.txt").read_text().splitlines()
    )
    assert "1133334444" in detail
    assert "11980000001" not in detail
