"""Fixed width and records: bytes are cut before they are decoded; the trailer proves the rest."""

from datetime import date
from decimal import Decimal

import pytest
from reception_files import CPFS, Judge, energia_row, loja

from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected


def lines(*rows: bytes) -> bytes:
    return b"".join(row + b"\n" for row in rows)


def test_accents_do_not_shift_the_fields(judge: Judge) -> None:
    (row,) = judge("energia_sul", lines(energia_row())).accepted.to_pylist()
    assert row["name"] == "João Peçanha"
    assert row["city"] == "Itajaí"
    assert row["amount"] == Decimal("1234.56")
    assert row["due_date"] == date(2026, 1, 31)
    assert row["birth_date"] is None
    assert row["phone_1"] == "11987654321"
    assert row["deceased"] is False


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_line_of_another_size_is_rejected_alone(judge: Judge, newline: bytes) -> None:
    rows = [energia_row(n) for n in range(40)]
    rows[5] = rows[5][:-3]
    result = judge("energia_sul", b"".join(row + newline for row in rows))
    assert [row.line for row in result.rejected] == [6]
    assert "217 bytes" in result.rejected[0].problems[0].problem
    assert result.accepted["line"].to_pylist() == [n for n in range(1, 41) if n != 6]


def test_letters_in_an_amount_reject_the_row(judge: Judge) -> None:
    rows = [energia_row(n) for n in range(40)]
    rows[0] = energia_row(0, amount="0000000VALOR")
    result = judge("energia_sul", lines(*rows))
    assert [(p.line, p.field) for r in result.rejected for p in r.problems] == [(1, "valor")]


def test_a_file_cut_in_the_middle_of_a_line_is_rejected_whole(judge: Judge) -> None:
    with pytest.raises(FileRejected, match="meio da linha 3"):
        judge("energia_sul", lines(energia_row(1), energia_row(2), energia_row(3))[:-50])


def test_a_file_shifted_by_a_byte_loads_nothing(judge: Judge) -> None:
    shifted = [b" " + energia_row(n)[:-1] for n in range(10)]
    with pytest.raises(FileRejected, match="nenhuma das 10 linhas"):
        judge("energia_sul", lines(*shifted))


def test_details_between_header_and_trailer_are_rows(judge: Judge) -> None:
    result = judge("loja_horizonte", lines(*loja()))
    assert result.accepted["cpf"].to_pylist() == list(CPFS[:2])
    assert result.accepted["line"].to_pylist() == [2, 3]
    assert result.accepted["amount"].to_pylist() == [Decimal("1.00"), Decimal("2.50")]


def test_name_and_header_agree(judge: Judge) -> None:
    facts = NameFacts(reference_date=date(2026, 11, 23), sequence=7)
    assert judge("loja_horizonte", lines(*loja()), facts=facts).accepted.num_rows == 2


GOOD = loja()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lines(*loja(count=3)), "rodapé diz que há 3 registros de detalhe, e o arquivo tem 2"),
        (lines(*loja(total=351)), "a soma de 'valor' é 3,51, e a soma das linhas é 3,50"),
        (lines(*GOOD[:-1]), "falta o registro de rodapé"),
        (lines(*GOOD[1:]), "falta o registro de cabeçalho"),
        (lines(GOOD[0], *GOOD), "segundo cabeçalho"),
        (lines(*GOOD, GOOD[1]), "depois do rodapé"),
        (lines(*GOOD, GOOD[-1]), "depois do rodapé"),
        (lines(GOOD[0], b"7" + GOOD[1][1:], *GOOD[2:]), "tipo de registro '7'"),
        (lines(GOOD[0], GOOD[1][:-1], *GOOD[2:]), "199 bytes"),
        (lines(GOOD[0].replace(b"HORIZONTE", b"OUTRALOJA"), *GOOD[1:]), "HORIZONTE"),
        (lines(GOOD[0], GOOD[1].replace(b"000000000100", b"000000000A00"), *GOOD[2:]), "soma"),
        (lines(GOOD[0], GOOD[-1].replace(b"00000002", b"00000000")), "rodapé"),
        (lines(GOOD[0]), "falta o registro de rodapé"),
    ],
)
def test_records_that_do_not_prove_themselves_are_rejected_whole(
    judge: Judge, content: bytes, words: str
) -> None:
    with pytest.raises(FileRejected, match=words):
        judge("loja_horizonte", content)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (NameFacts(reference_date=date(2026, 11, 24)), "data"),
        (NameFacts(sequence=8), "sequência"),
    ],
)
def test_a_header_that_contradicts_the_name_is_rejected(
    judge: Judge, facts: NameFacts, words: str
) -> None:
    with pytest.raises(FileRejected, match=words):
        judge("loja_horizonte", lines(*loja()), facts=facts)


def test_a_bad_detail_is_rejected_alone_while_the_total_still_proves_the_file(
    judge: Judge,
) -> None:
    rows = loja(tuple(range(100, 140)))
    rows[1] = rows[1].replace(CPFS[0].encode(), b"52998224726")
    result = judge("loja_horizonte", lines(*rows))
    assert [row.line for row in result.rejected] == [2]
    assert result.accepted.num_rows == 39


def test_a_file_larger_than_a_chunk_reads_the_same(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = lines(*loja(tuple(range(100, 150))))
    whole = judge("loja_horizonte", content).accepted
    monkeypatch.setattr("zanc_pipeline.reception.readers.base.CHUNK_BYTES", 333)
    assert judge("loja_horizonte", content).accepted.equals(whole)
