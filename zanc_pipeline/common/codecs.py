"""Codecs of Brazilian identifiers and values, one value at a time.

Every function takes text and returns the normal form, or ``None`` when the text is not proved to
be such a value. Nothing is guessed: the only inference, the ninth digit of an old mobile number,
is reported beside the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

_PHONE_TEXT = re.compile(r"[\d\s()+.-]*", re.ASCII)
_NOT_DIGIT = re.compile(r"\D", re.ASCII)
_CNPJ = re.compile(r"[0-9A-Z]{12}\d{2}", re.ASCII)

DDDS = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "16",
        "17",
        "18",
        "19",
        "21",
        "22",
        "24",
        "27",
        "28",
        "31",
        "32",
        "33",
        "34",
        "35",
        "37",
        "38",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "47",
        "48",
        "49",
        "51",
        "53",
        "54",
        "55",
        "61",
        "62",
        "63",
        "64",
        "65",
        "66",
        "67",
        "68",
        "69",
        "71",
        "73",
        "74",
        "75",
        "77",
        "79",
        "81",
        "82",
        "83",
        "84",
        "85",
        "86",
        "87",
        "88",
        "89",
        "91",
        "92",
        "93",
        "94",
        "95",
        "96",
        "97",
        "98",
        "99",
    ]
)
"""Area codes in service (Anatel's national numbering plan)."""

_STATES = "AC AL AM AP BA CE DF ES GO MA MG MS MT PA PB PE PI PR RJ RN RO RR RS SC SE SP TO"
STATES = frozenset(_STATES.split())
"""The abbreviations of the 26 states and the Federal District."""

YEARS = range(1900, 2200)
"""Years in which a date of this trade can lie: another one is a typing mistake."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phone:
    """A Brazilian phone: ``number`` is DDD + subscriber, 10 digits (landline) or 11 (mobile)."""

    number: str
    mobile: bool
    ninth_digit_inferred: bool = False


def cpf_check_digits(base: str) -> str:
    """The two modulus-11 check digits of nine digits (Receita Federal's rule)."""
    digits = [int(digit) for digit in base]
    for _ in range(2):
        total = sum(
            weight * digit
            for weight, digit in zip(range(len(digits) + 1, 1, -1), digits, strict=True)
        )
        digits.append((total * 10 % 11) % 10)
    return f"{digits[-2]}{digits[-1]}"


def parse_cpf(text: str) -> str | None:
    """Eleven digits, leading zeros restored, or ``None``; all digits equal is not a CPF."""
    compact = text.strip().replace(".", "").replace("-", "")
    if not (compact.isascii() and compact.isdigit() and 3 <= len(compact) <= 11):
        return None
    cpf = compact.zfill(11)
    if len(set(cpf)) == 1 or cpf_check_digits(cpf[:9]) != cpf[9:]:
        return None
    return cpf


def cnpj_check_digits(base: str) -> str:
    """The two modulus-11 check digits of twelve characters of ``[0-9A-Z]``.

    The value of a character is its ASCII code minus 48 (Receita Federal's rule since July 2026,
    which for digits is the old one).
    """
    values = [ord(char) - 48 for char in base]
    for _ in range(2):
        total = sum(value * (2 + place % 8) for place, value in enumerate(reversed(values)))
        rest = total % 11
        values.append(0 if rest < 2 else 11 - rest)
    return f"{values[-2]}{values[-1]}"


def parse_cnpj(text: str) -> str | None:
    """Fourteen characters, numeric or alphanumeric, or ``None``; never cast one to an integer.

    Leading zeros are restored to an all-numeric one only.
    """
    compact = text.strip().upper().replace(".", "").replace("-", "").replace("/", "")
    if not compact.isascii():
        return None
    if compact.isdigit() and len(compact) >= 3:
        compact = compact.zfill(14)
    if not _CNPJ.fullmatch(compact) or len(set(compact)) == 1:
        return None
    return compact if cnpj_check_digits(compact[:12]) == compact[12:] else None


def parse_phone(text: str, *, ddd: str = "") -> Phone | None:
    """A phone from any usual writing, with +55, trunk zero or a separate ``ddd``.

    Mobile: DDD + 9 digits that start with 9; landline: DDD + 8 digits that start with 2 to 5.
    An 8-digit number that starts with 6 to 9 is an old mobile: the ninth digit is added and
    ``ninth_digit_inferred`` says so. Anything but digits and the usual marks (an extension, a
    second number) proves nothing and gives ``None``.
    """
    if not (_PHONE_TEXT.fullmatch(ddd) and _PHONE_TEXT.fullmatch(text)):
        return None
    digits = _NOT_DIGIT.sub("", ddd) + _NOT_DIGIT.sub("", text)
    if len(digits) in (12, 13) and digits.startswith("55"):
        digits = digits[2:]
    if len(digits) in (11, 12) and digits.startswith("0"):
        digits = digits[1:]
    area, subscriber = digits[:2], digits[2:]
    if area not in DDDS:
        return None
    if len(subscriber) == 9 and subscriber[0] == "9":
        return Phone(number=digits, mobile=True)
    if len(subscriber) == 8 and subscriber[0] in "2345":
        return Phone(number=digits, mobile=False)
    if len(subscriber) == 8 and subscriber[0] in "6789":
        return Phone(number=f"{area}9{subscriber}", mobile=True, ninth_digit_inferred=True)
    return None


def parse_money(
    text: str, *, decimal: str = ",", implied_decimals: int | None = None
) -> Decimal | None:
    """An amount in reais with at most two decimals, or ``None``.

    ``decimal`` is the decimal mark; the other of ``.`` and ``,`` may group thousands. With
    ``implied_decimals`` the text is digits only and that many of them are decimals.
    """
    compact = text.strip().removeprefix("R$").strip()
    if implied_decimals is not None:
        if not re.fullmatch(r"[+-]?\d+", compact, re.ASCII):
            return None
        return Decimal(compact).scaleb(-implied_decimals)
    group = "." if decimal == "," else ","
    mark, thousands = re.escape(decimal), re.escape(group)
    if not re.fullmatch(
        rf"[+-]?(\d+|\d{{1,3}}({thousands}\d{{3}})+)({mark}\d{{1,2}})?", compact, re.ASCII
    ):
        return None
    try:
        return Decimal(compact.replace(group, "").replace(decimal, "."))
    except InvalidOperation:
        return None


_DATE_PATTERNS = {
    order: re.compile(
        {
            "dmy": r"(?P<d>\d{2})(?P<mark>[/.-]?)(?P<m>\d{2})(?P=mark)(?P<y>\d{4})",
            "ymd": r"(?P<y>\d{4})(?P<mark>[/.-]?)(?P<m>\d{2})(?P=mark)(?P<d>\d{2})",
            "mdy": r"(?P<m>\d{2})(?P<mark>[/.-]?)(?P<d>\d{2})(?P=mark)(?P<y>\d{4})",
        }[order],
        re.ASCII,
    )
    for order in ("dmy", "ymd", "mdy")
}


def parse_date(text: str, *, order: str = "dmy") -> date | None:
    """A date written day-month-year, year-month-day or month-day-year, with or without marks.

    ``order`` is ``dmy``, ``ymd`` or ``mdy``; both marks are the same one of ``/ . -`` or absent.
    """
    match = _DATE_PATTERNS[order].fullmatch(text.strip())
    if match is None or int(match["y"]) not in YEARS:
        return None
    try:
        return date(int(match["y"]), int(match["m"]), int(match["d"]))
    except ValueError:
        return None
