"""Reading with no layout, and layouts drafted from a sample."""

import io
import zipfile
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from reception_files import Judge, aurora, aurora_row, energia_row

from zanc_pipeline.cli import cli
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.infer import boundaries, draft
from zanc_pipeline.reception.infer_types import field_name
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.read import read_detected, table_of, to_csv

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("data", "header", "rows"),
    [
        (b"a,b\n1,2\n3,4\n", ["a", "b"], [["1", "2"], ["3", "4"]]),
        (b"a;b\r\n1,5;2,5\r\n", ["a", "b"], [["1,5", "2,5"]]),
        (b"a\tb\r1\t2\r3\t4", ["a", "b"], [["1", "2"], ["3", "4"]]),
        ("\ufeffnome|uf\nJosé|SP\n".encode(), ["nome", "uf"], [["José", "SP"]]),
        ("nome;uf\nJosé;SP\n".encode("cp1252"), ["nome", "uf"], [["José", "SP"]]),
        ("nome;uf\nJosé;SP\n".encode("utf-16"), ["nome", "uf"], [["José", "SP"]]),
        (b"a||b\n1||2\n", ["a", "b"], [["1", "2"]]),
        (b'a,b\n"x,\ny",2\n', ["a", "b"], [["x,\ny", "2"]]),
        (b"nome\nJose\nMaria\n", ["nome"], [["Jose"], ["Maria"]]),
        (b"a;b\n1;2\n\x1a", ["a", "b"], [["1", "2"]]),
        (b"1;2\n3;4\n", ["coluna_1", "coluna_2"], [["1", "2"], ["3", "4"]]),
    ],
)
def test_the_dialect_is_detected(data: bytes, header: list[str], rows: list[list[str]]) -> None:
    table = table_of(data)
    assert (table.header, list(table.rows)) == (header, rows)


def test_a_separator_escaped_outside_quotes_is_text() -> None:
    lines = [f"{n},Rua {n}\\, apto {n},{n}.50" for n in range(1, 9)]
    table = table_of("\n".join(["id,endereco,valor", *lines]).encode())
    assert table.header == ["id", "endereco", "valor"]
    assert list(table.rows) == [[str(n), f"Rua {n}, apto {n}", f"{n}.50"] for n in range(1, 9)]


def test_a_line_that_ends_with_a_doubled_quote_may_go_on() -> None:
    lines = [f'{n};ok;"disse: ""só em maio""\nmas sem dia";{n},90' for n in range(1, 9)]
    table = table_of("\n".join(["id;fila;obs;valor", *lines]).encode())
    assert list(table.rows)[3] == ["4", "ok", 'disse: "só em maio"\nmas sem dia', "4,90"]
    assert len(list(table.rows)) == 8


def test_a_header_that_comes_again_on_each_page_is_still_the_header() -> None:
    rows = [f"P{n};Cidade {n % 3};{n}" for n in range(40)]
    lines = ["codigo;cidade;valor", *rows[:20], "codigo;cidade;valor", *rows[20:]]
    assert table_of("\n".join(lines).encode()).header == ["codigo", "cidade", "valor"]


def test_zeros_that_fill_up_the_last_block_are_no_content() -> None:
    table = table_of(b"nome;uf\nMaria;SP\n" + bytes(500))
    assert (table.header, list(table.rows)) == (["nome", "uf"], [["Maria", "SP"]])


def test_a_preamble_is_left_out_and_said() -> None:
    table = table_of(b"Relatorio de carteira\nGerado hoje\na;b;c\n1;2;3\n4;5;6\n7;8;9\n")
    assert table.header == ["a", "b", "c"]
    assert "2 linhas antes do cabeçalho" in " ".join(table.notes)


@pytest.mark.parametrize(
    ("data", "header", "rows"),
    [
        (b"a,b\n1,2,3\n4,5,6\n", ["a", "b", "coluna_3"], [["1", "2", "3"], ["4", "5", "6"]]),
        (b"fone,fone,uf\n1,2,SP\n", ["fone", "fone", "uf"], [["1", "2", "SP"]]),
        (b"1,2\n3,4,5\n6,7,8\n", None, [["1", "2", ""], ["3", "4", "5"], ["6", "7", "8"]]),
        (b"sep=;\na;b\n1,5;2\n", ["a", "b"], [["1,5", "2"]]),
        (b"sp,sp\nrj,rj\n", None, [["sp", "sp"], ["rj", "rj"]]),
    ],
)
def test_the_header_is_found_and_no_row_is_taken_for_a_preamble(
    data: bytes, header: list[str] | None, rows: list[list[str]]
) -> None:
    table = table_of(data)
    numbered = [f"coluna_{place + 1}" for place in range(len(rows[0]))]
    assert (table.header, list(table.rows)) == (header or numbered, rows)


def test_an_empty_file_is_an_empty_csv() -> None:
    out = io.BytesIO()
    to_csv(table_of(b""), out)
    assert out.getvalue() == b""


def test_a_zip_in_a_zip_is_refused(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.zip", tmp_path / "outer.zip"
    for path, name, content in (
        (inner, "a.csv", b"a,b\n1,2\n"),
        (outer, "inner.zip", None),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content or inner.read_bytes())
    assert read_detected(inner).header == ["a", "b"]
    with pytest.raises(FileRejected, match="zip"):
        read_detected(outer)


def test_no_row_is_left_out_when_its_width_differs() -> None:
    table = table_of(b"a;b\n1;2\n3\n4;5;6\n7;8\n9;0\n")
    assert list(table.rows) == [
        ["1", "2", ""],
        ["3", "", ""],
        ["4", "5", "6"],
        ["7", "8", ""],
        ["9", "0", ""],
    ]
    assert "conferir" in " ".join(table.notes)


def test_the_output_is_rfc_4180() -> None:
    out = io.BytesIO()
    to_csv(table_of('a;b\n"1;""x""";José\n'.encode()), out)
    assert out.getvalue() == 'a,b\r\n"1;""x""",José\r\n'.encode()


def test_the_command_reads_by_a_layout_and_says_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "ESUL20261123.txt"
    path.write_bytes(energia_row(1) + b"\n" + energia_row(2)[:-1] + b"\n")
    layout = Path(__file__).parents[3] / "config" / "convenios" / "energia_sul" / "layout.yaml"
    result = CliRunner().invoke(cli, ["reception", "read", str(path), "--layout", str(layout)])
    assert result.stdout.splitlines()[1].startswith("52998224725,João Peçanha,E00001,")
    assert "linha 2" in result.stderr
    assert isinstance(result.exception, DataError)


def test_a_drafted_layout_reads_the_sample_it_came_from(tmp_path: Path, judge: Judge) -> None:
    content = aurora(*[aurora_row(n) for n in range(20)])
    sample = tmp_path / "AURORA_20261123.csv"
    sample.write_bytes(content)
    text = draft(sample, today=TODAY)
    path = tmp_path / "layout.yaml"
    path.write_text(text, encoding="utf-8")
    layout = load_layout(path)
    assert layout.files == ("AURORA_{aaaammdd}.csv",)
    names = {field.name for field in layout.fields}
    assert {"cpf", "nome", "contrato", "valor", "vencimento", "uf"} <= names
    assert judge("", content, layout=layout).accepted.num_rows == 20


def test_fixed_width_fields_are_found_where_they_prove_themselves(tmp_path: Path) -> None:
    sample = tmp_path / "x.txt"
    sample.write_bytes(b"".join(energia_row(n) + b"\n" for n in range(30)))
    text = draft(sample, today=TODAY)
    assert "formato: largura_fixa" in text
    assert "{nome: cpf, tipo: cpf, inicio: 1, tamanho: 11}" in text
    assert "FALTA dizer qual campo é: nome" in text


def test_boundaries_of_digits_and_letters() -> None:
    assert boundaries(["123ABC  45", "678DEF  90"]) == [(0, 3), (3, 5), (8, 2)]


def test_an_empty_sample_has_no_draft(tmp_path: Path) -> None:
    sample = tmp_path / "x.txt"
    sample.write_bytes(b"\n")
    with pytest.raises(DataError, match="vazia"):
        draft(sample, today=TODAY)


@pytest.mark.parametrize(
    "title", ["Nº do Contrato", "NUMERO_DO_CONTRATO", "Contrato", "nr. contrato"]
)
def test_a_title_with_little_words_is_still_known(title: str) -> None:
    assert field_name(title, "texto", set()) == "contrato"
