"""Columns converted whole where their writing is a usual one; ``fields.convert`` has the rest.

The one rule of a type is its scalar one: what is decided here is what that rule says, and every
text that is not of a usual shape, and every option that is not known here, goes there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from zanc_pipeline.common import vector_codecs as codecs
from zanc_pipeline.common.byte_cells import ByteCells, Integers, Mask, validity
from zanc_pipeline.common.codecs import STATES
from zanc_pipeline.common.vector_codecs import Codes, Decided
from zanc_pipeline.reception.fields import DDD_MARK, MONEY, NARROW_MONEY, Column
from zanc_pipeline.reception.fields import convert as convert_texts
from zanc_pipeline.reception.layout import ColumnField, FieldSpec
from zanc_pipeline.reception.readers.base import Batch

Decide = Callable[[FieldSpec, ByteCells, str], Decided]


_AT_ONCE = 40_000
"""Values decided in one go: what is made of them on the way stays in the core's own cache."""


def convert_all(specs: Sequence[FieldSpec], batch: Batch) -> dict[str, Column]:
    """The typed columns of a batch, by field; fields of one kind are decided in one go."""
    groups: dict[object, list[FieldSpec]] = {}
    for spec in specs:
        groups.setdefault(_kind(spec) if spec.name in batch.raw else spec.name, []).append(spec)
    found: dict[str, Column] = {}
    for group in groups.values():
        goes = -(-len(group) // max(_AT_ONCE // max(len(batch.line), 1), 2))
        most = -(-len(group) // goes)
        for first in range(0, len(group), most):
            if len(part := group[first : first + most]) > 1:
                found |= _together(part, batch)
    return {spec.name: found.get(spec.name) or convert(spec, batch) for spec in specs}


def _kind(spec: FieldSpec) -> object:
    """The same for fields that are decided in the same way; a kind of its own for the others."""
    if spec.type not in _DECIDERS or not _plain(spec) or spec.empty:
        return spec.name
    limits = (spec.minimum, spec.maximum, spec.implied_decimals, spec.decimal_mark)
    words = (spec.true, spec.false, tuple((spec.table or {}).items()))
    return (spec.type, spec.date_format, *words, *limits)


def _together(group: Sequence[FieldSpec], batch: Batch) -> dict[str, Column]:
    """The columns of the group of which every value is valid as it stands, or empty."""
    rows = len(batch.line)
    found = {}
    for places, cells in ByteCells.stacked([batch.raw[spec.name] for spec in group]):
        if len(places) == 1:
            continue
        decided = _DECIDERS[group[0].type](group[0], cells, batch.encoding)
        for place, spec in enumerate(group[places.start : places.stop]):
            part = slice(place * rows, (place + 1) * rows)
            own = Decided(
                values=decided.values.slice(place * rows, rows),
                valid=decided.valid[part],
                known=decided.known[part],
                inferred=None if decided.inferred is None else decided.inferred[part],
            )
            if own.valid.all():
                nothing = np.zeros(rows, dtype=np.bool_)
                found[spec.name] = Column(values=own.values, invalid=nothing, inferred=own.inferred)
            elif not isinstance(cells.size, int):
                blank = cells.size[part] == 0
                if (own.valid | blank).all():
                    found[spec.name] = _completed(spec, batch, own, blank, _between(spec))
    return found


def convert(spec: FieldSpec, batch: Batch) -> Column:
    """The typed column of a field, as ``fields.convert`` gives it."""
    between = _between(spec)
    if spec.type in {"texto", "email"} and _plain(spec):
        texts = batch.cells[spec.name]
        decided = _texts(texts) if spec.type == "texto" else _emails(texts)
        ends = _flat(texts)[1]
        return _completed(spec, batch, decided, ends[1:] == ends[:-1], between)
    decide = _DECIDERS.get(spec.type)
    if decide is None or not _plain(spec):
        return convert_texts(spec, batch.cells[spec.name], between=between)
    cells = batch.raw.get(spec.name)
    encoding = batch.encoding
    if cells is None:
        cells, encoding = ByteCells.of(batch.cells[spec.name]), "utf-8"
    decided = decide(spec, cells, encoding)
    if not decided.valid.all() and not (decided.valid | (cells.sizes == 0)).all():
        # What is decided as it stands needs no trimming; most columns of numbers are.
        bare = cells.without_blanks()
        if bare is not cells:
            cells, decided = bare, decide(spec, bare, encoding)
    if decided.valid.all() and not spec.empty:
        nothing = np.zeros(cells.rows, dtype=np.bool_)
        return Column(values=decided.values, invalid=nothing, inferred=decided.inferred)
    return _completed(spec, batch, decided, cells.sizes == 0, between)


def _between(spec: FieldSpec) -> str:
    return spec.between if isinstance(spec, ColumnField) else "/"


def plain_values(values: pa.Array) -> pa.Array:
    """The same as ``fields.convert`` has them: texts written out, amounts in 128 bits."""
    if values.type == NARROW_MONEY:
        return values.cast(MONEY)
    return values.cast(pa.string()) if pa.types.is_dictionary(values.type) else values


PADDED_CPF_SIZES = (14, 15)
"""Fields made for a CNPJ hold a CPF with zeros before it: ``fields.convert`` knows the rule."""


def _plain(spec: FieldSpec) -> bool:
    """Whether the field has no rule beyond those of its type."""
    return (
        spec.sign == "antes"
        and not spec.min_length
        and spec.max_length is None
        and spec.pattern is None
    )


def _completed(
    spec: FieldSpec, batch: Batch, decided: Decided, blank: Mask, between: str
) -> Column:
    values, empty = decided.values, blank
    if spec.empty:
        said = pc.is_in(batch.cells[spec.name], value_set=pa.array(spec.empty, pa.string()))
        empty = blank | said.to_numpy(zero_copy_only=False)
    if values.null_count < np.count_nonzero(empty) or (spec.empty and empty.any()):
        values = _nulled(plain_values(values), empty)
    inferred = decided.inferred
    if decided.valid.all():
        nothing = np.zeros(len(values), dtype=np.bool_)
        return Column(values=values, invalid=nothing, inferred=inferred)
    invalid = decided.known & ~decided.valid & ~empty
    rest = np.flatnonzero(~(decided.known | empty))
    if not len(rest):
        return Column(values=values, invalid=invalid, inferred=inferred)
    texts = batch.cells[spec.name].take(pa.array(rest))
    others = convert_texts(spec, texts, between=between)
    places = np.arange(len(values))
    places[rest] = len(values) + np.arange(len(rest))
    values = pa.concat_arrays([plain_values(values), others.values]).take(pa.array(places))
    invalid[rest] = others.invalid
    if others.inferred is not None:
        inferred = np.zeros(len(places), dtype=np.bool_) if inferred is None else inferred
        inferred[rest] = others.inferred
    return Column(values=values, invalid=invalid, inferred=inferred)


def _nulled(values: pa.Array, empty: Mask) -> pa.Array:
    """The values without those of empty cells; nothing is copied where all are there."""
    if values.null_count or values.offset or pa.types.is_boolean(values.type):
        return pc.if_else(pa.array(empty), pa.scalar(None, values.type), values)
    buffers = [validity(~empty), *values.buffers()[1:]]
    return pa.Array.from_buffers(values.type, len(values), buffers)


def _cpf(_spec: FieldSpec, cells: ByteCells, _encoding: str) -> Decided:
    decided = codecs.cpfs(cells)
    padded = np.isin(cells.sizes, PADDED_CPF_SIZES) & ~decided.valid
    return replace(decided, known=decided.known & ~padded) if padded.any() else decided


def _cnpj(_spec: FieldSpec, cells: ByteCells, _encoding: str) -> Decided:
    return codecs.cnpjs(cells)


def _phone(_spec: FieldSpec, cells: ByteCells, _encoding: str) -> Decided:
    return codecs.phones(cells, between=DDD_MARK)


def _money(spec: FieldSpec, cells: ByteCells, _encoding: str) -> Decided:
    cents, valid, known = codecs.hundredths(
        cells, decimal=spec.decimal_mark, implied_decimals=spec.implied_decimals
    )
    valid &= _within(spec, cents, 100)
    return Decided(values=codecs.plain(cents, valid, NARROW_MONEY), valid=valid, known=known)


def _integer(spec: FieldSpec, cells: ByteCells, _encoding: str) -> Decided:
    numbers, known = codecs.signed_integers(cells)
    valid = known & _within(spec, numbers, 1)
    return Decided(values=codecs.plain(numbers, valid, pa.int64()), valid=valid, known=known)


def _within(spec: FieldSpec, values: Integers, unit: int) -> Mask:
    """Where whole numbers of 1/``unit`` are within the field's limits."""
    mask = np.ones(len(values), dtype=np.bool_)
    widest = 2**63 - 1
    if isinstance(spec.minimum, Decimal):
        mask &= values >= min(math.ceil(spec.minimum * unit), widest)
    if isinstance(spec.maximum, Decimal):
        mask &= values <= max(math.floor(spec.maximum * unit), -widest)
    return mask


def _date(spec: FieldSpec, cells: ByteCells, _encoding: str) -> Decided:
    marks = spec.date_format.translate({ord(part): None for part in "dma"})
    if not spec.plain_date or marks not in {"", marks[:1] * 2}:
        nothing = np.zeros(cells.rows, dtype=np.bool_)
        return Decided(values=pa.nulls(cells.rows, pa.date32()), valid=nothing, known=nothing)
    days, valid, known = codecs.days(cells, order=spec.date_order, mark=marks[:1])
    if isinstance(spec.minimum, date):
        valid &= days >= _day(spec.minimum)
    if isinstance(spec.maximum, date):
        valid &= days <= _day(spec.maximum)
    return Decided(values=codecs.plain(days, valid, pa.date32()), valid=valid, known=known)


def _day(limit: date) -> int:
    return (limit - date(1970, 1, 1)).days


def _code(spec: FieldSpec, cells: ByteCells, encoding: str) -> Decided:
    table = spec.table or {}
    places, found = _codes(tuple(table), encoding).find(cells)
    return _chosen(tuple(table.values()), places, found)


def _state(_spec: FieldSpec, cells: ByteCells, encoding: str) -> Decided:
    words, states = _states()
    places, found = _codes(words, encoding).find(cells)
    return _chosen(states, places, found)


@cache
def _states() -> tuple[tuple[str, ...], tuple[str, ...]]:
    words = _cased(tuple(sorted(STATES)))
    return words, tuple(word.upper() for word in words)


def _yes_no(spec: FieldSpec, cells: ByteCells, encoding: str) -> Decided:
    # A word that is given as yes and as no is no, as the scalar rule reads it.
    words = _cased(spec.false) + _cased(spec.true)
    places, found = _codes(words, encoding).find(cells)
    truth = places >= len(_cased(spec.false))
    bits = pa.py_buffer(np.packbits(truth, bitorder="little"))
    values = pa.Array.from_buffers(pa.bool_(), cells.rows, [validity(found), bits])
    return Decided(values=values, valid=found, known=found)


def _chosen(
    meanings: tuple[str, ...], places: npt.NDArray[np.signedinteger[Any]], found: Mask
) -> Decided:
    """Texts out of a few: each is kept once where all are found, as a dictionary of them."""
    different, index = _dictionary(meanings)
    indices = index.take(places)
    if found.all():
        values: pa.Array = pa.DictionaryArray.from_arrays(pa.array(indices), different)
    else:
        values = different.take(pa.array(indices, mask=~found))
    return Decided(values=values, valid=found, known=found)


@cache
def _dictionary(meanings: tuple[str, ...]) -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """The different texts, and which of them each one is."""
    different = {text: place for place, text in enumerate(dict.fromkeys(meanings))}
    index = np.array([different[text] for text in meanings], dtype=np.int32)
    return pa.array(different, type=pa.string()), index


@cache
def _cased(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words in every mixture of small and capital letters; long ones only as they are."""
    every: dict[str, None] = {}
    for word in words:
        if len(word) > 4:
            every |= dict.fromkeys((word, word.upper(), word.lower()))
        else:
            letters = [(char.lower(), char.upper()) for char in word]
            every |= dict.fromkeys("".join(chars) for chars in product(*letters))
    said = {word.upper() for word in words}
    return tuple(word for word in every if word.upper() in said)


@cache
def _codes(words: tuple[str, ...], encoding: str) -> Codes:
    encoded = [word.encode(encoding, "ignore") for word in words]
    return Codes(
        [
            text if text.decode(encoding) == word else b""
            for text, word in zip(encoded, words, strict=True)
        ]
    )


_ODD_BYTES = np.zeros(256, dtype=np.bool_)
_ODD_BYTES[[*range(32), 127, 0xC2, 0xC5, 0xC6, 0xCB, 0xE2, 0xEF]] = True


def _texts(texts: pa.Array) -> Decided:
    """Texts without a byte that could be of a control character, a replaced or a misread one."""
    known = np.ones(len(texts), dtype=np.bool_)
    flat, ends = _flat(texts)
    if len(flat) and (flat.min() < 32 or flat.max() > 126):
        odd = np.flatnonzero(_ODD_BYTES[flat])
        known[np.searchsorted(ends, odd, side="right") - 1] = False
    return Decided(values=texts, valid=known, known=known)


def _emails(texts: pa.Array) -> Decided:
    rows = len(texts)
    flat, ends = _flat(texts)
    starts = ends[:-1]
    ats = np.flatnonzero(flat == ord("@"))
    if len(ats) == rows and (ats >= starts).all() and (ats < ends[1:]).all():
        known, at = np.ones(rows, dtype=np.bool_), ats
    else:
        row = np.searchsorted(ends, ats, side="right") - 1
        known, at = np.bincount(row, minlength=rows) == 1, np.zeros(rows, dtype=np.int64)
        at[row] = ats
    dot = _last_dots(flat, ends)
    known &= (at > starts) & (dot > at + 1) & (ends[1:] - dot > 2)
    foreign = (flat == ord(",")) | (flat == ord(";"))
    if len(flat) and (flat.min() <= 32 or flat.max() >= 127):
        foreign |= (flat <= 32) | (flat >= 127)
    if foreign.any():
        known[np.searchsorted(ends, np.flatnonzero(foreign), side="right") - 1] = False
    return Decided(values=pc.ascii_lower(texts), valid=known, known=known)


def _last_dots(flat: npt.NDArray[np.uint8], ends: Integers) -> Integers:
    """Where the last dot of every row stands, or one before the row; -1 where there is none.

    Nearly all have two or three letters after it, which needs no search.
    """
    dot = np.full(len(ends) - 1, -1, dtype=np.int64)
    if not len(flat):
        return dot
    left = np.ones(len(dot), dtype=np.bool_)
    for letters in range(4):
        at = ends[1:] - (letters + 1)
        here = left & (flat.take(at, mode="clip") == ord(".")) & (at >= 0)
        np.copyto(dot, at, where=here)
        left &= ~here
    rest = np.flatnonzero(left)
    if len(rest):
        # The last dot of a row is the one before the first of the next.
        dots = np.flatnonzero(flat == ord("."))
        after = np.searchsorted(dots, ends[rest + 1])
        dot[rest] = np.where(after > 0, dots.take(after - 1, mode="clip"), -1) if len(dots) else -1
    return dot


def _flat(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], Integers]:
    rows = len(texts)
    if not rows:
        return np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    ends = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset :][: rows + 1]
    body = texts.buffers()[2]
    data = np.frombuffer(body if body is not None else b"", dtype=np.uint8)
    return data[ends[0] : ends[-1]], (ends - ends[0]).astype(np.int64)


_DECIDERS: dict[str, Decide] = {
    "cpf": _cpf,
    "cnpj": _cnpj,
    "telefone": _phone,
    "dinheiro": _money,
    "inteiro": _integer,
    "data": _date,
    "codigo": _code,
    "uf": _state,
    "sim_nao": _yes_no,
}
