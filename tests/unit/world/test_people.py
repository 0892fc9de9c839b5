"""Invented debtors pass as real ones wherever a number is checked."""

from __future__ import annotations

from datetime import date

import numpy as np

from zanc_pipeline.common.codecs import cpf_check_digits, parse_cpf, parse_phone
from zanc_pipeline.world import law
from zanc_pipeline.world.people import (
    CITIES,
    CONVENIOS,
    cpfs_of,
    make_contracts,
    make_people,
    make_phones,
    plain,
)

DAY = date(2026, 11, 23)


def test_cpfs_are_valid() -> None:
    bases = law.random_stream(1, "cpf").integers(1, 999_999_999, 300)
    for base, cpf in zip(bases.tolist(), cpfs_of(bases), strict=True):
        assert cpf == f"{base:09d}{cpf_check_digits(f'{base:09d}')}"
        assert parse_cpf(cpf) == cpf


def test_people_are_unique_and_avoid_the_taken() -> None:
    first = make_people(law.random_stream(1, "p"), 400, DAY)
    again = make_people(law.random_stream(1, "p"), 400, DAY, taken=frozenset(first.cpf))
    assert len(set(first.cpf)) == 400
    assert not set(first.cpf) & set(again.cpf)
    assert all(18 <= (DAY - birth).days / 365.25 <= 93 for birth in first.birth)


def test_phones_are_unique_valid_and_of_no_subscriber() -> None:
    people = make_people(law.random_stream(2, "p"), 500, DAY)
    phones = make_phones(law.random_stream(2, "f"), people.city, np.full(500, -1))
    assert len(set(phones.number)) == len(phones)
    for number, mobile in zip(phones.number, phones.mobile.tolist(), strict=True):
        parsed = parse_phone(number)
        assert parsed is not None
        assert (parsed.number, parsed.mobile) == (number, mobile)
        assert number[2:4] == ("90" if mobile else "20")
    assert set(phones.person.tolist()) == set(range(500))
    assert phones.first_seen.max() <= -1


def test_a_person_owes_each_creditor_once_and_some_owe_several() -> None:
    people = make_people(law.random_stream(3, "p"), 2_000, DAY)
    phones = make_phones(law.random_stream(3, "f"), people.city, np.full(2_000, -1))
    contracts = make_contracts(law.random_stream(3, "c"), 2_000, phones, first_number=[1] * 4)
    pairs = list(zip(contracts.person.tolist(), contracts.convenio.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    keys = zip(contracts.convenio.tolist(), contracts.number, strict=True)
    assert len(set(keys)) == len(contracts)
    several = (np.bincount(contracts.person) > 1).mean()
    assert 0.20 < several < 0.30


def test_every_creditor_knows_a_phone_of_its_debtor() -> None:
    people = make_people(law.random_stream(4, "p"), 800, DAY)
    phones = make_phones(law.random_stream(4, "f"), people.city, np.full(800, -1))
    contracts = make_contracts(law.random_stream(4, "c"), 800, phones, first_number=[1] * 4)
    slots = np.bincount(phones.person)
    for person, bits in zip(contracts.person.tolist(), contracts.phones.tolist(), strict=True):
        assert 0 < bits < 1 << slots[person]


def test_every_text_fits_its_field() -> None:
    assert all(len(city) <= 25 for _, city, _, _ in CITIES)
    for convenio in CONVENIOS:
        assert all(len(product) <= 15 for product in convenio.products)
        assert len(convenio.prefix) + 9 <= 15
    people = make_people(law.random_stream(5, "p"), 2_000, DAY)
    assert max(len(email or "") for email in people.email) <= 40
    assert max(len(name) for name in people.name) <= 40
    assert all("example.com" in email for email in people.email if email)


def test_plain_text_is_ascii() -> None:
    assert plain("CRÉDITO João Ç") == "CREDITO Joao C"
