"""A creditor changes its file: adapted when proved, else proposed, approved and replayed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from zanc_pipeline.cli import cli
from zanc_pipeline.common.database import transaction
from zanc_pipeline.common.errors import ConfigError, ConflictError
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.reception import service
from zanc_pipeline.reception.checking import check_file
from zanc_pipeline.reception.drift import proposals
from zanc_pipeline.reception.ledger import Delivery

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from drift_files import FILES, Contract, TableFile, next_day, portfolio

pytestmark = pytest.mark.integration

BANK = FILES["delimited"][0]
assert isinstance(BANK, TableFile)
AURORA = replace(
    BANK,
    columns=tuple(
        column
        for column in BANK.columns
        if column.name not in {"valor_original", "emissao", "situacao"}
    ),
)
DAYS = [portfolio(3, 120)]
DAYS += [next_day(DAYS[0], 3, 1)]
DAYS += [next_day(DAYS[1], 3, 2)]


@pytest.fixture(autouse=True)
def nothing_received(settings: Settings) -> Iterator[None]:
    with transaction(settings, "zanc") as cursor:
        cursor.execute("TRUNCATE reception.delivery CASCADE")
    yield
    shutil.rmtree(settings.var / "layouts", ignore_errors=True)


@pytest.fixture
def sent(settings: Settings, tmp_path: Path) -> Iterator[object]:
    """Sends a day's file; the first was accepted already."""

    def send(day: int, rows: list[Contract], file: TableFile = AURORA) -> Delivery:
        path = tmp_path / f"AURORA_202611{day:02}.csv"
        path.write_bytes(file.content(rows))
        return service.receive(settings, path, "banco_aurora")

    assert send(20, DAYS[0]).status == "accepted"
    yield send


def without_email() -> TableFile:
    """The file as it comes one day: no e-mail, and the name under another title."""
    kept = tuple(column for column in AURORA.columns if column.name != "email")
    return replace(
        AURORA,
        columns=tuple(
            replace(column, title="CLIENTE") if column.name == "nome" else column for column in kept
        ),
    )


def loaded(settings: Settings, delivery: Delivery) -> dict[str, dict[str, object]]:
    table = pq.read_table(settings.var / "deliveries" / str(delivery.id) / "accepted.parquet")
    return {row["contract"]: row for row in table.to_pylist()}


def test_newer_data_in_the_same_shape_is_accepted(settings: Settings, sent) -> None:  # type: ignore[no-untyped-def]
    second = sent(21, DAYS[1])
    assert (second.status, second.reason) == ("accepted", None)
    with transaction(settings, "zanc") as cursor:
        cursor.execute("SELECT content FROM reception.fingerprint ORDER BY delivery_id DESC")
        newest = cursor.fetchone()["content"]
    assert newest["overlap"] > 0.9
    assert newest["agreement"]["nome"] > 0.99
    everything = json.dumps(newest, ensure_ascii=False)
    personal = {text for c in DAYS[1] for text in (c.cpf, c.name, c.email, *c.phones) if text}
    assert [text for text in personal if text in everything] == []


def test_what_is_proved_adapts_by_itself_and_says_so(settings: Settings, sent) -> None:  # type: ignore[no-untyped-def]
    moved = (*AURORA.columns[3:], *AURORA.columns[:3])
    delivery = sent(21, DAYS[1], replace(AURORA, columns=moved, delimiter="|", encoding="utf-8"))
    assert (delivery.status, delivery.reason) == ("accepted", None)
    rows = loaded(settings, delivery)
    assert {one.contract: one.name for one in DAYS[1]} == {
        contract: row["name"] for contract, row in rows.items()
    }
    proposal = proposals.get(settings, delivery.id)
    assert proposal is not None and proposal.status == "adapted"
    report = service.report_path(settings, delivery, "text")
    assert report is not None and "separador: ; → |" in report.read_text()
    assert sent(22, DAYS[2]).status == "accepted"  # the creditor is back to the old shape


def test_swapped_contents_are_never_loaded_under_the_wrong_title(settings: Settings, sent) -> None:  # type: ignore[no-untyped-def]
    texts = {column.name: column.text for column in AURORA.columns}
    swap = {"vencimento": texts["nascimento"], "nascimento": texts["vencimento"]}
    wrong = replace(
        AURORA,
        columns=tuple(replace(c, text=swap.get(c.name, c.text)) for c in AURORA.columns),
    )
    delivery = sent(21, DAYS[1], wrong)
    rows = loaded(settings, delivery) if delivery.status == "accepted" else {}
    meant = {one.contract: one.due for one in DAYS[1]}
    assert all(row["due_date"] == meant[contract] for contract, row in rows.items())


@pytest.mark.parametrize("inside", [True, False])
def test_a_file_that_was_cut_off_is_never_read_otherwise(
    settings: Settings,
    tmp_path: Path,
    sent,  # type: ignore[no-untyped-def]
    inside: bool,
) -> None:
    """Wherever the connection broke; a person may still say that a whole last line is the end."""
    lines = AURORA.content(DAYS[1]).split(b"\r\n")[:100]
    content = b"\r\n".join(lines)
    path = tmp_path / "AURORA_20261121.csv"
    path.write_bytes(content[:-30] if inside else content)
    delivery = service.receive(settings, path, "banco_aurora")
    assert delivery.status == "quarantined"
    proposal = proposals.get(settings, delivery.id)
    assert (proposal is None) == inside
    told = "cortado" if inside else "inteiro"
    assert told in (delivery.reason or "")


def test_a_proposal_is_approved_once_and_the_delivery_replayed(settings: Settings, sent) -> None:  # type: ignore[no-untyped-def]
    delivery = sent(21, DAYS[1], without_email())
    assert delivery.status == "quarantined"
    assert "email" in (delivery.reason or "") and "proposal" in (delivery.reason or "")
    assert [one.delivery_id for one in proposals.list_open(settings)] == [delivery.id]
    done = proposals.approve(settings, delivery.id, by="Ana", note="o credor confirmou")
    assert (done.status, done.layout_version) == ("accepted", "2")
    path = settings.var / "layouts" / "banco_aurora" / "layout-2.yaml"
    assert "vigencia: 2026-11-21" in path.read_text() and "CLIENTE" in path.read_text()
    assert proposals.approve(settings, delivery.id, by="Ana").status == "accepted"
    assert sorted(path.parent.iterdir()) == [path]
    newer = sent(22, DAYS[2], without_email())
    assert (newer.status, newer.layout_version) == ("accepted", "2")
    back = sent(23, next_day(DAYS[2], 3, 3))  # the creditor is back to the first version
    assert (back.status, back.reason) == ("accepted", None)
    assert any(row["email"] for row in loaded(settings, back).values())


def test_an_approval_that_was_killed_is_completed(
    settings: Settings,
    sent,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delivery = sent(21, DAYS[1], without_email())

    def die(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("zanc_pipeline.reception.drift.store.decide", die)
        with pytest.raises(KeyboardInterrupt):
            proposals.approve(settings, delivery.id, by="Ana")
    with monkeypatch.context() as patch:
        patch.setattr("zanc_pipeline.reception.service.replay", die)
        with pytest.raises(KeyboardInterrupt):
            proposals.approve(settings, delivery.id, by="Ana")
    assert proposals.approve(settings, delivery.id, by="Ana").status == "accepted"
    assert len(list((settings.var / "layouts" / "banco_aurora").iterdir())) == 1


def test_a_folder_that_can_not_be_written_is_named(settings: Settings, sent) -> None:  # type: ignore[no-untyped-def]
    delivery = sent(21, DAYS[1], without_email())
    (settings.var / "layouts").write_text("no folder")
    try:
        with pytest.raises(ConfigError, match="não pôde ser gravada"):
            proposals.approve(settings, delivery.id, by="Ana")
    finally:
        (settings.var / "layouts").unlink()
    found = proposals.get(settings, delivery.id)
    assert found is not None and found.status == "proposed"


def test_the_commands_show_approve_and_reject(
    settings: Settings,
    sent,  # type: ignore[no-untyped-def]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zanc_pipeline.reception.cli.settings", lambda: settings)
    monkeypatch.setattr("zanc_pipeline.reception.drift.cli.settings", lambda: settings)
    number = str(sent(21, DAYS[1], without_email()).id)

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, ["reception", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    shown = run("proposal", number)
    assert "não veio" in shown and "CLIENTE" in shown and "Para aprovar" in shown
    assert not any(one.cpf in shown for one in DAYS[1])
    assert json.loads(run("proposal", number, "--json"))["status"] == "proposed"
    assert "recusada" in run("reject", number, "--by", "Ana", "--reason", "o credor vai corrigir")
    with pytest.raises(ConflictError, match="já foi recusado por Ana"):
        proposals.approve(settings, int(number), by="Bia")
    with pytest.raises(ConflictError, match="não tem layout proposto"):
        proposals.approve(settings, service.list_deliveries(settings)[-1].id, by="Bia")


def kept(settings: Settings) -> tuple[list[Path], dict[str, int]]:
    """What reception keeps: its files, and how many rows its tables have."""
    roots = [path for path in settings.var.iterdir() if path.name not in {"postgres", "tmp"}]
    with transaction(settings, "zanc") as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'reception'"
        )
        tables = sorted(row["table_name"] for row in cursor.fetchall())
        counts = {}
        for table in tables:
            cursor.execute(f'SELECT count(*) AS n FROM reception."{table}"')
            counts[table] = cursor.fetchall()[0]["n"]
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file()), counts


def test_check_tells_what_receive_then_judges_and_keeps_nothing(
    settings: Settings,
    sent,  # type: ignore[no-untyped-def]
    tmp_path: Path,
) -> None:
    swapped = replace(AURORA, columns=tuple(reversed(AURORA.columns)))
    files = {
        "accepted": (21, DAYS[1], swapped),
        "duplicate": (22, DAYS[1], swapped),
        "quarantined": (23, DAYS[2], without_email()),
        "older": (19, DAYS[2], AURORA),
    }
    for expected, (day, rows, file) in files.items():
        path = tmp_path / f"AURORA_202611{day:02}.csv"
        path.write_bytes(file.content(rows))
        before = kept(settings)
        delivery, told, notes = check_file(settings, path, "banco_aurora", datetime.now(tz=UTC))
        assert kept(settings) == before
        assert (delivery.id, notes) == (0, [])
        judged = sent(day, rows, file)
        status = "quarantined" if expected == "older" else expected
        assert (told.verdict.status, judged.status) == (status, status), expected
        # Only what to do about a proposed layout differs: it has no number yet.
        both = [
            (reason or "").partition(" proposto: ")[0]
            for reason in (told.verdict.reason, judged.reason)
        ]
        assert both[0] == both[1]
        assert told.verdict.duplicate_of == judged.duplicate_of
        assert told.verdict.rows_accepted == judged.rows_accepted


def test_one_strange_row_is_put_aside_alone_until_a_person_sends_it_back(
    settings: Settings,
    sent,  # type: ignore[no-untyped-def]
    tmp_path: Path,
) -> None:
    known = {one.contract for one in DAYS[0]}
    odd = next(one for one in DAYS[1] if one.contract in known)
    rows = [replace(one, name="Fulano de Tal") if one is odd else one for one in DAYS[1]]
    delivery = sent(21, rows)
    assert (delivery.status, delivery.rows_rejected) == ("accepted", 1)
    assert odd.contract not in loaded(settings, delivery)
    told = (settings.var / "deliveries" / str(delivery.id) / "relatorio.txt").read_text()
    assert "devolva a linha como veio" in told and f"antes era '{odd.name[:1]}***'" in told

    path = settings.var / "deliveries" / str(delivery.id) / "rejeitadas.csv"
    confirmed = service.resubmit(settings, delivery.id, path)
    assert (confirmed.status, confirmed.rows_rejected) == ("accepted", 0)
    assert loaded(settings, confirmed)[odd.contract]["name"] == "Fulano de Tal"
    later = sent(22, [replace(one, amount=one.amount + 1) for one in rows])
    assert (later.status, later.rows_rejected) == ("accepted", 0)


def test_a_strange_row_that_comes_again_the_next_day_is_loaded(
    settings: Settings,
    sent,  # type: ignore[no-untyped-def]
) -> None:
    known = {one.contract for one in DAYS[0]}
    odd = next(one for one in DAYS[1] if one.contract in known)
    rows = [replace(one, name="Fulano de Tal") if one is odd else one for one in DAYS[1]]
    assert sent(21, rows).rows_rejected == 1
    again = sent(22, [replace(one, amount=one.amount + 1) for one in rows])
    assert (again.status, again.rows_rejected) == ("accepted", 0)
    report = service.report_path(settings, again, "text")
    assert report is not None and "voltaram iguais" in report.read_text()


def test_odd_rows_that_the_sample_left_out_are_put_aside_too(
    settings: Settings, tmp_path: Path
) -> None:
    first = portfolio(4, 3_000)
    before = {one.contract for one in first}
    known = [one for one in next_day(first, 4, 1) if one.contract in before]
    odd = {one.contract for one in known[::300]}
    rows = [replace(one, name="Fulano de Tal") if one.contract in odd else one for one in known]
    for day, content in ((20, first), (21, rows)):
        path = tmp_path / f"AURORA_202611{day}.csv"
        path.write_bytes(AURORA.content(content))
        delivery = service.receive(settings, path, "banco_aurora")
        assert delivery.status == "accepted", delivery.reason
    assert {one.contract for one in known} - loaded(settings, delivery).keys() == odd
    told = (settings.var / "deliveries" / str(delivery.id) / "rejeitadas.csv").read_text()
    assert told.count("antes era") == len(odd)
