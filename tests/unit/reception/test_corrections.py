"""Cells that survive a spreadsheet, and the corrected rows that come back from one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.cells import is_rewritten_number, protected, protected_all, unprotected
from zanc_pipeline.reception.corrections import Corrections, read_corrections
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.problems import FileRejected, RejectedRow
from zanc_pipeline.reception.readers.base import Batch

LAYOUT = load_layout(
    Path(__file__).parents[3] / "config" / "convenios" / "banco_aurora" / "layout.yaml"
)
NAMES = [spec.name for spec in LAYOUT.fields]


@given(st.text())
def test_what_is_protected_comes_back_as_it_was(cell: str) -> None:
    assert unprotected(protected(cell)) == cell


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+55", "-5,00", "@x", "\t=1", " =1", "00123", "12-5", "1E5", "1.5", "123456789012",
     "'x", "2026-01-31", "1/2", "MAR 1"],
)  # fmt: skip
def test_what_a_spreadsheet_would_rewrite_is_protected(cell: str) -> None:
    assert protected(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell", ["", "Ana", "José da Silva 2", "1.234,56", "10,00", "31/01/2026", "98765", "a1@b.com"]
)
def test_what_a_spreadsheet_keeps_is_left_alone(cell: str) -> None:
    assert protected(cell) == (f"'{cell}" if cell == "José da Silva 2" else cell)


def test_a_number_that_lost_its_digits_is_recognised() -> None:
    assert is_rewritten_number("1,23457E+15")
    assert is_rewritten_number("1E15")
    assert not is_rewritten_number("123E")


def row(line: int, **cells: str) -> list[str]:
    good = {"cpf": "'00000000191", "nome": "José", "contrato": "'007", "valor": "1.234,56"}
    return [str(line), "cpf", "motivo", *((good | cells).get(name, "") for name in NAMES), ""]


HEADER = ["linha", "campo", "problema", *NAMES, "linha_original"]


def csv_of(rows: list[list[str]], delimiter: str = ";") -> str:
    return "".join(f"{delimiter.join(cells)}\r\n" for cells in [HEADER, *rows])


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8-sig", ";"), ("utf-8", ";"), ("cp1252", ";"), ("cp1252", "\t")],
)
def test_whatever_excel_saves_is_read(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = tmp_path / "rejeitadas.csv"
    path.write_bytes(csv_of([row(7), [""] * len(HEADER)], delimiter).encode(encoding))
    found = read_corrections(path, LAYOUT.fields, frozenset({7}))
    assert list(found) == [7]
    assert (found[7]["nome"], found[7]["contrato"]) == ("José", "007")
    assert found[7]["cpf"] == "00000000191"


def test_a_workbook_is_read_too(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(HEADER)
    page.append([7, "cpf", "x", *(1234.5 if name == "valor" else "a" for name in NAMES)])
    path = tmp_path / "rejeitadas.xlsx"
    book.save(path)
    found = read_corrections(path, LAYOUT.fields, frozenset({7}))
    assert (found[7]["valor"], found[7]["nome"]) == ("1234,5", "a")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "faltam as colunas"),
        (b"a;b\n1;2\n", "faltam as colunas linha, cpf"),
        (b"\0\0", "salve a planilha"),
        (csv_of([row(8)]).encode(), "a linha 8 do original não foi rejeitada"),
        (csv_of([row(7), row(7)]).encode(), "a linha 7 aparece duas vezes"),
        (csv_of([row(7, contrato="1,2E+15")]).encode(), "linha 2, coluna contrato"),
        (csv_of([]).encode(), "nenhuma linha corrigida"),
        (b"PK\x03\x04rest", "rejeitadas.csv"),
    ],
)
def test_what_is_no_correction_says_where(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "rejeitadas.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_corrections(path, LAYOUT.fields, frozenset({7}))


def batch() -> Batch:
    cells = {name: pa.array([f"{name}-2", f"{name}-4"]) for name in NAMES}
    broken = [
        RejectedRow(line=line, offset=line * 10, cells=("x;y",), problems=()) for line in (3, 5)
    ]
    return Batch(line=np.array([2, 4]), offset=np.array([20, 40]), cells=cells, broken=broken)


def test_corrected_lines_take_the_place_of_theirs_in_order() -> None:
    good = dict.fromkeys(NAMES, "novo")
    corrections = Corrections(
        rows={3: good, 4: good | {"telefone_1": "84 987654321", "telefone_2": "84"}}
    )
    (found,) = corrections.over(LAYOUT, [batch()])
    assert found.line.tolist() == [2, 3, 4]
    assert found.offset.tolist() == [20, 30, 40]
    assert found.cells["nome"].to_pylist() == ["nome-2", "novo", "novo"]
    assert found.cells["telefone_1"][2].as_py() == f"84{DDD_MARK}987654321"
    assert found.cells["telefone_2"][2].as_py() == f"84{DDD_MARK}"
    assert [one.line for one in found.broken] == [5]


def test_a_line_that_is_not_in_the_file_refuses_all() -> None:
    corrections = Corrections(rows={9: dict.fromkeys(NAMES, "novo")})
    with pytest.raises(FileRejected, match="a linha 9 do arquivo corrigido"):
        list(corrections.over(LAYOUT, [batch()]))


@given(
    cells=st.lists(
        st.one_of(
            st.text(max_size=40),
            st.text(alphabet="0123456789/.,-+=' @aé²\t", max_size=30),
            st.sampled_from(["C123", "00123", "12-5", "1.234,56", "30/02/2020", "x" * 25 + "1"]),
        ),
        max_size=20,
    )
)
@settings(deadline=None)
def test_many_cells_are_protected_as_each_is(cells: list[str]) -> None:
    assert protected_all(pa.array(cells, type=pa.string())) == [protected(cell) for cell in cells]
