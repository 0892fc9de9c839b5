"""From a sample to a layout that reads it: what is proved is written, what is guessed is asked."""

import gzip
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from reception_files import CPFS, aurora, aurora_row, energia_row, loja
from test_more_readers import ROW, TITLES, ods, record, xls
from test_record_files import batch, cnab_240
from test_spreadsheet_and_zip import book, packed, row

from zanc_pipeline.common.codecs import cpf_check_digits
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.infer import draft, file_pattern
from zanc_pipeline.reception.infer_fixed import boundaries
from zanc_pipeline.reception.infer_types import Guess, guess_type, named_type
from zanc_pipeline.reception.layout import Layout, load_layout, unconfirmed
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.validate import Collected, validate

TODAY = date(2026, 11, 23)
NAMES = ("ANA DIAS", "BIA REIS LIMA", "CAIO DA SILVA", "DUDA MELO", "EVA ROCHA")
CNAB = cnab_240(
    batch(1, [1000 + 37 * n for n in range(30)], NAMES), batch(2, [500, 600, 700], NAMES)
)


def cpf(number: int) -> str:
    base = f"{number:09}"
    return base + cpf_check_digits(base)


def energia(rows: int = 40) -> bytes:
    lines = []
    for n in range(rows):
        line = energia_row(n, cpf=cpf(n + 1000), amount=f"{(n + 7) * 997:012}")
        state = ("SP", "RJ", "MG", "PR")[n % 4].encode()
        line = line[:11] + NAMES[n % 5].encode().ljust(40) + line[51:]
        lines.append(line[:210] + state + line[212:] + b"\n")
    return b"".join(lines)


def horizonte() -> bytes:
    lines = loja(tuple(100 + 37 * n for n in range(40)))
    for n in range(1, len(lines) - 1):
        lines[n] = lines[n][:12] + NAMES[n % 5].encode().ljust(40) + lines[n][52:]
    return b"".join(line + b"\r\n" for line in lines)


def drafted(tmp_path: Path, name: str, content: bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return draft(path, today=TODAY)


def confirmed(tmp_path: Path, text: str) -> Layout:
    """The layout after the clerk agreed with every guess."""
    path = tmp_path / "layout.yaml"
    path.write_text(text.replace(", confirmar: sim", ""), encoding="utf-8")
    return load_layout(path)


def judged(tmp_path: Path, layout: Layout, name: str) -> Collected:
    facts = next(filter(None, (pattern.match(name) for pattern in layout.patterns)), NameFacts())
    return validate(layout, read_file(layout, tmp_path / name, facts))


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("AURORA_20261123.csv", aurora(*[aurora_row(n) for n in range(20)]), 20),
        ("ESUL20261123.txt", energia(), 40),
        ("LHZ_20261123_000007.rem", horizonte(), 40),
        ("brisa_20261123.zip", packed(book(*[row(n) for n in range(1, 21)])), 20),
        ("CB23112026.rem", "".join(f"{line}\r\n" for line in CNAB).encode(), 33),
        ("carteira.ods", ods([["Carteira do dia"], TITLES, ROW, [*ROW[:2], "C2", *ROW[3:]]]), 2),
        (
            "carteira.xls",
            xls([TITLES, *[[*ROW[:2], f"C{n}", 10.5 + n, "31/01/2026"] for n in range(9)]]),
            9,
        ),
        (
            "carteira.jsonl",
            "".join(json.dumps(record(f"C{n}")) + "\n" for n in range(9)).encode(),
            9,
        ),
        ("AURORA_20261123.csv.gz", gzip.compress(aurora(*[aurora_row(n) for n in range(9)])), 9),
        (
            "com_titulo.csv",
            b"Carteira;;\nGerada em 23/11/2026;;\n\n"
            + b"cpf;nome;contrato;valor;vencimento\n"
            + b"".join(f"{cpf(n)};Ana;C{n};10,0{n};31/01/2026\n".encode() for n in range(1, 10))
            + b"TOTAL;9\n",
            9,
        ),
    ],
)
def test_a_confirmed_draft_accepts_its_sample(
    tmp_path: Path, name: str, content: bytes, rows: int
) -> None:
    text = drafted(tmp_path, name, content)
    assert "FALTA" not in text
    layout = confirmed(tmp_path, text)
    found = judged(tmp_path, layout, name)
    assert (found.accepted.num_rows, found.rows_rejected) == (rows, 0)


def test_a_file_without_titles_asks_for_its_names(tmp_path: Path) -> None:
    lines = [
        f"{cpf(n + 1)};C{n};{NAMES[n % 5]};1{n},50;31/01/2026;11;98765{n:04}" for n in range(30)
    ]
    text = drafted(tmp_path, "x.csv", "".join(f"{line}\n" for line in lines).encode())
    assert "cabecalho: não" in text
    assert "{nome: cpf, tipo: cpf, posicao: 1}" in text
    asked = re.findall(r"nome: (\w+).*confirmar: sim", text)
    assert asked == ["contrato", "nome", "valor", "vencimento"]
    found = judged(tmp_path, confirmed(tmp_path, text), "x.csv")
    assert (found.rows_accepted, found.rows_rejected) == (30, 0)
    assert found.accepted["amount"][3].as_py() == Decimal("13.50")


def test_the_sheet_with_titles_is_found(tmp_path: Path) -> None:
    workbook = Workbook()
    workbook.active.append(["Capa"])
    page = workbook.create_sheet("Dados")
    for line in (TITLES, *([*ROW[:2], f"C{n}", *ROW[3:]] for n in range(5))):
        page.append(line)
    workbook.save(tmp_path / "x.xlsx")
    text = draft(tmp_path / "x.xlsx", today=TODAY)
    assert 'aba: "Dados"' in text
    assert judged(tmp_path, confirmed(tmp_path, text), "x.xlsx").rows_accepted == 5


def test_what_titles_and_digits_prove_needs_no_confirmation(tmp_path: Path) -> None:
    text = drafted(tmp_path, "AURORA_20261123.csv", aurora(*[aurora_row(n) for n in range(20)]))
    path = tmp_path / "layout.yaml"
    path.write_text(text, encoding="utf-8")
    assert unconfirmed(load_layout(path)) == []


def test_fixed_width_is_cut_where_the_fields_are(tmp_path: Path) -> None:
    text = drafted(tmp_path, "ESUL20261123.txt", energia())
    layout = confirmed(tmp_path, text)
    places = {(field.name, field.start, field.size) for field in layout.fields}  # type: ignore[union-attr]
    assert {
        ("cpf", 1, 11),
        ("nome", 12, 40),
        ("contrato", 52, 15),
        ("valor", 82, 12),
        ("vencimento", 94, 8),
        ("uf", 211, 2),
    } <= places
    asked = set(re.findall(r"nome: (\w+).*confirmar: sim", text))
    assert asked == {"nome", "contrato", "valor", "vencimento"}


def test_the_trailer_of_a_remittance_is_found_to_prove_it(tmp_path: Path) -> None:
    text = drafted(tmp_path, "LHZ_20261123_000007.rem", horizonte())
    for said in (
        'igual: "HORIZONTE"',
        "confere: data_do_nome, formato: ddmmaaaa",
        "confere: sequencia_do_nome",
        "confere: quantidade",
        "confere: soma, de: valor, decimais: 2",
    ):
        assert said in text


def test_the_records_of_cnab_240_are_found(tmp_path: Path) -> None:
    text = drafted(tmp_path, "CB23112026.rem", "".join(f"{line}\r\n" for line in CNAB).encode())
    assert "inicio: 8\n" in text
    assert 'quando: [{onde: 14, igual: "P"}]' in text
    assert "nome: registro_q" in text
    assert "    cabecalho:\n" in text


def test_no_personal_value_is_in_a_draft(tmp_path: Path) -> None:
    text = drafted(tmp_path, "AURORA_20261123.csv", aurora(*[aurora_row(n) for n in range(20)]))
    assert not [value for value in (*CPFS, "José", "987654321") if value in text]


@pytest.mark.parametrize(
    ("values", "kind", "keys", "doubted"),
    [
        (["11.222.333/0001-81", "12ABC34501DE35"], "cnpj", {}, False),
        (["52998224725", "11222333000181"], "cpf_cnpj", {}, False),
        (["31/01/2026", "15/02/2026"], "data", {"formato": "dd/mm/aaaa"}, False),
        (["01/02/2026", "05/06/2026"], "data", {"formato": "dd/mm/aaaa"}, True),
        (["31/01/26", "28/02/26"], "data", {"formato": "dd/mm/aa", "seculo": 50}, True),
        (["31012026", "00000000"], "data", {"formato": "ddmmaaaa", "vazios": ["00000000"]}, False),
        (["2026-01-31 10:00:00"], "data_hora", {"formato": "aaaa-mm-dd hh:mm:ss"}, False),
        (["10,50", "1.000,00"], "dinheiro", {"decimal": ","}, False),
        (["10.50", "7"], "dinheiro", {"decimal": "."}, False),
        (["10,50-", "7,00"], "dinheiro", {"decimal": ",", "sinal": "depois"}, False),
        (["0,1234", "1,5"], "decimal", {"decimal": ","}, False),
        (["S", "N"], "sim_nao", {}, False),
        (["abc", "def"], "texto", {}, False),
        (["", "  "], "texto", {}, False),
    ],
)
def test_types_are_proved_by_the_values(
    values: list[str], kind: str, keys: dict[str, Any], doubted: bool
) -> None:
    found = guess_type(values)
    assert (found.type, found.keys, bool(found.doubt)) == (kind, keys, doubted)


def test_digits_alone_are_no_amount_unless_a_person_says_so() -> None:
    found = named_type("VALOR", ["1050", "700"])
    assert isinstance(found, Guess)
    assert found.type == "dinheiro"
    assert "centavos" in found.doubt
    assert named_type("CEP", ["01310100", "20040002"]).type == "texto"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("AURORA_20261123.csv", "AURORA_{aaaammdd}.csv"),
        ("C23112026.txt", "C{ddmmaaaa}.txt"),
        ("LHZ_20261123_0001.rem", "LHZ_{aaaammdd}_{sequencia}.rem"),
        ("CB231126.REM", "CB{ddmmaa}.REM"),
        ("dev_261123.csv", "dev_{aammdd}.csv"),
        ("Carteira 23-11-2026.xlsx", "Carteira {dd-mm-aaaa}.xlsx"),
        ("lote_000045.csv", "lote_000045.csv"),
        ("lote_101012.csv", "lote_101012.csv"),
        ("carteira.csv", "carteira.csv"),
    ],
)
def test_the_name_of_the_sample_becomes_a_pattern(name: str, pattern: str) -> None:
    assert file_pattern(name, today=TODAY) == pattern


def test_a_prefix_is_part_of_its_number() -> None:
    lines = [f"LH{n:09}  {n * 37:012}X" for n in range(1, 40)]
    assert boundaries(lines) == [(0, 13), (13, 12), (25, 1)]


def test_amounts_are_read_as_the_draft_says(tmp_path: Path) -> None:
    layout = confirmed(tmp_path, drafted(tmp_path, "ESUL20261123.txt", energia(30)))
    found = judged(tmp_path, layout, "ESUL20261123.txt")
    assert found.accepted["amount"][0].as_py() == Decimal("69.79")


def person(n: int) -> tuple[str, str, str, str]:
    """CPF, name with accents, day, DDD with a number of nine digits (every third has none)."""
    name = ("José Conceição", "Inês D'Ávila Sá", "João Muñoz", "Zoé Araújo")[n % 4]
    number = f"9{6000 + n % 4000}{n * 7919 % 10000:04}" if n % 3 else " " * 9
    return cpf(n * 7919 + 13), name, f"{n % 28 + 1:02}{n % 12 + 1:02}", f"84{number}"


def test_places_of_utf_8_are_bytes_and_a_ddd_may_stand_alone(tmp_path: Path) -> None:
    lines = []
    for n in range(40):
        number, name, day, phone = person(n)
        padded = name.encode().ljust(30)
        lines.append(b"%s%sC%06d%s2025%s\n" % (number.encode(), padded, n * 31, day.encode(),
                                              phone.encode()))  # fmt: skip
    text = drafted(tmp_path, "x.txt", b"".join(lines))
    assert "{nome: nome, tipo: texto, inicio: 12, tamanho: 30, confirmar: sim}" in text
    assert "tipo: telefone, inicio: 59, tamanho: 9, inicio_ddd: 57}" in text
    assert "FALTA dizer qual campo é: valor" in text


def test_lines_that_are_even_only_in_letters_are_told_as_what_they_are(tmp_path: Path) -> None:
    lines = [f"{cpf(n + 1)}{person(n)[1]:<30}{n:015}" for n in range(9)]
    with pytest.raises(DataError, match="mesmo número de letras, mas não de bytes"):
        drafted(tmp_path, "x.txt", "".join(f"{line}\n" for line in lines).encode())


def test_days_of_six_digits_and_a_cobol_sign_are_read(tmp_path: Path) -> None:
    lines = []
    for n in range(60):
        number, name, day, _ = person(n)
        signed = f"{n * 977 + 5000:010}" + "{ABCDEFGHI"[n % 10]
        birth = f"{n % 28 + 1:02}{n % 12 + 1:02}{(n + 50) % 100:02}"
        lines.append(f"{number}{name:<25}CT{n * 31:07}{day}26{birth}{signed}0084098765{n:04}")
    content = "".join(f"{line}\n" for line in lines).encode("latin-1")
    text = drafted(tmp_path, "CB231126.REM", content)
    layout = confirmed(tmp_path, text)
    found = judged(tmp_path, layout, "CB231126.REM").accepted.to_pylist()
    assert (len(found), found[1]["amount"]) == (60, Decimal("597.71"))
    assert found[1]["due_date"] == date(2026, 2, 2)
    assert {row["birth_date"].year for row in found} == {*range(1950, 2000), *range(2000, 2010)}
    assert found[1]["phone_1"] == "84987650001"


def test_a_ddd_beside_its_number_needs_no_title(tmp_path: Path) -> None:
    lines = [
        f"{cpf(n + 1)};{person(n)[1]};C{n};1{n},50;31/01/26;084;{person(n)[3][2:].strip()}"
        for n in range(30)
    ]
    text = drafted(tmp_path, "x.csv", "".join(f"{line}\n" for line in lines).encode())
    assert "{nome: telefone_1, tipo: telefone, posicao: 7, posicao_ddd: 6}" in text
    found = judged(tmp_path, confirmed(tmp_path, text), "x.csv")
    assert found.accepted["phone_1"].null_count == 10


def test_the_ddd_of_a_json_number_and_the_number_of_a_contract(tmp_path: Path) -> None:
    one = {"fone": {"ddd": "84", "numero": "987654321"}, "contrato": {"numero": "C1"}}
    text = drafted(tmp_path, "x.jsonl", json.dumps(one).encode() + b"\n")
    assert 'tipo: telefone, caminho: "fone.numero", caminho_ddd: "fone.ddd"' in text
    assert '{nome: contrato, tipo: texto, caminho: "contrato.numero"' in text


def test_a_code_of_two_digits_and_the_trailer_after_it(tmp_path: Path) -> None:
    lines = ["00BETA".ljust(60)]
    lines += [f"10{cpf(n + 50)}BT{n * 31:07}{n * 977 + 5000:012}".ljust(60) for n in range(20)]
    lines.append(f"99{20:08}{sum(n * 977 + 5000 for n in range(20)):016}".ljust(60))
    text = drafted(tmp_path, "x.txt", "".join(f"{line}\n" for line in lines).encode())
    assert [code for code in ("00", "10", "99") if f'codigo: "{code}"' in text] == [
        "00",
        "10",
        "99",
    ]
    assert "inicio: 3, tamanho: 8, confere: quantidade}" in text
    assert "confere: soma, de: valor, decimais: 2}" in text
