"""Two receptions of one convênio at once: the verdict rests on what was accepted, and stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import finishing, outputs, service

pytestmark = pytest.mark.integration

HEADER = (
    "CPF;NOME;CONTRATO;PRODUTO;VALOR;VENCIMENTO;NASCIMENTO;EMAIL;CIDADE;UF;"
    "DDD1;FONE1;DDD2;FONE2;DDD3;FONE3;OBITO"
)


def aurora(*numbers: int, wrong: int | None = None) -> bytes:
    lines = [HEADER]
    for number in numbers:
        base = f"{number + 1:09}"
        cpf = "123" if number == wrong else base + cpf_check_digits(base)
        lines.append(f"{cpf};Ana {number};C{number:06};X;10,00;31/01/2026;;;;;;;;;;;N")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


@pytest.fixture(autouse=True)
def nothing_received(settings: Settings) -> None:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE reception.delivery CASCADE")


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Does something between the judgement of the next delivery and its end."""

    def run(other: Callable[[], Any]) -> None:
        judge, waiting = finishing.judge_chain, [other]

        def judged(*words: Any) -> Any:
            todo = waiting.pop() if waiting else None
            found = judge(*words)
            if todo is not None:
                todo()
            return found

        monkeypatch.setattr(finishing, "judge_chain", judged)

    return run


def test_an_older_file_is_held_though_the_newer_one_came_while_it_was_judged(
    settings: Settings, tmp_path: Path, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    older, newer = tmp_path / "AURORA_20261120.csv", tmp_path / "AURORA_20261123.csv"
    older.write_bytes(aurora(1, 2, 3))
    newer.write_bytes(aurora(1, 2, 4))
    meanwhile(lambda: service.receive(settings, newer, "banco_aurora"))
    found = service.receive(settings, older, "banco_aurora")
    assert found.status == "quarantined"
    assert "já foi aceita" in (found.reason or "")
    assert not (settings.var / str(found.folder) / outputs.ACCEPTED).exists()


def test_a_replay_leaves_what_a_person_accepted_meanwhile_as_it_is(
    settings: Settings, tmp_path: Path, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    path = tmp_path / "AURORA_20261123.csv"
    path.write_bytes(aurora(1, 2, 3, wrong=3))
    held = service.receive(settings, path, "banco_aurora")
    assert held.rules == ["rejeicao"]
    meanwhile(
        lambda: service.accept(settings, held.id, ["rejeicao"], by="Ana", reason="são só duas")
    )
    done = service.replay(settings, held.id)
    assert done.status == "accepted"
    assert (settings.var / str(done.folder) / outputs.ACCEPTED).is_file()
    report = service.report_path(settings, done, "text")
    assert report is not None
    assert "ACEITO" in report.read_text(encoding="utf-8")


def test_of_two_corrections_at_once_one_counts(
    settings: Settings, tmp_path: Path, meanwhile: Callable[[Callable[[], Any]], None]
) -> None:
    path = tmp_path / "AURORA_20261123.csv"
    path.write_bytes(aurora(*range(40), wrong=3))
    original = service.receive(settings, path, "banco_aurora")
    assert (original.status, original.rows_rejected) == ("accepted", 1)
    rejected = settings.var / str(original.folder) / outputs.REJECTED
    text = rejected.read_text(encoding="utf-8-sig")
    fixed = []
    for name in ("Ana", "Bia"):
        base = "000000004"
        file = tmp_path / f"{name}.csv"
        right = text.replace(";123;", f";'{base}{cpf_check_digits(base)};")
        file.write_text(right.replace("Ana 3", name), encoding="utf-8")
        fixed.append(file)
    meanwhile(lambda: service.resubmit(settings, original.id, fixed[1]))
    late = service.resubmit(settings, original.id, fixed[0])
    assert late.status == "quarantined"
    assert "já foi corrigida pela entrega" in (late.reason or "")
    assert not (settings.var / str(late.folder) / outputs.ACCEPTED).exists()
    statuses = sorted(one.status for one in service.list_deliveries(settings))
    assert statuses == ["accepted", "accepted", "quarantined"]
