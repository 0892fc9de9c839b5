"""Spreadsheets inside zips: cells as a person reads them, archives that are not trusted."""

import io
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from reception_files import CPFS, Judge

from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.sheet_cells import Formula
from zanc_pipeline.reception.readers.spreadsheet import sheet_rows

TITLES = [
    "cpf", "cliente", "contrato", "plano", "saldo", "vencimento", "nascimento", "email", "cidade",
    "uf", "telefones", "falecido",
]  # fmt: skip


def row(contract: int = 1, **changes: Any) -> list[Any]:
    cpf = CPFS[contract % len(CPFS)]
    cells: dict[str, Any] = {
        "cpf": f"{cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}",
        "cliente": "Ana Conceição",
        "contrato": f"T{contract:05}",
        "plano": "Fibra",
        "saldo": 1234.5,
        "vencimento": date(2026, 1, 31),
        "nascimento": datetime(1980, 2, 29),  # noqa: DTZ001 - a sheet knows no zone
        "email": None,
        "cidade": "Natal",
        "uf": "RN",
        "telefones": "(84) 98765-4321 / 8433334444",
        "falecido": "não",
    }
    cells |= changes
    return list(cells.values())


def book(*rows: list[Any], sheet: str = "Carteira", titles: list[str] = TITLES) -> bytes:
    workbook = Workbook()
    workbook.active.title = sheet
    for cells in (titles, *rows):
        workbook.active.append(cells)
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def packed(content: bytes, name: str = "brisa.xlsx", **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other, data in more.items():
            archive.writestr(other, data)
    return out.getvalue()


def test_cells_become_typed_values(judge: Judge) -> None:
    (found,) = judge("telecom_brisa", packed(book(row()))).accepted.to_pylist()
    assert found["cpf"] == CPFS[1]
    assert found["amount"] == Decimal("1234.50")
    assert found["due_date"] == date(2026, 1, 31)
    assert found["birth_date"] == date(1980, 2, 29)
    assert (found["phone_1"], found["phone_2"], found["phone_3"]) == (
        "84987654321",
        "8433334444",
        None,
    )
    assert found["deceased"] is False
    assert found["line"] == 2


def test_a_workbook_is_read_whatever_its_name_is(tmp_path: Path) -> None:
    """An archived file is named by its digest, without the ending of a workbook."""
    archived = tmp_path / "32266cdf666b5e85815438505614075e"
    archived.write_bytes(book(row(), row(2, saldo="=1+1")))
    rows = list(sheet_rows(archived, "Carteira"))
    assert [number for number, _ in rows] == [1, 2, 3]
    assert isinstance(rows[2][1][TITLES.index("saldo")], Formula)


@pytest.mark.parametrize(
    ("saldo", "amount"),
    [(0.1 + 0.2, "0.30"), (1e6, "1000000.00"), (12, "12.00"), ("1.234,56", "1234.56")],
)
def test_numbers_mean_what_the_sheet_shows(judge: Judge, saldo: Any, amount: str) -> None:
    result = judge("telecom_brisa", packed(book(row(saldo=saldo))))
    assert result.accepted["amount"].to_pylist() == [Decimal(amount)]


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("saldo", 1.005, "valor"),
        ("saldo", "a confirmar", "valor"),
        ("vencimento", "?", "vencimento"),
    ],
)
def test_a_wrong_cell_rejects_its_row(judge: Judge, column: str, value: Any, field: str) -> None:
    rows = [row(n) for n in range(1, 31)]
    rows[3] = row(4, **{column: value})
    result = judge("telecom_brisa", packed(book(*rows)))
    assert [(p.line, p.field) for r in result.rejected for p in r.problems] == [(5, field)]


def test_a_value_beyond_the_last_title_rejects_its_row(judge: Judge) -> None:
    rows = [row(n) for n in range(1, 31)]
    rows[3] = [*row(4), "sobra"]
    result = judge("telecom_brisa", packed(book(*rows)))
    assert [r.line for r in result.rejected] == [5]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a zip", "zip está estragado"),
        (packed(book(row()))[:-40], "zip está estragado"),
        (packed(b"not a book"), "não é uma planilha"),
        (packed(book(row(), sheet="Outra")), "aba 'Carteira'"),
        (packed(book(row(), titles=[*TITLES[:-1], "morto"])), "'falecido'"),
        (packed(book()), "nenhuma linha"),
        (packed(book(row()), outro=b"x"), "traz 2"),
        (packed(book(row()), name="../../etc/passwd"), "aponta para fora"),
        (packed(book(row()), name="C:\\windows\\x.xlsx"), "aponta para fora"),
        (packed(b"\0" * 50_000_000), "não é normal"),
        (packed(b"x", **{f"{n}{'x' * 200}": b"" for n in range(5_000)}), "milhares de arquivos"),
    ],
)
def test_an_archive_that_is_not_what_it_should_be_is_rejected(
    judge: Judge, content: bytes, words: str
) -> None:
    with pytest.raises(FileRejected, match=words):
        judge("telecom_brisa", content)


def with_sheet(old: bytes, new: bytes) -> bytes:
    """A workbook of four rows whose sheet's XML was changed by hand."""
    content, out = book(*[[n, n] for n in range(3)], titles=["a", "b"]), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            assert not name.endswith("sheet1.xml") or old in data
            target.writestr(name, data.replace(old, new) if name.endswith("sheet1.xml") else data)
    return out.getvalue()


FAR_ROW = b'<row r="999999999"><c r="A999999999"><v>1</v></c></row></sheetData>'
WIDE_ROW = b'<row r="9"><c r="XFE9"><v>1</v></c></row></sheetData>'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"</sheetData>", FAR_ROW, "número 999999999"),
        (b"</sheetData>", WIDE_ROW, "16385 colunas"),
        (b'<row r="3"', b'<row r="2"', "não estão em ordem"),
        (b'r="B3"', b'r="A3"', "não estão em ordem"),
        (b'r="A3"', b'r="C3"', "não estão em ordem"),
    ],
)
def test_a_sheet_that_would_lose_cells_or_never_end_is_refused(
    tmp_path: Path, old: bytes, new: bytes, said: str
) -> None:
    (tmp_path / "x").write_bytes(with_sheet(old, new))
    with pytest.raises(FileRejected, match=said):
        list(sheet_rows(tmp_path / "x", None))


def test_a_gap_between_rows_and_cells_keeps_their_places(tmp_path: Path) -> None:
    gap = b'<row r="90"><c r="C90"><v>7</v></c></row></sheetData>'
    (tmp_path / "x").write_bytes(with_sheet(b"</sheetData>", gap))
    assert list(sheet_rows(tmp_path / "x", None))[-1] == (90, (None, None, 7))
