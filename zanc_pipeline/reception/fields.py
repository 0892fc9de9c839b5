"""Text to typed Arrow columns, field by field, with what was expected in Portuguese.

Every distinct text of a column is converted once (dictionary encoding), so that dates, cities and
codes cost one conversion a value and not one a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.codecs import (
    STATES,
    parse_cnpj,
    parse_cpf,
    parse_date,
    parse_money,
    parse_phone,
)
from zanc_pipeline.common.masking import mask, mask_text
from zanc_pipeline.reception.layout import FieldSpec

MONEY = pa.decimal128(14, 2)
DDD_MARK = "\x1f"
"""Stands between a DDD and a phone that came in separate columns."""

MAX_PHONES = 3
FOUND_LIMIT = 60

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]{2,}")


class _Invalid:
    """The mark of a text that is not proved to be a value of its type."""


INVALID = _Invalid()
Parser = Callable[[str], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A converted column: typed values (null where empty or invalid) and where it is invalid."""

    values: pa.Array
    invalid: npt.NDArray[np.bool_]


def arrow_type(field: FieldSpec) -> pa.DataType:
    """The Arrow type of a field's values."""
    return {
        "dinheiro": MONEY,
        "data": pa.date32(),
        "inteiro": pa.int64(),
        "sim_nao": pa.bool_(),
        "telefones": pa.list_(pa.string()),
    }.get(field.type, pa.string())


def convert(field: FieldSpec, cells: pa.Array, *, between: str = "/") -> Column:
    """Convert trimmed texts; an empty one is null and is not invalid here."""
    parse = _parser(field, between)
    empty = frozenset({"", *field.empty})
    encoded = pc.fill_null(cells, "").dictionary_encode()
    parsed = [None if text in empty else parse(text) for text in encoded.dictionary.to_pylist()]
    wrong = np.array([value is INVALID for value in parsed], dtype=np.bool_)
    values = pa.array(
        [None if value is INVALID else value for value in parsed], type=arrow_type(field)
    )
    indices = encoded.indices
    return Column(values=values.take(indices), invalid=wrong[indices.to_numpy()])


def expected(field: FieldSpec) -> str:
    """What the field should hold and what to do, for the clerk."""
    limits = ""
    if field.minimum is not None:
        limits += f", de no mínimo {field.minimum}"
    if field.maximum is not None:
        limits += f", de no máximo {field.maximum}"
    if field.type == "dinheiro":
        shape = (
            f"só algarismos, os {field.implied_decimals} últimos são centavos"
            if field.implied_decimals is not None
            else f"como 1.234{field.decimal_mark}56"
            if field.decimal_mark == ","
            else "como 1234.56"
        )
        return f"esperado um valor em reais ({shape}){limits}: confira com o credor"
    texts = {
        "cpf": "esperado um CPF com dígitos verificadores corretos: peça a correção ao credor",
        "cnpj": "esperado um CNPJ com dígitos verificadores corretos: peça a correção ao credor",
        "telefone": "esperado DDD e telefone (fixo 8 ou celular 9 algarismos)",
        "telefones": f"esperados até {MAX_PHONES} telefones com DDD",
        "data": f"esperada uma data que exista, no formato {field.date_format}{limits}",
        "texto": "há caracteres estranhos (de controle ou de outra codificação): corrija o texto",
        "email": "esperado um e-mail como nome@provedor.com.br",
        "uf": "esperada a sigla de um estado, como SP",
        "codigo": f"esperado um destes códigos: {', '.join(field.table or ())}",
        "inteiro": f"esperado um número inteiro{limits}",
        "sim_nao": f"esperado {' ou '.join((field.true[0], field.false[0]))}",
    }
    return texts[field.type]


def masked(field: FieldSpec, text: str) -> str:
    """``text`` as it may be shown to whoever has no need of the person's data."""
    shown = _UNPRINTABLE.sub("?", text.replace(DDD_MARK, " "))
    if field.type in {"cpf", "cnpj", "telefone", "telefones"}:
        shown = mask(shown)
    elif field.type == "email" or field.name in {"nome", "email"}:
        shown = shown[:1] + "***" if shown else shown
    else:
        shown = mask_text(shown)
    return shown if len(shown) <= FOUND_LIMIT else shown[:FOUND_LIMIT] + "…"


def _parser(field: FieldSpec, between: str) -> Parser:
    match field.type:
        case "cpf":
            return lambda text: parse_cpf(text) or INVALID
        case "cnpj":
            return lambda text: parse_cnpj(text) or INVALID
        case "telefone":
            return _phone
        case "telefones":
            return lambda text: _phones(text, between)
        case "dinheiro":
            return _ranged(field, lambda text: _money(field, text))
        case "data":
            return _ranged(field, _date_parser(field))
        case "inteiro":
            return _ranged(field, _integer)
        case "email":
            return lambda text: text.lower() if _EMAIL.fullmatch(text) else INVALID
        case "uf":
            return lambda text: text.upper() if text.upper() in STATES else INVALID
        case "sim_nao":
            words = {word.upper(): True for word in field.true}
            words |= {word.upper(): False for word in field.false}
            return lambda text: words.get(text.upper(), INVALID)
        case "codigo":
            table = field.table or {}
            return lambda text: table.get(text, INVALID)
        case "texto":
            return lambda text: INVALID if _UNPRINTABLE.search(text) else text


def _phone(text: str) -> Any:
    ddd, mark, number = text.partition(DDD_MARK)
    if mark and not number.strip():
        return None  # a DDD alone is no phone, and no mistake either
    phone = parse_phone(number, ddd=ddd) if mark else parse_phone(text)
    return phone.number if phone else INVALID


def _phones(text: str, between: str) -> Any:
    parts = [part.strip() for part in text.split(between)]
    phones = [parse_phone(part) for part in parts if part]
    numbers = list(dict.fromkeys(phone.number for phone in phones if phone))
    if any(phone is None for phone in phones) or len(numbers) > MAX_PHONES:
        return INVALID
    return numbers


def _money(field: FieldSpec, text: str) -> Any:
    value = parse_money(text, decimal=field.decimal_mark, implied_decimals=field.implied_decimals)
    if value is None or abs(value) >= Decimal(10) ** 12 or value != round(value, 2):
        return INVALID
    return round(value, 2)


def _integer(text: str) -> Any:
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII) else INVALID


def _date_parser(field: FieldSpec) -> Parser:
    shape, order = field.date_format, field.date_order
    marks = [(position, char) for position, char in enumerate(shape) if char not in "dma"]

    def parse(text: str) -> date | _Invalid:
        if len(text) != len(shape) or any(text[position] != char for position, char in marks):
            return INVALID
        return parse_date(text, order=order) or INVALID

    return parse


def _ranged(field: FieldSpec, parse: Parser) -> Parser:
    low, high = field.minimum, field.maximum
    if low is None and high is None:
        return parse

    def within(text: str) -> Any:
        value = parse(text)
        if value is INVALID:
            return value
        if (low is not None and value < low) or (high is not None and value > high):
            return INVALID
        return value

    return within
