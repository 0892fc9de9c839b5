"""Reception on a real PostgreSQL and a real FTP server."""

from __future__ import annotations

import ftplib
import io
import json
import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

from tests.patience import PATIENCE
from zanc_pipeline.cli import cli
from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConflictError, UnavailableError, UnknownConvenio
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import arrivals, ledger, outputs, service
from zanc_pipeline.reception.archive import store

pytestmark = pytest.mark.integration

HEADER = (
    "CPF;NOME;CONTRATO;PRODUTO;VALOR;VENCIMENTO;NASCIMENTO;EMAIL;CIDADE;UF;"
    "DDD1;FONE1;DDD2;FONE2;DDD3;FONE3;OBITO"
)


_PORTFOLIOS = count(1)


def portfolio(
    rows: int = 40, *, bad: int = 1, value: str = "10,00", people: int | None = None
) -> bytes:
    """A file of people that no other test sends; the last ``bad`` rows have wrong CPFs."""
    number = next(_PORTFOLIOS)
    lines = [HEADER]
    for place in range(rows):
        base = f"00{people or number:03}{place + 1:04}"
        cpf = base + (cpf_check_digits(base) if place < rows - bad else "xx")
        lines.append(
            f"{cpf};Ana;C{number:03}{place:05};X;{value};31/01/2026;;;Natal;RN;84;987654321;;;;;N"
        )
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


@pytest.fixture(autouse=True)
def nothing_received(settings: Settings) -> None:
    """A convênio's past judges its next file: every test begins without one."""
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE reception.delivery CASCADE")


@pytest.fixture
def aurora(tmp_path: Path) -> Path:
    path = tmp_path / "AURORA_20261123.csv"
    path.write_bytes(portfolio())
    return path


def test_a_file_is_received_with_its_rows_report_and_ledger(
    settings: Settings, aurora: Path
) -> None:
    delivery = service.receive(settings, aurora, "banco_aurora")
    assert (delivery.status, delivery.reason, delivery.layout_version) == ("accepted", None, "1")
    assert (delivery.rows_total, delivery.rows_accepted, delivery.rows_rejected) == (40, 39, 1)
    assert str(delivery.reference_date) == "2026-11-23"
    folder = settings.var / "deliveries" / str(delivery.id)
    table = pq.read_table(folder / outputs.ACCEPTED)
    assert table.num_rows == 39
    assert str(table.schema.field("amount").type) == "decimal128(14, 2)"
    report = (folder / outputs.TEXT_REPORT).read_text(encoding="utf-8")
    assert "Linhas aceitas       39" in report
    assert "ACEITO" in report
    wrong = aurora.read_text(encoding="latin-1").splitlines()[40].partition(";")[0]
    assert wrong not in report
    assert wrong in (folder / outputs.REJECTED).read_text(encoding="utf-8-sig")
    archived = settings.var / "archive" / delivery.sha256[:2] / delivery.sha256
    assert archived.read_bytes() == aurora.read_bytes()
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT line, field, found FROM reception.rejected_row WHERE delivery_id = %s",
            (delivery.id,),
        )
        assert [dict(row) for row in cursor.fetchall()] == [
            {"line": 41, "field": "cpf", "found": "*********xx"}
        ]
    assert service.get_delivery(settings, delivery.id) == delivery
    assert delivery in service.list_deliveries(settings, "banco_aurora")


def test_the_same_bytes_under_another_name_are_a_duplicate(
    settings: Settings, aurora: Path
) -> None:
    first = service.receive(settings, aurora, "banco_aurora")
    second = service.receive(
        settings, aurora.rename(aurora.with_name("AURORA_20261124.csv")), "banco_aurora"
    )
    assert (second.status, second.duplicate_of) == ("duplicate", first.id)
    assert f"entrega {first.id}" in (second.reason or "")


def test_a_portfolio_that_is_back_to_what_it_was_is_received(
    settings: Settings, aurora: Path
) -> None:
    old, other = aurora.read_bytes(), portfolio()
    statuses = []
    for name, content in (
        ("AURORA_20261123.csv", old),
        ("AURORA_20261124.csv", other),
        ("AURORA_20261125.csv", old),
        ("AURORA_20261126.csv", old),
        ("AURORA_20261124.csv", other),
    ):
        path = aurora.with_name(name)
        path.write_bytes(content)
        statuses.append(service.receive(settings, path, "banco_aurora").status)
    assert statuses == ["accepted", "accepted", "accepted", "duplicate", "duplicate"]


def test_a_creditor_who_numbers_its_debts_anew_is_doubted_once(
    settings: Settings, tmp_path: Path
) -> None:
    statuses = []
    for day in (23, 24, 25):
        path = tmp_path / f"AURORA_202611{day}.csv"
        path.write_bytes(portfolio(people=999))
        delivery = service.receive(settings, path, "banco_aurora")
        statuses.append(delivery.status)
        if delivery.status == "quarantined":
            assert "vieram com outro número de contrato" in (delivery.reason or "")
            service.accept(settings, delivery.id, ["aspecto"], by="Ana", reason="são faturas")
    assert statuses == ["accepted", "quarantined", "accepted"]


def test_the_same_upload_is_received_once(settings: Settings, aurora: Path) -> None:
    remote = service.RemoteFile(
        path=f"/banco_aurora/{uuid4().hex}/{aurora.name}",
        size=aurora.stat().st_size,
        modified="20261123120000",
    )
    assert not service.is_known(settings, "banco_aurora", remote)
    first = service.receive(settings, aurora, "banco_aurora", remote=remote)
    assert service.receive(settings, aurora, "banco_aurora", remote=remote) == first
    assert service.is_known(settings, "banco_aurora", remote)
    assert first.uploaded_at is not None
    assert first.uploaded_at.isoformat().startswith("2026-11-23T12:00:00")


@pytest.mark.parametrize(
    ("convenio", "name", "content", "words"),
    [
        ("banco_aurora", "AURORA_20261123.csv", b"", "vazio"),
        ("banco_aurora", "OUTRO.csv", b"outro", "não é de um arquivo deste convênio"),
        ("banco_aurora", "AURORA_20251231.csv", b"x", "nenhuma versão do layout vale"),
        ("loja_horizonte", "LHZ_20261123_0001.rem", b"\xff\x00" * 500 + b"\n", "linha 1"),
        (service.UNKNOWN_CONVENIO, "qualquer.csv", b"a;b\n", "nenhum convênio"),
    ],
)
def test_a_bad_file_is_quarantined_and_says_why(
    settings: Settings, tmp_path: Path, convenio: str, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    delivery = service.receive(settings, path, convenio)
    assert delivery.status == "quarantined"
    assert words in (delivery.reason or "")
    report = settings.var / "deliveries" / str(delivery.id) / outputs.HTML_REPORT
    assert report.is_file()


def test_a_file_quarantined_for_its_name_is_accepted_when_sent_under_the_right_one(
    settings: Settings, aurora: Path
) -> None:
    wrong = service.receive(settings, aurora.rename(aurora.with_name("aurora.csv")), "banco_aurora")
    again = service.receive(settings, aurora.with_name("aurora.csv"), "banco_aurora")
    right = service.receive(settings, aurora.with_name("aurora.csv").rename(aurora), "banco_aurora")
    assert [one.status for one in (wrong, again, right)] == ["quarantined", "duplicate", "accepted"]
    assert f"entrega {wrong.id}" in (again.reason or "")


def test_a_convenio_that_does_not_exist_is_an_error_of_the_caller(
    settings: Settings, aurora: Path
) -> None:
    with pytest.raises(UnknownConvenio, match="banco_aurora"):
        service.receive(settings, aurora, "banco_aurorra")


def test_a_quarantined_delivery_is_accepted_by_replay_once_a_person_decided(
    settings: Settings, tmp_path: Path
) -> None:
    whole, tiny = tmp_path / "AURORA_20261125.csv", tmp_path / "AURORA_20261126.csv"
    whole.write_bytes(portfolio(400))
    tiny.write_bytes(portfolio(20, bad=0))
    assert service.receive(settings, whole, "banco_aurora").status == "accepted"
    held = service.receive(settings, tiny, "banco_aurora")
    assert held.status == "quarantined"
    assert "encolhido" in (held.reason or "")
    assert not (settings.var / "deliveries" / str(held.id) / outputs.ACCEPTED).exists()
    assert service.replay(settings, held.id).status == "quarantined"
    with pytest.raises(ConflictError, match="não está retida por 'valores'"):
        service.accept(settings, held.id, ["valores"], by="Ana", reason="o credor confirmou")
    accepted = service.accept(settings, held.id, ["volume"], by="Ana", reason="o credor confirmou")
    assert (accepted.status, accepted.rows_accepted) == ("accepted", 20)
    with pytest.raises(ConflictError, match="só uma em quarentena"):
        service.replay(settings, held.id)
    service.mark_loaded(settings, held.id)
    service.mark_loaded(settings, held.id)
    assert service.get_delivery(settings, held.id).status == "loaded"


def _receive_and_die(settings: Settings, path: Path, where: str) -> None:
    """Receive in a process of its own that is killed when it reaches ``where``."""
    module, _, name = where.rpartition(".")
    patch = pytest.MonkeyPatch()
    patch.setattr(f"{module}.{name}", lambda *_args, **_kw: os.kill(os.getpid(), 9))
    service.receive(settings, path, "banco_aurora")


@pytest.mark.parametrize(
    "where",
    [
        "zanc_pipeline.reception.ledger.insert_received",
        "zanc_pipeline.reception.verdicts.process",
        "zanc_pipeline.reception.finishing.write_folder",
        "zanc_pipeline.reception.report.html",
        "zanc_pipeline.reception.ledger.settle",
    ],
)
def test_killed_anywhere_the_same_call_completes_it(
    settings: Settings, aurora: Path, where: str
) -> None:
    child = multiprocessing.get_context("fork").Process(
        target=_receive_and_die, args=(settings, aurora, where)
    )
    child.start()
    child.join()
    assert child.exitcode == -9
    delivery = service.receive(settings, aurora, "banco_aurora")
    assert (delivery.status, delivery.rows_accepted) == ("accepted", 39)
    same = [
        one
        for one in service.list_deliveries(settings, "banco_aurora")
        if one.sha256 == delivery.sha256
    ]
    assert same == [delivery]


def test_a_delivery_left_half_received_is_completed_by_the_next_same_file(
    settings: Settings, aurora: Path
) -> None:
    remote = service.RemoteFile(path=f"/x/{uuid4().hex}.csv", size=1, modified="20261123120000")
    sha256 = store(settings.var, aurora).sha256
    with transaction(settings, "zanc") as cursor:
        half = ledger.insert_received(
            cursor, "banco_aurora", aurora.name, sha256, aurora.stat().st_size, remote
        )
    again = service.receive(
        settings, aurora.rename(aurora.with_name("AURORA_20261124.csv")), "banco_aurora"
    )
    assert service.get_delivery(settings, half.id).status == "accepted"
    assert (again.status, again.duplicate_of) == ("duplicate", half.id)


def test_two_receptions_of_the_same_bytes_at_once_accept_one(
    settings: Settings, tmp_path: Path
) -> None:
    content = portfolio()
    results: list[service.Delivery] = []

    def receive(number: int) -> None:
        path = tmp_path / str(number) / "AURORA_20261127.csv"
        path.parent.mkdir()
        path.write_bytes(content)
        remote = service.RemoteFile(
            path=f"/banco_aurora/{uuid4().hex}-{number}.csv/AURORA_20261127.csv",
            size=len(content),
            modified="20261127120000",
        )
        results.append(service.receive(settings, path, "banco_aurora", remote=remote))

    threads = [threading.Thread(target=receive, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.status for one in results) == ["accepted", "duplicate", "duplicate"]


@pytest.fixture
def ftp(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A real FTP server on the settings' port; the folder that it serves."""
    root = tmp_path / "ftp"
    for folder in ("banco_aurora", "estranho"):
        (root / folder).mkdir(parents=True)
    authorizer = DummyAuthorizer()
    authorizer.add_user(settings.ftp.username, settings.ftp.password, str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    server = ThreadedFTPServer((settings.ftp.host, settings.ftp.port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.1}, daemon=True)
    thread.start()
    try:
        yield root
    finally:
        server.close_all()
        thread.join(PATIENCE)


def test_arrivals_are_listed_and_fetched(settings: Settings, ftp: Path, tmp_path: Path) -> None:
    content = portfolio()
    (ftp / "banco_aurora" / "AURORA_20261123.csv").write_bytes(content)
    (ftp / "banco_aurora" / "AURORA_20261124.csv.part").write_bytes(b"half")
    (ftp / "banco_aurora" / ".oculto").write_bytes(b"x")
    (ftp / "estranho" / "posição.csv").write_bytes(b"x")
    (ftp / "raiz.csv").write_bytes(b"x")
    found = arrivals.scan(settings)
    assert {(one.convenio, one.path, one.size) for one in found} == {
        ("banco_aurora", "/banco_aurora/AURORA_20261123.csv", len(content)),
        (service.UNKNOWN_CONVENIO, "/estranho/posição.csv", 1),
        (service.UNKNOWN_CONVENIO, "/raiz.csv", 1),
    }
    for one in found:
        path = arrivals.fetch(settings, one, tmp_path / "into")
        assert path.name == one.path.rpartition("/")[2]
    assert (tmp_path / "into" / "AURORA_20261123.csv").read_bytes() == content


def test_a_server_without_mlsd_gives_the_same_list(
    settings: Settings, ftp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ftp / "banco_aurora" / "AURORA_20261123.csv").write_bytes(b"abc")
    (ftp / "raiz.csv").write_bytes(b"x")
    modern = arrivals.scan(settings)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise ftplib.error_perm("500 unknown command")

    monkeypatch.setattr(ftplib.FTP, "mlsd", refuse)
    assert arrivals.scan(settings) == modern


def test_a_file_that_grows_while_it_is_fetched_is_for_a_later_try(
    settings: Settings, ftp: Path, tmp_path: Path
) -> None:
    path = ftp / "banco_aurora" / "AURORA_20261123.csv"
    path.write_bytes(b"abc")
    (arrival,) = arrivals.scan(settings)
    path.write_bytes(b"abcdef")
    with pytest.raises(UnavailableError, match="changed"):
        arrivals.fetch(settings, arrival, tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


def test_a_server_that_is_away_is_named_with_its_address(settings: Settings) -> None:
    with pytest.raises(UnavailableError, match=f"FTP at 127.0.0.1:{settings.ftp.port}"):
        arrivals.scan(settings)
    with socket.socket() as probe:
        assert probe.connect_ex((settings.ftp.host, settings.ftp.port)) != 0


def test_a_slow_upload_is_not_listed_as_ready_before_it_ends(settings: Settings, ftp: Path) -> None:
    tracker = arrivals.StabilityTracker(3)
    with ftplib.FTP(timeout=PATIENCE) as client:
        client.connect(settings.ftp.host, settings.ftp.port)
        client.login(settings.ftp.username, settings.ftp.password)
        client.storbinary("STOR banco_aurora/AURORA_20261123.csv", io.BytesIO(b"half"))
        assert tracker.ready(arrivals.scan(settings), 0.0) == []
        client.storbinary("APPE banco_aurora/AURORA_20261123.csv", io.BytesIO(b" whole"))
        assert tracker.ready(arrivals.scan(settings), 4.0) == []
    (ready,) = tracker.ready(arrivals.scan(settings), 7.0)
    assert ready.size == 10


def test_the_commands_tell_clerks_and_programs_what_happened(
    settings: Settings, aurora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zanc_pipeline.reception.cli.settings", lambda: settings)
    run = CliRunner().invoke

    checked = run(cli, ["reception", "check", str(aurora), "--convenio", "banco_aurora"])
    assert checked.exit_code == 0
    assert "Linhas rejeitadas    1" in checked.stdout

    received = run(
        cli, ["reception", "receive", str(aurora), "--convenio", "banco_aurora", "--json"]
    )
    assert received.exit_code == 0
    delivery = json.loads(received.stdout)
    assert (delivery["status"], delivery["rows_accepted"]) == ("accepted", 39)

    empty = aurora.with_name("AURORA_20261130.csv")
    empty.write_bytes(b"")
    refused = run(cli, ["reception", "receive", str(empty), "--convenio", "banco_aurora"])
    assert refused.exit_code == 1
    assert "em quarentena" in refused.stdout

    listed = run(cli, ["reception", "deliveries", "--convenio", "banco_aurora", "--json"])
    assert [one["id"] for one in json.loads(listed.stdout)][1] == delivery["id"]
    shown = run(cli, ["reception", "deliveries", "--convenio", "banco_aurora"]).stdout
    assert "39 de 40 linhas aceitas" in shown
