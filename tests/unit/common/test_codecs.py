"""Codecs of Brazilian values: proved or None, and never a guess."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zanc_pipeline.common.codecs import (
    DDDS,
    STATES,
    Phone,
    cnpj_check_digits,
    cpf_check_digits,
    parse_cnpj,
    parse_cpf,
    parse_date,
    parse_money,
    parse_phone,
)

DIGITS = st.text(alphabet="0123456789")
BASES = st.from_regex(r"[0-9]{9}", fullmatch=True).filter(lambda base: len(set(base)) > 1)
CNPJ_BASES = st.from_regex(r"[0-9A-Z]{12}", fullmatch=True).filter(lambda b: len(set(b)) > 1)


@pytest.mark.parametrize(
    ("text", "cpf"),
    [
        ("529.982.247-25", "52998224725"),
        (" 52998224725 ", "52998224725"),
        ("191", "00000000191"),
        ("52998224726", None),
        ("11111111111", None),
        ("000.000.000-00", None),
        ("529982247250", None),
        ("5299822472a", None),
        ("５２９９８２２４７２５", None),
        ("", None),
        ("-", None),
    ],
)
def test_cpf(text: str, cpf: str | None) -> None:
    assert parse_cpf(text) == cpf


@given(base=BASES)
def test_every_base_has_one_cpf(base: str) -> None:
    cpf = base + cpf_check_digits(base)
    assert parse_cpf(cpf) == cpf
    assert parse_cpf(cpf.lstrip("0")) == cpf
    wrong = cpf[:-1] + str((int(cpf[-1]) + 1) % 10)
    assert parse_cpf(wrong) is None


@given(base=BASES, place=st.integers(0, 10), digit=st.integers(1, 9))
def test_one_wrong_digit_is_no_cpf(base: str, place: int, digit: int) -> None:
    cpf = base + cpf_check_digits(base)
    changed = cpf[:place] + str((int(cpf[place]) + digit) % 10) + cpf[place + 1 :]
    # Both digits are modulus 11 folded to 10: a change may hide only between rests 10 and 0.
    if parse_cpf(changed) is not None:
        assert cpf_check_digits(changed[:9]) == changed[9:]


@pytest.mark.parametrize(
    ("text", "cnpj"),
    [
        ("12ABC34501DE35", "12ABC34501DE35"),
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("12abc34501de35", "12ABC34501DE35"),
        ("00.000.000/0001-91", "00000000000191"),
        ("191", "00000000000191"),
        ("12ABC34501DE36", None),
        ("12ABC34501DEA5", None),
        ("00000000000000", None),
        ("", None),
    ],
)
def test_cnpj(text: str, cnpj: str | None) -> None:
    assert parse_cnpj(text) == cnpj


@given(base=CNPJ_BASES)
def test_every_base_has_one_cnpj(base: str) -> None:
    cnpj = base + cnpj_check_digits(base)
    assert parse_cnpj(cnpj) == cnpj
    assert parse_cnpj(cnpj[:-1] + str((int(cnpj[-1]) + 1) % 10)) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("(11) 98765-4321", "11987654321"),
        ("+55 11 98765-4321", "11987654321"),
        ("011 3333-4444", "1133334444"),
        ("55 98765-4321", "55987654321"),
        ("5533334444", "5533334444"),
        ("5511333344 44", "1133334444"),
        ("11.98765.4321", "11987654321"),
        ("20 98765-4321", None),
        ("11 12345678", None),
        ("11 887654321", None),
        ("98765-4321", None),
        ("11 3333-4444 r 5", None),
        ("11 3333-4444/5", None),
        ("1198765432 ext 1", None),
        ("", None),
    ],
)
def test_phone(text: str, number: str | None) -> None:
    phone = parse_phone(text)
    assert (phone.number if phone else None) == number


def test_the_ninth_digit_of_an_old_mobile_is_inferred_and_said() -> None:
    assert parse_phone("1187654321") == Phone(
        number="11987654321", mobile=True, ninth_digit_inferred=True
    )


def test_the_ddd_may_come_apart() -> None:
    assert parse_phone("987654321", ddd="011") == Phone(number="11987654321", mobile=True)


@given(ddd=st.sampled_from(sorted(DDDS)), number=st.from_regex(r"9[0-9]{8}", fullmatch=True))
def test_every_mobile_is_read_in_every_writing(ddd: str, number: str) -> None:
    for text in (f"{ddd}{number}", f"+55{ddd}{number}", f"({ddd}) {number[:5]}-{number[5:]}"):
        assert parse_phone(text) == Phone(number=ddd + number, mobile=True)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1.234,56", "1234.56"),
        ("1234,5", "1234.5"),
        ("R$ 10,00", "10.00"),
        ("-0,01", "-0.01"),
        ("1.234", "1234"),
        ("1,234.56", None),
        ("12.34", None),
        ("1.23,45", None),
        ("1,234", None),
        ("1e5", None),
        ("NaN", None),
        ("", None),
        ("1 234,56", None),
    ],
)
def test_money(text: str, amount: str | None) -> None:
    assert parse_money(text) == (None if amount is None else Decimal(amount))


@given(cents=st.integers(0, 10**13))
def test_money_in_every_writing_means_the_same(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    grouped = f"{amount:,.2f}"
    assert parse_money(grouped, decimal=".") == amount
    assert parse_money(grouped.translate(str.maketrans(",.", ".,"))) == amount
    assert parse_money(f"{cents:012}", implied_decimals=2) == amount


@pytest.mark.parametrize("text", ["12,34", "12.34", "", "1 2", "--1"])
def test_implied_decimals_are_digits_only(text: str) -> None:
    assert parse_money(text, implied_decimals=2) is None


@pytest.mark.parametrize(
    ("text", "order", "day"),
    [
        ("31/01/2026", "dmy", date(2026, 1, 31)),
        ("31012026", "dmy", date(2026, 1, 31)),
        ("2026-01-31", "ymd", date(2026, 1, 31)),
        ("01.31.2026", "mdy", date(2026, 1, 31)),
        ("29/02/2024", "dmy", date(2024, 2, 29)),
        ("29/02/2026", "dmy", None),
        ("31/01-2026", "dmy", None),
        ("1/1/2026", "dmy", None),
        ("01/01/0202", "dmy", None),
        ("00000000", "ymd", None),
        ("01/13/2026", "dmy", None),
        ("", "dmy", None),
    ],
)
def test_date(text: str, order: str, day: date | None) -> None:
    assert parse_date(text, order=order) == day


@given(day=st.dates(min_value=date(1900, 1, 1), max_value=date(2199, 12, 31)))
def test_every_date_comes_back(day: date) -> None:
    assert parse_date(f"{day:%d/%m/%Y}") == day
    assert parse_date(f"{day:%Y%m%d}", order="ymd") == day


@given(text=st.text(max_size=30))
def test_no_text_breaks_a_codec(text: str) -> None:
    for parse in (parse_cpf, parse_cnpj, parse_phone, parse_money, parse_date):
        parse(text)
    parse_money(text, implied_decimals=2)


def test_there_are_27_states_and_67_area_codes() -> None:
    assert (len(STATES), len(DDDS)) == (27, 67)
