"""Whole columns are converted as the one-value rule converts each value."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zanc_pipeline.common.byte_cells import PAD, ByteCells, padded
from zanc_pipeline.common.codecs import cnpj_check_digits, cpf_check_digits
from zanc_pipeline.reception.fields import DDD_MARK
from zanc_pipeline.reception.fields import convert as scalar
from zanc_pipeline.reception.layout import ColumnField
from zanc_pipeline.reception.readers.base import Batch
from zanc_pipeline.reception.vectors import convert, plain_values

DIGITS = st.text("0123456789", max_size=20)
NUMBERS = st.integers(0, 10**13).map(str)


def spec(**keys: Any) -> ColumnField:
    return ColumnField.model_validate({"nome": "x", **keys})


def cpf(base: int) -> str:
    text = f"{base:09}"
    return text + cpf_check_digits(text)


def cnpj(base: str) -> str:
    return base + cnpj_check_digits(base)


def dotted(text: str) -> str:
    return f"{text[:3]}.{text[3:6]}.{text[6:9]}-{text[9:]}"


def grouped(number: int) -> str:
    return f"{number:,}".replace(",", ".")


CPFS = st.integers(0, 999_999_999).map(cpf)
CNPJS = st.from_regex(r"[0-9A-Z]{12}", fullmatch=True).map(cnpj)
MONEY = st.tuples(st.integers(0, 10**13), st.sampled_from(["", ",1", ",12", ",123", "."])).map(
    lambda pair: grouped(pair[0]) + pair[1]
)
PHONES = st.tuples(
    st.sampled_from(["", "+55", "0", "55 ", "+55 0"]),
    st.sampled_from(["11", "(11) ", "20", "(99)", "11" + DDD_MARK, DDD_MARK, "11 \n" + DDD_MARK]),
    st.one_of(st.integers(10**6, 10**9).map(str), st.sampled_from(["", "98765-4321", "\n", "9 1"])),
).map("".join)
AREAS = st.sampled_from(["11", "21", "20", "00", "99"])
DAYS = st.dates(date(1890, 1, 1), date(2210, 12, 31))
KINDS: dict[str, tuple[ColumnField, st.SearchStrategy[str]]] = {
    "cpf": (
        spec(tipo="cpf"),
        st.one_of(CPFS, CPFS.map(dotted), CPFS.map(lambda c: c.lstrip("0")), DIGITS),
    ),
    "cnpj": (
        spec(tipo="cnpj"),
        st.one_of(
            CNPJS,
            CNPJS.map(str.lower),
            CNPJS.map(lambda c: f"{c[:2]}.{c[2:5]}.{c[5:8]}/{c[8:12]}-{c[12:]}"),
            st.integers(0, 10**12 - 1).map(lambda n: cnpj(f"{n:012}")),
            DIGITS,
        ),
    ),
    "phone": (spec(tipo="telefone"), st.one_of(PHONES, DIGITS)),
    "money": (spec(tipo="dinheiro", minimo="0.015", maximo="99999999.99"), MONEY),
    "money with a point": (
        spec(tipo="dinheiro", decimal="."),
        MONEY.map(lambda text: text.translate(str.maketrans(".,", ",."))),
    ),
    **{
        f"money, {places} implied": (spec(tipo="dinheiro", decimais=places), NUMBERS)
        for places in (0, 1, 2, 4)
    },
    "integer": (spec(tipo="inteiro", minimo=-5, maximo=10**17), DIGITS),
    **{
        shape: (
            spec(tipo="data", formato=shape, minimo=date(1901, 2, 3), vazios=["00000000"]),
            st.one_of(
                DAYS.map(
                    lambda day, shape=shape: (
                        shape.replace("aaaa", f"{day.year:04}")
                        .replace("mm", f"{day.month:02}")
                        .replace("dd", f"{day.day:02}")
                    )
                ),
                st.sampled_from(["00000000", "31/02/2026", "20260229", "2026-13-01", "3102026"]),
            ),
        )
        for shape in (
            "dd/mm/aaaa",
            "aaaammdd",
            "ddmmaaaa",
            "aaaa-mm-dd",
            "mm.dd.aaaa",
            "dd/mm-aaaa",
        )
    },
    "code": (
        spec(tipo="codigo", tabela={"01": "um", "ção": "dois", "longo demais": "três", "a": "b"}),
        st.sampled_from(["01", "ção", "longo demais", "a", "A", "02", "a\x00", "longo de"]),
    ),
    "state": (spec(tipo="uf"), st.sampled_from(["SP", "sp", "Rj", "XX", "SPX", "S", "ﬁ"])),
    "yes or no": (
        spec(tipo="sim_nao"),
        st.sampled_from(["S", "sim", "Sim", "não", "NÃO", "nao", "0", "1", "2", "sin", "ſ"]),
    ),
    "text": (
        spec(tipo="texto"),
        st.sampled_from(
            ["José", "a\x01", "\x7f", "\u0085", "Âé", "JoÃ£o", "Ã‡", "ÃŠ", "Ãƒ", "Ãˆ", "�"]
        ),
    ),
    "email": (
        spec(tipo="email"),
        st.one_of(
            st.text("ab@.;, ", max_size=9),
            st.sampled_from(["A.b@c.com", "é@c.com", "a@b.c", "a@b..co", "a@b@c.com", "@b.com"]),
        ),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_column_is_what_its_values_are(kind: str, data: st.DataObject) -> None:
    field, usual = KINDS[kind]
    signed = st.tuples(st.sampled_from(["-", "+", "R$ ", "- "]), usual).map("".join)
    noise = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
    texts = data.draw(st.lists(st.one_of(usual, usual, usual, signed, noise), max_size=12))
    same(field, [text.strip(" \t") for text in texts])


@given(
    texts=st.lists(
        st.one_of(st.just(""), st.from_regex(r"[0-9]{0,13},[0-9]{2}", fullmatch=True)), max_size=8
    )
)
@settings(max_examples=60, deadline=None)
def test_amounts_with_cents_and_empty_cells_are_what_they_are_alone(texts: list[str]) -> None:
    same(spec(tipo="dinheiro"), texts)


def same(field: ColumnField, texts: list[str]) -> None:
    cells = pa.array(texts, type=pa.string())
    batch = Batch(
        line=np.arange(len(texts)), offset=np.arange(len(texts)), cells={field.name: cells}
    )
    ours, theirs = convert(field, batch), scalar(field, cells)
    assert ours.values.to_pylist() == theirs.values.to_pylist()
    assert ours.invalid.tolist() == theirs.invalid.tolist()
    assert plain_values(ours.values).type == theirs.values.type
    assert _marks(ours.inferred, len(texts)) == _marks(theirs.inferred, len(texts))


def _marks(mask: Any, rows: int) -> list[bool]:
    return [False] * rows if mask is None else list(mask.tolist())


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_phones_of_every_writing_are_what_they_are_alone(data: st.DataObject) -> None:
    number = st.tuples(AREAS, st.sampled_from("0236789"), st.integers(0, 10**8 - 1)).map(
        lambda parts: f"{parts[0]}{parts[1]}{parts[2]:08}"[: 10 + parts[2] % 2]
    )
    usual = [data.draw(number) for _ in range(3)] + [""]
    shown = data.draw(st.sampled_from(["{}{}", "({}) {}", "{}-{}"]))
    texts = [shown.format(text[:2], text[2:]) if text else "" for text in usual * 40]
    texts[data.draw(st.integers(0, 90))] = data.draw(PHONES).strip(" \t")
    same(spec(tipo="telefone"), texts)


@given(
    texts=st.lists(st.text("0123456789 \t", min_size=11, max_size=11), min_size=1, max_size=8),
    places=st.lists(st.integers(0, 7), min_size=1, max_size=8),
)
@example(texts=[" " * 11, "0" * 11], places=[0])
@settings(max_examples=80, deadline=None)
def test_cells_of_a_block_and_cells_apart_are_the_same(texts: list[str], places: list[int]) -> None:
    whole = "".join(text + "\n" for text in texts).encode()
    even = ByteCells(padded(whole), PAD, 11, len(texts), stride=12).without_blanks()
    apart = ByteCells.of(pa.array([text.strip(" \t") for text in texts]))
    assert even.texts().cast(pa.string()).to_pylist() == [text.strip(" \t") for text in texts]
    assert even.sizes.tolist() == apart.sizes.tolist()
    for place in (0, 8):
        assert even.head(place).tolist() == apart.head(place).tolist()
        assert even.tail(place).tolist() == apart.tail(place).tolist()
    rows = np.array([place for place in places if place < len(texts)], dtype=np.int64)
    assert even.take(rows).tail().tolist() == [apart.tail().tolist()[row] for row in rows]


EVEN: dict[str, tuple[ColumnField, st.SearchStrategy[str]]] = {
    "cpf": (spec(tipo="cpf"), st.one_of(CPFS, CPFS, st.sampled_from(["1" * 11, "0" * 11]))),
    "cnpj": (
        spec(tipo="cnpj"),
        st.one_of(st.integers(0, 10**12 - 1).map(lambda n: cnpj(f"{n:012}")), CNPJS),
    ),
    "phone": (
        spec(tipo="telefone"),
        st.tuples(AREAS, st.integers(8 * 10**8, 10**9 - 1)).map(lambda pair: f"{pair[0]}{pair[1]}"),
    ),
    "phone of ten": (
        spec(tipo="telefone"),
        st.tuples(AREAS, st.integers(2 * 10**7, 10**8 - 1)).map(lambda pair: f"{pair[0]}{pair[1]}"),
    ),
    "cpf with marks": (spec(tipo="cpf"), CPFS.map(dotted)),
    "day first": (spec(tipo="data", formato="ddmmaaaa"), DAYS.map("{:%d%m%Y}".format)),
    "year first": (spec(tipo="data", formato="aaaa-mm-dd"), DAYS.map("{:%Y-%m-%d}".format)),
    "state": (spec(tipo="uf"), st.sampled_from(["SP", "rj", "XX", "S\x00"])),
    "yes or no": (spec(tipo="sim_nao"), st.sampled_from(["S", "n", "X", "\x00"])),
}


@pytest.mark.parametrize("kind", EVEN)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_cells_of_one_size_are_what_their_values_are(kind: str, data: st.DataObject) -> None:
    """In a block, at places of their own, and beside empty ones."""
    field, usual = EVEN[kind]
    texts = data.draw(st.lists(usual, min_size=1, max_size=6))
    spoilt = data.draw(st.none() | st.tuples(st.integers(0, 99), st.sampled_from("0 9x/;")))
    if spoilt is not None:
        at, mark = spoilt
        text = texts[at % len(texts)]
        place = at // 6 % len(text)
        texts[at % len(texts)] = text[:place] + mark + text[place + 1 :]
    size, rows = len(texts[0]), len(texts)
    buffer = padded(";".join([*texts, ""]).encode())
    starts = PAD + np.arange(rows, dtype=np.int64) * (size + 1)
    gone = np.array([data.draw(st.booleans()) for _ in texts])
    for cells, said in (
        (ByteCells(buffer, PAD, size, rows, stride=size + 1), texts),
        (ByteCells(buffer, starts, size, rows), texts),
        (
            ByteCells(buffer, starts, np.where(gone, 0, size), rows),
            ["" if empty else text for empty, text in zip(gone, texts, strict=True)],
        ),
    ):
        shown = pa.array([text.strip(" \t") for text in said], type=pa.string())
        batch = Batch(
            line=np.arange(rows),
            offset=np.arange(rows),
            cells={field.name: shown},
            raw={field.name: cells},
        )
        ours, theirs = convert(field, batch), scalar(field, shown)
        assert ours.values.to_pylist() == theirs.values.to_pylist()
        assert ours.invalid.tolist() == theirs.invalid.tolist()
