"""xls, ods, formulas, JSON lines and gzip: values as people see them, bombs refused."""

import gzip
import io
import json
import struct
import zipfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from reception_files import CPFS

from zanc_pipeline.reception.layout import Layout, SetLayout, parse_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.read import read_detected
from zanc_pipeline.reception.readers import read_file, unzip
from zanc_pipeline.reception.readers.sheet_cells import Formula, cell_text
from zanc_pipeline.reception.readers.spreadsheet import sheet_rows
from zanc_pipeline.reception.validate import Collected, validate

FIELDS: list[dict[str, Any]] = [
    {"nome": name} for name in ("cpf", "nome", "contrato", "valor", "vencimento")
]
TITLES = [field["nome"] for field in FIELDS]
ROW = [CPFS[0], "Ana Conceição", "C1", 1234.5, date(2026, 1, 31)]
QUIET = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def layout_of(kind: str = "planilha", **keys: Any) -> Layout:
    found = parse_layout(
        {
            "versao": "1",
            "vigencia": date(2026, 1, 1),
            "arquivos": "*",
            "formato": kind,
            "campos": FIELDS,
            **keys,
        },
        "layout.yaml",
    )
    assert not isinstance(found, SetLayout)
    return found


def judged(path: Path, layout: Layout) -> Collected:
    return validate(layout, read_file(layout, path, NameFacts()))


def xls(rows: list[list[Any]], formulas: frozenset[tuple[int, int]] = frozenset()) -> bytes:
    """A worksheet as Excel 2.1 writes it; ``formulas`` are (row, column) with a saved value."""
    out = struct.pack("<HHHH", 0x0009, 4, 2, 0x10)
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            head = struct.pack("<HH3x", row, column)
            if (row, column) in formulas:
                body = head + struct.pack("<dBB", value, 0, 3) + b"\x1e\x01\x00"
                out += struct.pack("<HH", 0x0006, len(body)) + body
            elif isinstance(value, str):
                text = value.encode("cp1252")
                body = head + bytes([len(text)]) + text
                out += struct.pack("<HH", 0x0004, len(body)) + body
            elif value is not None:
                body = head + struct.pack("<d", value)
                out += struct.pack("<HH", 0x0003, len(body)) + body
    return out + struct.pack("<HH", 0x000A, 0)


ODS_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
)


def ods_cell(value: Any) -> str:
    if value is None:
        return "<table:table-cell/>"
    formula = ""
    if isinstance(value, Formula):
        formula, value = ' table:formula="of:=1+1"', value.value
    if isinstance(value, date):
        kind = f'office:value-type="date" office:date-value="{value.isoformat()}"'
    elif isinstance(value, float | int):
        kind = f'office:value-type="float" office:value="{value}"'
    else:
        kind = 'office:value-type="string"'
    text = "" if value is None else f"<text:p>{value}</text:p>"
    return f"<table:table-cell{formula} {kind}>{text}</table:table-cell>"


def ods(
    rows: list[list[Any]], *, body: str = "", head: str = ODS_HEAD, sheet: str = "Plan1"
) -> bytes:
    written = body or "".join(
        f"<table:table-row>{''.join(ods_cell(value) for value in row)}</table:table-row>"
        for row in rows
    )
    content = (
        f'{head}<table:table table:name="{sheet}">{written}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("content.xml", content)
    return out.getvalue()


def test_an_old_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.xls"
    row = [CPFS[0], "Ana Conceição", "C1", 1234.5, "31/01/2026"]
    path.write_bytes(xls([TITLES, row, [CPFS[1], "Bia", 22.0, 10.0, "31/01/2026"]]))
    found = judged(path, layout_of())
    assert [(r["name"], r["contract"], r["amount"]) for r in found.accepted.to_pylist()] == [
        ("Ana Conceição", "C1", Decimal("1234.50")),
        ("Bia", "22", Decimal("10.00")),
    ]
    assert read_detected(path).header == TITLES


def test_a_formula_of_an_old_spreadsheet_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.xls"
    row = [CPFS[0], "Ana", "C1", 99.5, "31/01/2026"]
    path.write_bytes(xls([TITLES, row], formulas=frozenset({(1, 3)})))
    found = judged(path, layout_of())
    assert found.accepted["amount"].to_pylist() == [Decimal("99.50")]
    assert [(note.partition(":")[0], n) for note, n in found.notes.items()] == [("valor", 1)]


def test_an_open_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.ods"
    path.write_bytes(ods([["Carteira"], TITLES, ROW, [None], [*ROW[:2], "C2", *ROW[3:]]]))
    found = judged(path, layout_of(linhas_antes=1))
    assert found.accepted["due_date"].to_pylist() == [date(2026, 1, 31)] * 2
    assert found.accepted["line"].to_pylist() == [3, 5]
    assert found.accepted["amount"].to_pylist() == [Decimal("1234.50")] * 2


def test_spaces_and_lines_of_an_open_document_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.ods"
    cell = (
        '<table:table-row table:number-rows-repeated="2"><table:table-cell '
        'table:number-columns-repeated="2"><text:p>a<text:s text:c="2"/>b<text:span>c</text:span>'
        "</text:p><text:p>d</text:p></table:table-cell><table:table-cell "
        'table:number-columns-repeated="16382"/></table:table-row>'
        '<table:table-row table:number-rows-repeated="1048574"><table:table-cell/>'
        "</table:table-row>"
    )
    path.write_bytes(ods([], body=cell))
    assert list(sheet_rows(path, None)) == [(1, ("a  bc\nd",) * 2), (2, ("a  bc\nd",) * 2)]


def xlsx(tmp_path: Path, *rows: list[Any]) -> Path:
    path = tmp_path / "x.xlsx"
    book = Workbook()
    for row in (TITLES, *rows):
        book.active.append(row)
    book.save(path)
    return path


def test_a_formula_without_a_saved_value_rejects_its_row(tmp_path: Path) -> None:
    path = xlsx(tmp_path, ROW, [CPFS[1], "=A1", "C2", "=1+1", ROW[4]], [*ROW[:2], "C3", *ROW[3:]])
    found = judged(path, layout_of())
    assert found.accepted["contract"].to_pylist() == ["C1", "C3"]
    assert [(row.line, row.problems[0].problem[:47]) for row in found.rejected] == [
        (3, "a fórmula da coluna 'nome' não tem valor salvo,")
    ]


def test_a_formula_with_a_saved_value_is_accepted_and_said(tmp_path: Path) -> None:
    path = xlsx(tmp_path, [*ROW[:3], "=1000+234.5", ROW[4]], [*ROW[:2], "=C3", 7, ROW[4]])
    saved = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(saved, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.startswith("xl/worksheets/"):
                content = content.replace(
                    b"<f>1000+234.5</f><v></v>", b"<f>1000+234.5</f><v>1234.5</v>"
                ).replace(b"<f>1000+234.5</f><v />", b"<f>1000+234.5</f><v>1234.5</v>")
            new.writestr(name, content)
    path.write_bytes(saved.getvalue())
    found = judged(path, layout_of())
    assert found.accepted["amount"].to_pylist() == [Decimal("1234.50")]
    assert sum(found.notes.values()) == 1
    assert found.rows_rejected == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "planilha .xls está estragada"),
        ("x.ods", ods([TITLES])[:-30], "estragado|estragada|não é uma planilha"),
        ("x.ods", ods([TITLES], head="<!DOCTYPE x>" + ODS_HEAD), "DOCTYPE"),
        ("x.ods", ods([TITLES], head=ODS_HEAD + "</oops>"), "estragada"),
        (
            "x.ods",
            ods(
                [],
                body='<table:table-row table:number-rows-repeated="99999999">'
                "<table:table-cell><text:p>x</text:p></table:table-cell></table:table-row>",
            ),
            "1048576 linhas",
        ),
        (
            "x.ods",
            ods(
                [],
                body='<table:table-row><table:table-cell table:number-columns-repeated="99999">'
                "<text:p>x</text:p></table:table-cell></table:table-row>",
            ),
            "16384 colunas",
        ),
        (
            "x.ods",
            ods(
                [],
                body='<table:table-row table:number-rows-repeated="900000"><table:table-cell '
                'table:number-columns-repeated="9"><text:p>x</text:p></table:table-cell>'
                "</table:table-row>",
            ),
            "repete linhas ou células mais de 1000000 vezes",
        ),
        ("x.csv", b"a;b\n1;2\n", "não é uma planilha"),
    ],
)
def test_what_is_no_spreadsheet_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileRejected, match=words):
        judged(path, layout_of())


def test_cells_that_stand_for_very_many_are_refused_without_a_layout_too(tmp_path: Path) -> None:
    row = (
        '<table:table-row><table:table-cell table:number-columns-repeated="16000">'
        "<text:p>x</text:p></table:table-cell></table:table-row>"
    )
    path = tmp_path / "x.ods"
    path.write_bytes(ods([], body=row * 80))
    with pytest.raises(FileRejected, match="repete linhas ou células"):
        read_detected(path)


@pytest.mark.parametrize("sample", [xls([TITLES, ["a", "b", "c", 1.0, 2.0]]), ods([TITLES, ROW])])
@given(place=st.integers(0, 3000), noise=st.binary(max_size=40), keep=st.integers(0, 60))
@QUIET
def test_a_damaged_spreadsheet_never_crashes(
    tmp_path: Path, sample: bytes, place: int, noise: bytes, keep: int
) -> None:
    path = tmp_path / "x"
    path.write_bytes(sample[:place] + noise + sample[place + keep :])
    try:
        found = judged(path, layout_of())
    except FileRejected:
        return
    assert set(found.accepted["cpf"].to_pylist()) <= set(CPFS)


def test_dates_are_written_as_the_field_reads_them() -> None:
    layout = layout_of(campos=[{"nome": "x", "tipo": "data_hora", "formato": "ddmmaaaa hh:mm"}])
    field = layout.fields[0]
    assert cell_text(datetime(2026, 1, 31, 5, 7), field) == "31012026 05:07"  # type: ignore[arg-type]  # noqa: DTZ001


JSON = layout_of(
    "jsonl",
    campos=[
        {"nome": "cpf", "caminho": "cliente.cpf"},
        {"nome": "nome", "caminho": "cliente.nome"},
        {"nome": "contrato"},
        {"nome": "valor", "decimal": "."},
        {"nome": "vencimento", "formato": "aaaa-mm-dd"},
        {
            "nome": "telefone_1",
            "caminho": "cliente.fones[0].numero",
            "caminho_ddd": "cliente.fones[0].ddd",
        },
    ],
    ignorar=["interno"],
)


def record(contract: str = "C1", **changes: Any) -> dict[str, Any]:
    fones = [{"ddd": 11, "numero": "987654321"}]
    client = {"cpf": CPFS[0], "nome": "Ana", "fones": fones}
    base = {"contrato": contract, "valor": 10.1, "vencimento": "2026-01-31", "cliente": client}
    return base | changes


def test_json_lines_are_read_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [
        json.dumps(record()),
        json.dumps(record("C2", interno={"a": [1, 2]}, valor=None)),
        json.dumps(record("C3", novo=1)),
        "[1]",
        '{"contrato": "C5", "contrato": "C6"}',
        "{",
        "[" * 5000,
        json.dumps(record("C7", valor={"x": 1})),
        '{"contrato": NaN}',
        f'{{"contrato": {"9" * 5000}}}',
        json.dumps(record("C11")).replace("10.1", "1e999999999"),
    ]
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    found = judged(path, JSON)
    assert [(r["contract"], r["amount"], r["phone_1"]) for r in found.accepted.to_pylist()] == [
        ("C1", Decimal("10.10"), "11987654321")
    ]
    assert [(row.line, row.problems[0].problem[:30]) for row in found.rejected] == [
        (2, "o campo está vazio e é obrigat"),
        (3, "há uma chave que o layout não "),
        (4, "não é um objeto JSON ({…}): pe"),
        (5, "há uma chave repetida no regis"),
        (6, "não é JSON (coluna 2): peça a "),
        (7, "o registro tem mais de 32 níve"),
        (8, "'valor' não é um valor, e sim "),
        (9, "NaN não é um valor JSON: peça "),
        (10, "há um número longo demais no r"),
        (11, "esperado um valor em reais (co"),
    ]


def test_many_items_are_not_many_levels(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(record(interno=[{"a": ["[{"]}] * 60)), encoding="utf-8")
    assert judged(path, JSON).rows_accepted == 1


def test_json_lines_whose_names_changed_are_rejected_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"interno": 1}\n' * 3, encoding="utf-8")
    with pytest.raises(FileRejected, match="os nomes mudaram"):
        judged(path, JSON)


@given(place=st.integers(0, 900), noise=st.binary(max_size=60), keep=st.integers(0, 200))
@QUIET
def test_damaged_json_lines_never_crash(
    tmp_path: Path, place: int, noise: bytes, keep: int
) -> None:
    path = tmp_path / "x.jsonl"
    sample = "".join(json.dumps(record(f"C{n}")) + "\n" for n in range(4)).encode()
    path.write_bytes(sample[:place] + noise + sample[place + keep :])
    try:
        found = judged(path, JSON)
    except FileRejected:
        return
    assert set(found.accepted["cpf"].to_pylist()) <= {CPFS[0]}


def test_gzip_is_opened_and_a_bomb_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv.gz"
    text = ";".join(TITLES) + f"\n{CPFS[0]};Ana;C1;10,00;31/01/2026\n"
    path.write_bytes(gzip.compress(text.encode()))
    layout = layout_of("delimitado", separador=";", codificacao="utf-8", gz="sim")
    assert judged(path, layout).accepted.num_rows == 1
    assert read_detected(path).header == TITLES
    for damaged in (path.read_bytes()[:-9], text.encode()):
        path.write_bytes(damaged)
        with pytest.raises(FileRejected, match="gzip está estragado"):
            judged(path, layout)
    monkeypatch.setattr(unzip, "RATIO_MATTERS_FROM", 1_000_000)
    path.write_bytes(gzip.compress(bytes(3_000_000)))
    with pytest.raises(FileRejected, match="o que não é normal"):
        judged(path, layout)
