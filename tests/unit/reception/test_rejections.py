"""Rejected rows go to their file by the block: complete, in order, whatever the block's size."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from reception_files import aurora, aurora_row

from zanc_pipeline.reception import rejections, validate
from zanc_pipeline.reception.aside import REJECTED, AsideFiles, rejected_lines
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected, RejectedRow, RowProblem
from zanc_pipeline.reception.readers import base, read_file

LAYOUT = load_layout(
    Path(__file__).parents[3] / "config" / "convenios" / "banco_aurora" / "layout.yaml"
)


def content() -> bytes:
    """Every kind of rejected row by turns: two fields, none cut, a repeat, an open quote."""
    rows = []
    for n in range(1, 61):
        match n % 6:
            case 1:
                rows.append(aurora_row(n, CPF="1", VALOR="=2"))
            case 2:
                rows.append("a;b")
            case 3:
                rows.append(aurora_row(6))
            case 4:
                rows.append('"' + aurora_row(n))
            case _:
                rows.append(aurora_row(n))
    return aurora(*rows)


def unknown(rows: pa.Table) -> dict[int, list[RowProblem]]:
    """An objection of the CRM to every contract that ends with 5."""
    return {
        place: [RowProblem(line=line, field="contrato", found="x", problem="não está no CRM: veja")]
        for place, (line, contract) in enumerate(
            zip(rows["line"].to_pylist(), rows["contract"].to_pylist(), strict=True)
        )
        if contract.endswith("5")
    }


@pytest.mark.parametrize("at_once", [1, 3, 5_000])
def test_all_of_them_are_written_in_the_order_of_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(rejections, "AT_ONCE", at_once)
    path = tmp_path / "x.csv"
    path.write_bytes(content())
    files = AsideFiles(tmp_path)
    result = validate.stream(
        LAYOUT, lambda: read_file(LAYOUT, path, NameFacts()), files, check=unknown
    )
    files.finish()
    with (tmp_path / REJECTED).open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file, delimiter=";"))
    lines = [int(row["linha"]) for row in table]
    assert lines == sorted(lines) == [row.line for row in result.rejected]
    assert frozenset(lines) == rejected_lines(tmp_path / "rejected_lines.bin")
    assert len(lines) == result.rows_rejected == 60 - result.rows_accepted
    assert table[0] | {"campo": "cpf, valor", "cpf": "1", "valor": "'=2"} == table[0]
    assert table[1]["linha_original"] == "a;b"
    assert "repete o valor da linha 4" in table[4]["problema"]
    assert {row["campo"] for row in table} == {"cpf, valor", "linha", "contrato"}
    assert sum(row["problema"].startswith("não está no CRM") for row in table) == 2


def test_a_row_is_the_same_in_the_file_and_where_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content())
    files = AsideFiles(tmp_path)
    result = validate.stream(LAYOUT, lambda: read_file(LAYOUT, path, NameFacts()), files)
    first, second = result.rejected[:2]
    assert [(one.field, one.found) for one in first.problems] == [("cpf", "1"), ("valor", "=2")]
    assert isinstance(second, RejectedRow)
    assert second.cells == ("a;b",)
    files.close()


def test_a_file_without_hope_is_read_no_further_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "HOPELESS_ROWS", 20)
    monkeypatch.setattr(base, "CHUNK_BYTES", 1_000)
    path = tmp_path / "x.csv"
    path.write_bytes(aurora(*[aurora_row(n, CPF="1") for n in range(100)]))
    files = AsideFiles(tmp_path)
    result = validate.stream(LAYOUT, lambda: read_file(LAYOUT, path, NameFacts()), files)
    files.finish()
    assert 20 <= result.rows_rejected < 40
    with pytest.raises(FileRejected, match=r"nenhuma das primeiras \d+ linhas .* não foi lido"):
        validate.judge_file(LAYOUT, result)
    written = rejected_lines(tmp_path / "rejected_lines.bin")
    assert written == frozenset(range(2, result.rows_rejected + 2))
    limits = LAYOUT.limits.model_copy(update={"rejected_share": 0.9})
    patient = LAYOUT.model_copy(update={"limits": limits})
    result = validate.stream(patient, lambda: read_file(patient, path, NameFacts()), files)
    files.close()
    assert (result.rows_rejected, result.stopped) == (100, False)


def test_one_good_row_is_hope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "HOPELESS_ROWS", 20)
    monkeypatch.setattr(base, "CHUNK_BYTES", 1_000)
    path = tmp_path / "x.csv"
    path.write_bytes(aurora(aurora_row(0), *[aurora_row(n, CPF="1") for n in range(1, 100)]))
    result = validate.stream(
        LAYOUT, lambda: read_file(LAYOUT, path, NameFacts()), validate.Discard()
    )
    assert (result.rows_rejected, result.stopped) == (99, False)
