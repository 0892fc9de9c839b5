"""Every type of field: what it accepts, what it refuses, and how COBOL writes it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from zanc_pipeline.reception.fields import INVALID, arrow_type, convert, expected
from zanc_pipeline.reception.layout import ColumnField, PositionField
from zanc_pipeline.reception.pictures import parse_picture, unpack

NONE: Any = None


def one(text: str, **keys: Any) -> Any:
    """The value of ``text`` in a field with these keys; INVALID when it is none."""
    field = ColumnField.model_validate({"nome": "x", **keys})
    column = convert(field, pa.array([text, "", text]))
    assert column.invalid[0] == column.invalid[2]
    assert not column.invalid[1]
    assert column.values.type == arrow_type(field)
    assert expected(field)
    return INVALID if column.invalid[0] else column.values[0].as_py()


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("52998224725", {"tipo": "cpf_cnpj"}, "52998224725"),
        ("529.982.247-25", {"tipo": "cpf_cnpj"}, "52998224725"),
        ("00052998224725", {"tipo": "cpf_cnpj"}, "52998224725"),
        ("11.222.333/0001-81", {"tipo": "cpf_cnpj"}, "11222333000181"),
        ("12ABC34501DE35", {"tipo": "cpf_cnpj"}, "12ABC34501DE35"),
        ("12ABC34501DE35", {"tipo": "cnpj"}, "12ABC34501DE35"),
        ("52998224726", {"tipo": "cpf_cnpj"}, INVALID),
        ("99036727945", {"tipo": "cpf_cnpj"}, INVALID),  # a CNPJ only with three zeros before it
        ("JOÃO CONCEIÇÃO", {}, "JOÃO CONCEIÇÃO"),
        ("1ª ROMÃ – nº 2", {}, "1ª ROMÃ – nº 2"),
        ("JoÃ£o", {}, INVALID),  # UTF-8 read as cp1252
        ("CONCEIÃ‡ÃƒO", {}, INVALID),
        ("JOSÃ‰", {}, INVALID),
        ("011222333000181", {"tipo": "cpf_cnpj"}, "11222333000181"),
        ("000052998224725", {"tipo": "cpf_cnpj"}, "52998224725"),
        ("000052998224725", {"tipo": "cpf"}, "52998224725"),
        ("00052998224725", {"tipo": "cpf"}, "52998224725"),
        ("00000000000191", {"tipo": "cpf"}, INVALID),
        ("00000012345601", {"tipo": "cpf"}, "00012345601"),  # the digits of a CNPJ too
        ("00100012345601", {"tipo": "cpf"}, INVALID),
        ("11222333000181", {"tipo": "cpf"}, INVALID),
        ("529.982.247-25", {"tipo": "cpf"}, "52998224725"),
        ("00000000000191", {"tipo": "cpf_cnpj"}, INVALID),  # a valid CNPJ and a padded CPF
        ("00.000.000/0001-91", {"tipo": "cpf_cnpj"}, "00000000000191"),
        ("1.234,56", {"tipo": "dinheiro"}, Decimal("1234.56")),
        ("1,234.56", {"tipo": "dinheiro", "decimal": "."}, Decimal("1234.56")),
        ("1.234", {"tipo": "dinheiro", "decimal": "."}, INVALID),
        ("-10,00", {"tipo": "dinheiro"}, Decimal("-10.00")),
        ("10,00-", {"tipo": "dinheiro"}, INVALID),
        ("10,00-", {"tipo": "dinheiro", "sinal": "depois"}, Decimal("-10.00")),
        ("10,00", {"tipo": "dinheiro", "sinal": "depois"}, Decimal("10.00")),
        ("-10,00", {"tipo": "dinheiro", "sinal": "depois"}, INVALID),
        ("000123-", {"tipo": "dinheiro", "sinal": "depois", "decimais": 2}, Decimal("-1.23")),
        ("00012C", {"tipo": "dinheiro", "sinal": "cobol", "decimais": 2}, Decimal("1.23")),
        ("00012L", {"tipo": "dinheiro", "sinal": "cobol", "decimais": 2}, Decimal("-1.23")),
        ("00012}", {"tipo": "dinheiro", "sinal": "cobol", "decimais": 2}, Decimal("-1.20")),
        ("00012s", {"tipo": "dinheiro", "sinal": "cobol", "decimais": 2}, Decimal("-1.23")),
        ("000123", {"tipo": "dinheiro", "sinal": "cobol", "decimais": 2}, Decimal("1.23")),
        ("0001Z3", {"tipo": "dinheiro", "sinal": "cobol", "decimais": 2}, INVALID),
        ("1.234,567", {"tipo": "decimal"}, Decimal("1234.567000")),
        ("1,2345678", {"tipo": "decimal"}, INVALID),
        ("12345", {"tipo": "decimal", "decimais": 3}, Decimal("12.345000")),
        ("42-", {"tipo": "inteiro", "sinal": "depois"}, -42),
        ("4.2", {"tipo": "inteiro"}, INVALID),
        ("7", {"tipo": "inteiro", "minimo": 8}, INVALID),
        ("31012026", {"tipo": "data", "formato": "ddmmaaaa"}, date(2026, 1, 31)),
        ("20260131", {"tipo": "data", "formato": "aaaammdd"}, date(2026, 1, 31)),
        ("31/01/29", {"tipo": "data", "formato": "dd/mm/aa", "seculo": 30}, date(2029, 1, 31)),
        ("31/01/30", {"tipo": "data", "formato": "dd/mm/aa", "seculo": 30}, date(1930, 1, 31)),
        ("2026032", {"tipo": "data", "formato": "aaaaddd"}, date(2026, 2, 1)),
        ("2026-31-01", {"tipo": "data", "formato": "aaaa-dd-mm"}, date(2026, 1, 31)),
        ("20120511", {"tipo": "data", "formato": "aaaaddmm"}, date(2012, 11, 5)),
        ("31-JAN-2026", {"tipo": "data", "formato": "dd-mmm-aaaa"}, date(2026, 1, 31)),
        ("05-fev-26", {"tipo": "data", "formato": "dd-mmm-aa", "seculo": 30}, date(2026, 2, 5)),
        ("05/dec/2026", {"tipo": "data", "formato": "dd/mmm/aaaa"}, date(2026, 12, 5)),
        ("05-fevereiro-2026", {"tipo": "data", "formato": "dd-mmm-aaaa"}, INVALID),
        ("46053", {"tipo": "data", "formato": "excel"}, date(2026, 1, 31)),
        ("46053,75", {"tipo": "data_hora", "formato": "excel"}, datetime(2026, 1, 31, 18)),  # noqa: DTZ001
        ("60", {"tipo": "data", "formato": "excel"}, INVALID),
        (
            "2026-01-31T23:30:00.000Z",
            {"tipo": "data_hora", "formato": "aaaa-mm-ddThh:mm:ss.fffZ"},
            datetime(2026, 1, 31, 23, 30),  # noqa: DTZ001
        ),
        ("2026366", {"tipo": "data", "formato": "aaaaddd"}, INVALID),
        ("2024366", {"tipo": "data", "formato": "aaaaddd"}, date(2024, 12, 31)),
        ("2026000", {"tipo": "data", "formato": "aaaaddd"}, INVALID),
        ("31/1/2026", {"tipo": "data"}, INVALID),
        ("30/02/2026", {"tipo": "data"}, INVALID),
        ("31-01-2026", {"tipo": "data"}, INVALID),
        ("31/12/2026", {"tipo": "data", "maximo": date(2026, 1, 1)}, INVALID),
        (
            "2026-01-31 10:20:30",
            {"tipo": "data", "formato": "aaaa-mm-dd hh:mm:ss"},
            date(2026, 1, 31),
        ),
        (
            "31/01/2026 10:20",
            {"tipo": "data_hora", "formato": "dd/mm/aaaa hh:mm"},
            datetime(2026, 1, 31, 10, 20),  # noqa: DTZ001
        ),
        (
            "31/01/2026 25:20",
            {"tipo": "data_hora", "formato": "dd/mm/aaaa hh:mm"},
            INVALID,
        ),
        ("02", {"tipo": "codigo", "tabela": {"02": "ativo"}}, "ativo"),
        ("2", {"tipo": "codigo", "tabela": {"02": "ativo"}}, INVALID),
        ("AB-12", {"padrao": "[A-Z]{2}-[0-9]+"}, "AB-12"),
        ("AB-12x", {"padrao": "[A-Z]{2}-[0-9]+"}, INVALID),
        ("AB-12\n", {"padrao": "[A-Z]{2}-[0-9]+"}, INVALID),
        ("ção", {"comprimento_maximo": 3}, "ção"),
        ("ação", {"comprimento_maximo": 3}, INVALID),
        ("ab", {"comprimento_minimo": 3}, INVALID),
    ],
)
def test_a_text_is_a_value_of_its_type_or_is_refused(
    text: str, keys: dict[str, Any], value: Any
) -> None:
    assert one(text, **keys) == value


def test_a_ninth_digit_is_added_by_the_rule_only_and_said() -> None:
    field = ColumnField.model_validate({"nome": "telefone_1"})
    texts = ["11987654321", "1187654321", "1133334444", "1112345678"]
    column = convert(field, pa.array(texts))
    assert column.values.to_pylist() == ["11987654321", "11987654321", "1133334444", None]
    assert column.inferred is not None
    assert column.inferred.tolist() == [False, True, False, False]
    assert column.invalid.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"tipo": "data", "formato": "dd/mm/aa"}, "diga o 'seculo'"),
        ({"tipo": "data", "formato": "dd/mm"}, "escreva dia, mês e ano"),
        ({"tipo": "data", "formato": "dd-mmmm-aaaa"}, "dd-mmm-aa"),
        ({"tipo": "data", "formato": "dd/mm/aaaaZ"}, "só cabem"),
        ({"tipo": "data_hora"}, "precisa de hh:mm"),
        ({"tipo": "texto", "minimo": 3}, "não serve a texto"),
        ({"tipo": "dinheiro", "minimo": date(2026, 1, 1)}, "não serve a dinheiro"),
        ({"padrao": "("}, "não é uma expressão regular"),
    ],
)
def test_rules_that_make_no_sense_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ColumnField.model_validate({"nome": "x", **keys})


@pytest.mark.parametrize(
    ("picture", "size", "decimals", "sign", "packed"),
    [
        ("X(10)", 10, None, "antes", False),
        ("XXX", 3, None, "antes", False),
        ("A(5)", 5, None, "antes", False),
        ("9(9)", 9, 0, "antes", False),
        ("9(9)V99", 11, 2, "antes", False),
        ("PIC 9(9)V9(2).", 11, 2, "antes", False),
        ("V99", 2, 2, "antes", False),
        ("S9(7)V99", 9, 2, "cobol", False),
        ("S9(7)V99 SIGN IS TRAILING SEPARATE CHARACTER", 10, 2, "depois", False),
        ("S9(7)V99 LEADING SEPARATE", 10, 2, "antes", False),
        ("S9(7)V99 COMP-3", 5, 2, "antes", True),
        ("9(8) USAGE IS PACKED-DECIMAL", 5, 0, "antes", True),
    ],
)
def test_pictures_are_understood(
    picture: str, size: int, decimals: int | None, sign: str, packed: bool
) -> None:
    found = parse_picture(picture)
    assert (found.size, found.decimals, found.sign, found.packed) == (size, decimals, sign, packed)


@pytest.mark.parametrize(
    ("picture", "named"),
    [
        ("ZZ9,99", "'Z'"),
        ("9(5) COMP", "'COMP'"),
        ("9(5) BINARY", "'BINARY'"),
        ("S9(5) COMP-1", "'COMP-1'"),
        ("S9(5) SIGN LEADING", "SIGN LEADING"),
        ("9(5) TRAILING SEPARATE", "pede um S"),
        ("9(19)", "18 algarismos"),
        ("X(5) COMP-3", "um texto não tem"),
        ("N(5)", "'N\\(5\\)'"),
        ("S", "'S'"),
        ("", "escreva uma picture"),
    ],
)
def test_pictures_that_are_not_supported_are_refused_by_name(picture: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_picture(picture)


def test_a_picture_gives_a_field_its_size_type_and_sign() -> None:
    field = PositionField.model_validate({"nome": "valor", "inicio": 1, "picture": "S9(7)V99"})
    assert (field.type, field.size, field.implied_decimals, field.sign) == (
        "dinheiro",
        9,
        2,
        "cobol",
    )
    plain = PositionField.model_validate({"nome": "parcelas", "inicio": 1, "picture": "9(3)"})
    assert (plain.type, plain.size, plain.implied_decimals) == ("inteiro", 3, None)
    with pytest.raises(ValidationError, match="ocupa 9 bytes, e 'tamanho' diz 10"):
        PositionField.model_validate(
            {"nome": "valor", "inicio": 1, "picture": "S9(7)V99", "tamanho": 10}
        )


def test_packed_decimals_are_digits_or_nothing() -> None:
    cells = [b"\x12\x34\x5c", b"\x12\x34\x5d", b"\x12\x34\x5f", b"\x1a\x34\x5c", b"\x12\x34\x56"]
    block = np.frombuffer(b"".join([*cells, b"   ", bytes(3)]), dtype=np.uint8).reshape(-1, 3)
    assert unpack(block).to_pylist() == [
        "12345",
        "-12345",
        "12345",
        "\ufffd",
        "\ufffd",
        "",
        "",
    ]
