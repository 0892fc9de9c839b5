"""Text to typed Arrow columns, field by field, with what was expected in Portuguese.

Every distinct text of a column is converted once (dictionary encoding), so that dates, cities and
codes cost one conversion a value and not one a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common.codecs import (
    STATES,
    YEARS,
    Phone,
    parse_cnpj,
    parse_cpf,
    parse_money,
    parse_phone,
)
from zanc_pipeline.common.masking import mask, mask_text
from zanc_pipeline.reception.layout_fields import EXCEL, FieldSpec
from zanc_pipeline.reception.pictures import overpunched

DECIMAL = pa.decimal128(24, 6)
MONEY = pa.decimal128(14, 2)
NARROW_MONEY = pa.decimal64(14, 2)
"""The same in half of the memory: what amounts are on their way to a file."""

DDD_MARK = "\x1f"
"""Stands between a DDD and a phone that came in separate columns."""

MAX_PHONES = 3
FOUND_LIMIT = 60

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
_MISDECODED = re.compile("[ÂÃ][¡-¿€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
"""An accented letter of UTF-8 read as cp1252: ``JoÃ£o``, ``CONCEIÃ‡ÃƒO``."""

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]{2,}")


class _Inferred(str):
    """A phone whose ninth digit was added."""


class _Invalid:
    """The mark of a text that is not proved to be a value of its type."""


INVALID = _Invalid()
Parser = Callable[[str], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A converted column: typed values (null where empty or invalid) and where it is invalid.

    Amounts may be ``NARROW_MONEY``, few different texts a dictionary of them.

    ``inferred`` says where a phone got the ninth digit that it did not have; None is nowhere.
    """

    values: pa.Array
    invalid: npt.NDArray[np.bool_]
    inferred: npt.NDArray[np.bool_] | None = None


def arrow_type(field: FieldSpec) -> pa.DataType:
    """The Arrow type of a field's values."""
    return {
        "dinheiro": MONEY,
        "decimal": DECIMAL,
        "data": pa.date32(),
        "data_hora": pa.timestamp("s"),
        "inteiro": pa.int64(),
        "sim_nao": pa.bool_(),
        "telefones": pa.list_(pa.string()),
    }.get(field.type, pa.string())


def convert(field: FieldSpec, cells: pa.Array, *, between: str = "/") -> Column:
    """Convert trimmed texts; an empty one is null and is not invalid here."""
    parse = _parser(field, between)
    empty = frozenset({"", *field.empty})
    encoded = pc.fill_null(cells, "").dictionary_encode()
    texts = encoded.dictionary
    parsed = [None if text in empty else parse(text) for text in texts.to_pylist()]
    wrong = np.array([value is INVALID for value in parsed], dtype=np.bool_)
    wrong |= _misshapen(field, texts, np.array([value is None for value in parsed], dtype=np.bool_))
    values = pa.array(
        [None if bad else value for value, bad in zip(parsed, wrong, strict=True)],
        type=arrow_type(field),
    )
    indices = encoded.indices
    places = indices.to_numpy()
    inferred = None
    if field.type in {"telefone", "telefones"}:
        added = np.array([_has_inferred(value) for value in parsed], dtype=np.bool_)
        inferred = added[places] if added.any() else None
    return Column(values=values.take(indices), invalid=wrong[places], inferred=inferred)


def _misshapen(
    field: FieldSpec, texts: pa.Array, empty: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Where a text breaks the layout's own rules of length and pattern (RE2: in linear time)."""
    wrong = np.zeros(len(texts), dtype=np.bool_)
    if field.min_length or field.max_length is not None:
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
        wrong |= lengths < field.min_length
        if field.max_length is not None:
            wrong |= lengths > field.max_length
    if field.pattern is not None:
        fits = pc.match_substring_regex(texts, rf"\A(?:{field.pattern})\z")
        wrong |= ~fits.to_numpy(zero_copy_only=False)
    return wrong & ~empty


def _has_inferred(value: Any) -> bool:
    return isinstance(value, _Inferred) or (
        isinstance(value, list) and any(isinstance(phone, _Inferred) for phone in value)
    )


def expected(field: FieldSpec) -> str:
    """What the field should hold and what to do, for the clerk."""
    limits = ""
    if field.minimum is not None:
        limits += f", de no mínimo {_shown(field.minimum)}"
    if field.maximum is not None:
        limits += f", de no máximo {_shown(field.maximum)}"
    rules = ""
    if field.min_length:
        rules += f", com {field.min_length} caracteres ou mais"
    if field.max_length is not None:
        rules += f", com {field.max_length} caracteres ou menos"
    if field.pattern is not None:
        rules += f", no padrão {field.pattern}"
    number = _shape_of_number(field)
    texts = {
        "cpf": "esperado um CPF com dígitos verificadores corretos: peça a correção ao credor",
        "cnpj": "esperado um CNPJ com dígitos verificadores corretos: peça a correção ao credor",
        "cpf_cnpj": "esperado um CPF ou um CNPJ com dígitos verificadores corretos: peça a "
        "correção ao credor",
        "telefone": "esperado DDD e telefone (fixo 8 ou celular 9 algarismos)",
        "telefones": f"esperados até {MAX_PHONES} telefones com DDD",
        "dinheiro": f"esperado um valor em reais ({number}){limits}: confira com o credor",
        "decimal": f"esperado um número ({number}){limits}: confira com o credor",
        "data": f"esperada uma data que exista, no formato {field.date_format}{limits}",
        "data_hora": f"esperadas data e hora que existam, no formato {field.date_format}{limits}",
        "texto": f"esperado um texto{rules}: confira com o credor"
        if rules
        else "há caracteres estranhos (de controle ou de outra codificação): corrija o texto",
        "email": "esperado um e-mail como nome@provedor.com.br",
        "uf": "esperada a sigla de um estado, como SP",
        "codigo": f"esperado um destes códigos: {', '.join(field.table or ())}",
        "inteiro": f"esperado um número inteiro{limits}",
        "sim_nao": f"esperado {' ou '.join((field.true[0], field.false[0]))}",
    }
    said = texts[field.type]
    if rules and field.type != "texto":
        head, mark, rest = said.partition(":")
        said = head + rules + mark + rest
    return said


def _shape_of_number(field: FieldSpec) -> str:
    signs = {"antes": "", "depois": ", com o sinal no fim", "cobol": ", com o sinal do COBOL"}
    if field.implied_decimals is not None:
        count = field.implied_decimals
        if count == 0:
            return f"só algarismos{signs[field.sign]}"
        last = "os 2 últimos são centavos" if count == 2 else f"os {count} últimos são decimais"
        return f"só algarismos, {last}{signs[field.sign]}"
    return f"como {'1.234,56' if field.decimal_mark == ',' else '1234.56'}{signs[field.sign]}"


def _shown(limit: Decimal | date) -> str:
    return f"{limit:%d/%m/%Y}" if isinstance(limit, date) else str(limit)


def masked(field: FieldSpec, text: str) -> str:
    """``text`` as it may be shown to whoever has no need of the person's data."""
    shown = _UNPRINTABLE.sub("?", text.replace(DDD_MARK, " "))
    if field.type in {"cpf", "cnpj", "cpf_cnpj", "telefone", "telefones"}:
        shown = mask(shown)
    elif field.type == "email" or field.name in {"nome", "email"}:
        shown = shown[:1] + "***" if shown else shown
    else:
        shown = mask_text(shown)
    return shown if len(shown) <= FOUND_LIMIT else shown[:FOUND_LIMIT] + "…"


def _parser(field: FieldSpec, between: str) -> Parser:
    match field.type:
        case "cpf":
            return _cpf
        case "cnpj":
            return lambda text: parse_cnpj(text) or INVALID
        case "cpf_cnpj":
            return _cpf_or_cnpj
        case "telefone":
            return _phone
        case "telefones":
            return lambda text: _phones(text, between)
        case "dinheiro":
            return _ranged(field, lambda text: _money(field, text))
        case "decimal":
            return _ranged(field, lambda text: _decimal(field, text))
        case "data":
            return _ranged(field, _date_parser(field))
        case "data_hora":
            return _ranged(field, _time_parser(field))
        case "inteiro":
            return _ranged(field, lambda text: _integer(field, text))
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
            return lambda text: (
                INVALID if _UNPRINTABLE.search(text) or _MISDECODED.search(text) else text
            )


def _cpf(text: str) -> Any:
    """A CPF, also one that a fixed-width field pads with zeros to the 14 or 15 digits of a CNPJ.

    The check digits of a padded CPF that begins with 00 are those of a CNPJ too: the layout, which
    says CPF, decides. The CNPJ root of Banco do Brasil, all zeros, is nobody's CPF.
    """
    if len(text) in (14, 15) and text.isascii() and text.isdigit():
        zeros, text = text[:-11], text[-11:]
        if zeros.strip("0") or text.startswith("00000"):
            return INVALID
    return parse_cpf(text) or INVALID


def _cpf_or_cnpj(text: str) -> Any:
    """A CPF or a CNPJ; digits that could be either (a CPF padded to 14) are proved by both rules.

    A text that passes the check digits of both, padded or with leading zeros lost, proves nothing.
    Eleven digits or less are never a CNPJ that lost its zeros: one wrong CPF in a hundred is one.
    """
    if "/" in text:
        return parse_cnpj(text) or INVALID
    compact = re.sub(r"[.\-\s]", "", text)
    if len(compact) == 15 and compact.startswith("0"):
        compact = compact[1:]
    as_cpf = compact[3:] if len(compact) == 14 and compact.startswith("000") else compact
    cpf, cnpj = parse_cpf(as_cpf), parse_cnpj(compact)
    if cpf and cnpj and len(compact) != 11:
        return INVALID
    return (cpf if len(compact) <= 11 else cnpj or cpf) or INVALID


def _phone(text: str) -> Any:
    ddd, mark, number = text.partition(DDD_MARK)
    if mark and not number.strip():
        return None  # a DDD alone is no phone, and no mistake either
    return _marked(parse_phone(number, ddd=ddd) if mark else parse_phone(text))


def _marked(phone: Phone | None) -> Any:
    if phone is None:
        return INVALID
    return _Inferred(phone.number) if phone.ninth_digit_inferred else phone.number


def _phones(text: str, between: str) -> Any:
    parts = [part.strip() for part in text.split(between)]
    numbers = [_marked(parse_phone(part)) for part in parts if part]
    if any(number is INVALID for number in numbers):
        return INVALID
    distinct = list(dict.fromkeys(numbers))
    return distinct if len(distinct) <= MAX_PHONES else INVALID


def _money(field: FieldSpec, text: str) -> Any:
    value = parse_money(
        _signed_before(field, text) or "",
        decimal=field.decimal_mark,
        implied_decimals=field.implied_decimals,
    )
    if value is None or abs(value) >= Decimal(10) ** 12 or value != round(value, 2):
        return INVALID
    return round(value, 2)


def _decimal(field: FieldSpec, text: str) -> Any:
    plain = _signed_before(field, text)
    if plain is None:
        return INVALID
    if field.implied_decimals is not None:
        value = parse_money(plain, implied_decimals=field.implied_decimals)
    else:
        mark = re.escape(field.decimal_mark)
        group = r"\." if field.decimal_mark == "," else ","
        shape = rf"[+-]?(\d+|\d{{1,3}}({group}\d{{3}})+)({mark}\d{{1,6}})?"
        if not re.fullmatch(shape, plain, re.ASCII):
            return INVALID
        bare = plain.replace("." if field.decimal_mark == "," else ",", "")
        value = Decimal(bare.replace(",", "."))
    return INVALID if value is None or abs(value) >= Decimal(10) ** 18 else value


def _integer(field: FieldSpec, text: str) -> Any:
    plain = _signed_before(field, text) or ""
    return int(plain) if re.fullmatch(r"[+-]?\d{1,18}", plain, re.ASCII) else INVALID


def _signed_before(field: FieldSpec, text: str) -> str | None:
    """The number with its sign in front, or None when the sign is not where the layout says."""
    if field.sign == "antes":
        return text
    if field.sign == "cobol":
        return overpunched(text)
    if text[:1] in {"-", "+"}:
        return None
    return f"{text[-1]}{text[:-1].rstrip()}" if text.endswith(("-", "+")) else text


_PART_SIZES = {"aaaa": 4, "aa": 2, "mm": 2, "dd": 2, "ddd": 3, "hh": 2, "ss": 2}
_MONTHS = ["jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez"]
_MONTHS_OF = {name: number for number, name in enumerate(_MONTHS, start=1)} | {
    "feb": 2, "apr": 4, "may": 5, "aug": 8, "sep": 9, "oct": 10, "dec": 12
}  # fmt: skip
_EXCEL_DAY = re.compile(r"\d{1,6}([.,]\d{1,12})?", re.ASCII)
_EXCEL_FIRST = datetime(1899, 12, 30)  # noqa: DTZ001 - no zone
_EXCEL_LEAST = 61
"""The first of March of 1900: spreadsheets count a day before it that never was."""


def _moment_parser(field: FieldSpec) -> Callable[[str], datetime | None]:
    """Reads a text by ``formato``, strictly: every mark in its place, every part in full.

    A time is what is written: fractions of a second and the time zone say nothing more.
    """
    if field.date_format == EXCEL:
        return moment_of_serial
    regex, hours = "", False
    for part in re.findall(r"a+|m+|d+|h+|s+|f+|.", field.date_format):
        if part == "mmm":
            regex += r"(?P<mmm>[A-Za-z]{3})"
            continue
        if part[0] == "f":
            regex += rf"\d{{{len(part)}}}"
            continue
        if part not in _PART_SIZES:
            regex += re.escape(part)
            continue
        group = "minute" if part == "mm" and hours else part
        hours = hours or part == "hh"
        regex += rf"(?P<{group}>\d{{{_PART_SIZES[part]}}})"
    shape = re.compile(regex, re.ASCII)
    century = field.century or 0

    def parse(text: str) -> datetime | None:
        found = shape.fullmatch(text)
        if found is None:
            return None
        texts = found.groupdict()
        month = _MONTHS_OF.get(texts.pop("mmm", "").lower(), 0)
        parts = {"mm": month} | {name: int(value) for name, value in texts.items()}
        year = parts.get("aaaa", -1)
        if year < 0:
            year = parts["aa"] + (2000 if parts["aa"] < century else 1900)
        if year not in YEARS:
            return None
        time = (parts.get("hh", 0), parts.get("minute", 0), parts.get("ss", 0))
        try:
            if "ddd" not in parts:
                return datetime(year, parts["mm"], parts["dd"], *time)  # noqa: DTZ001 - no zone
            first = datetime(year, 1, 1, *time)  # noqa: DTZ001
            day = first + timedelta(days=parts["ddd"] - 1)
        except ValueError:
            return None
        return day if parts["ddd"] and day.year == year else None

    return parse


def moment_of_serial(text: str) -> datetime | None:
    """The day and time that a spreadsheet counts as a number; None for what is no such number."""
    if not _EXCEL_DAY.fullmatch(text):
        return None
    days = Decimal(text.replace(",", "."))
    if days < _EXCEL_LEAST:
        return None
    found = _EXCEL_FIRST + timedelta(seconds=round(days * 86_400))
    return found if found.year in YEARS else None


def serial_of_moment(moment: date) -> str:
    """How a spreadsheet counts a day, or a day and its time."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - no zone
    days = Decimal((moment - _EXCEL_FIRST) // timedelta(seconds=1)) / 86_400
    return f"{days.quantize(Decimal('0.000001')):f}".rstrip("0").rstrip(".")


def month_word(month: int) -> str:
    """How a layout's ``mmm`` writes a month."""
    return _MONTHS[month - 1]


def _date_parser(field: FieldSpec) -> Parser:
    moment = _moment_parser(field)

    def parse(text: str) -> Any:
        found = moment(text)
        return INVALID if found is None else found.date()

    return parse


def _time_parser(field: FieldSpec) -> Parser:
    moment = _moment_parser(field)
    return lambda text: moment(text) or INVALID


def _ranged(field: FieldSpec, parse: Parser) -> Parser:
    low: Any = field.minimum
    high: Any = field.maximum
    if low is None and high is None:
        return parse

    def within(text: str) -> Any:
        value = parse(text)
        if value is INVALID:
            return value
        measured = value.date() if isinstance(value, datetime) else value
        if (low is not None and measured < low) or (high is not None and measured > high):
            return INVALID
        return value

    return within
