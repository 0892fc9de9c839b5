"""Delimited files: columns by title, quotes that cost only their own line, whole-file verdicts."""

from datetime import date
from decimal import Decimal

import pytest
from reception_files import AURORA_HEADER, CPFS, Judge, aurora, aurora_row

from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.readers.quotes import split_line


def test_a_row_becomes_typed_values(judge: Judge) -> None:
    row = judge("banco_aurora", aurora(aurora_row(1))).accepted.to_pylist()[0]
    assert row == {
        "line": 2,
        "offset": 110,
        "cpf": CPFS[1],
        "name": "José da Conceição",
        "contract": "C00001",
        "product": "Cartão",
        "amount": Decimal("1234.56"),
        "due_date": date(2026, 1, 31),
        "birth_date": date(1980, 2, 29),
        "email": "jose@exemplo.com.br",
        "city": "São Paulo",
        "state": "SP",
        "phone_1": "11987654321",
        "phone_2": "1133334444",
        "phone_3": None,
        "deceased": False,
    }


def test_a_cpf_gets_its_leading_zeros_back(judge: Judge) -> None:
    rows = judge("banco_aurora", aurora(aurora_row(1, CPF="191"))).accepted
    assert rows["cpf"].to_pylist() == ["00000000191"]


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [
        ("CPF", "52998224726", "cpf"),
        ("CPF", "", "cpf"),
        ("CONTRATO", " ", "contrato"),
        ("VALOR", "1,234.56", "valor"),
        ("VALOR", "0,00", "valor"),
        ("VALOR", "-5,00", "valor"),
        ("VENCIMENTO", "31/02/2026", "vencimento"),
        ("VENCIMENTO", "2026-01-31", "vencimento"),
        ("NASCIMENTO", "01/13/1980", "nascimento"),
        ("UF", "XX", "uf"),
        ("OBITO", "talvez", "obito"),
        ("NOME", "JO\x00AO", "nome"),
        ("NOME", "JO\x93AO", "nome"),
    ],
)
def test_an_invalid_value_rejects_its_row_alone(
    judge: Judge, column: str, value: str, field: str
) -> None:
    rows = [aurora_row(n) for n in range(1, 31)]
    rows[9] = aurora_row(10, **{column: value})
    result = judge("banco_aurora", aurora(*rows))
    assert result.accepted.num_rows == 29
    (rejected,) = result.rejected
    assert [(p.line, p.field) for p in rejected.problems] == [(11, field)]
    assert rejected.offset == len(aurora(*rows[:9]))


def test_what_was_found_is_masked(judge: Judge) -> None:
    rows = [aurora_row(n) for n in range(1, 31)]
    rows[0] = aurora_row(1, CPF="52998224726")
    (rejected,) = judge("banco_aurora", aurora(*rows)).rejected
    assert rejected.problems[0].found == "*********26"


@pytest.mark.parametrize(
    ("column", "value", "field"),
    [("FONE1", "12345", "telefone_1"), ("EMAIL", "não tem", "email")],
)
def test_a_wrong_phone_or_email_costs_no_contract_but_a_warning(
    judge: Judge, column: str, value: str, field: str
) -> None:
    result = judge("banco_aurora", aurora(aurora_row(1, **{column: value})))
    assert result.accepted.num_rows == 1
    assert dict(result.warnings) == {field: 1}


def test_a_quoted_cell_may_hold_the_separator(judge: Judge) -> None:
    content = aurora(aurora_row(1, NOME='"Silva; ""Zé"""'))
    assert judge("banco_aurora", content).accepted["name"].to_pylist() == ['Silva; "Zé"']


def test_columns_may_come_in_another_order(judge: Judge) -> None:
    titles, row = AURORA_HEADER.split(";"), aurora_row(1).split(";")
    content = aurora(";".join(reversed(row)), header=";".join(reversed(titles)))
    assert judge("banco_aurora", content).accepted["contract"].to_pylist() == ["C00001"]


def test_a_repeated_contract_is_rejected_and_names_the_first_line(judge: Judge) -> None:
    rows = [aurora_row(n) for n in range(1, 31)] + [aurora_row(7, VALOR="9,99")]
    result = judge("banco_aurora", aurora(*rows))
    (rejected,) = result.rejected
    assert rejected.line == 32
    assert "linha 8" in rejected.problems[0].problem


def test_a_rejected_row_does_not_reject_its_correction(judge: Judge) -> None:
    rows = [aurora_row(n) for n in range(1, 31)]
    rows[0] = aurora_row(1, CPF="1")
    result = judge("banco_aurora", aurora(*rows, aurora_row(1)))
    assert [row.line for row in result.rejected] == [2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "vazio"),
        (b"\r\n \r\n", "vazio"),
        (aurora(), "nenhuma linha"),
        (aurora(aurora_row(1), header=AURORA_HEADER.replace("VALOR", "SALDO")), "VALOR"),
        (aurora(aurora_row(1) + ";1", header=AURORA_HEADER + ";NOVA"), "NOVA"),
        (aurora(aurora_row(1), aurora_row(2))[:-30], "cortado"),
        (aurora(aurora_row(1), aurora_row(2))[:-2], "cortado"),
        (aurora(aurora_row(1), encoding="utf-8"), "utf-8"),
        (aurora(*[aurora_row(n, CPF="1") for n in range(9)]), "nenhuma das 9 linhas"),
        (aurora(*[aurora_row(n, CPF="1" * (n % 2)) for n in range(9)]), "nenhuma"),
        (b"x" * 2_000_000, "linha"),
    ],
)
def test_a_file_that_cannot_be_believed_is_rejected_whole(
    judge: Judge, content: bytes, words: str
) -> None:
    with pytest.raises(FileRejected, match=words):
        judge("banco_aurora", content)


def test_a_header_that_is_a_row_of_data_is_not_repeated_in_the_reason(judge: Judge) -> None:
    with pytest.raises(FileRejected) as refusal:
        judge("banco_aurora", aurora(header=aurora_row(1)))
    assert CPFS[1] not in str(refusal.value)
    assert "José" not in str(refusal.value)


def test_too_many_rejected_rows_reject_the_file(judge: Judge) -> None:
    rows = [aurora_row(n, CPF="1") if n < 3 else aurora_row(n) for n in range(40)]
    with pytest.raises(FileRejected, match="3 de 40 linhas foram rejeitadas"):
        judge("banco_aurora", aurora(*rows))


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a;;b", ["a", "", "b"]),
        ('"a;b";c', ["a;b", "c"]),
        ('"a""b"', ['a"b']),
        ('"a"b";c', ['a"b', "c"]),
        ('"";""', ["", ""]),
        ("", [""]),
        (";", ["", ""]),
        ('"a";', ["a", ""]),
        ('"a', None),
    ],
)
def test_cells_of_a_line(text: str, cells: list[str] | None) -> None:
    assert split_line(text, ";", '"') == cells
