"""The codecs of ``common.codecs`` for whole columns: the same rules, a million values a second.

Each takes ``ByteCells`` without blanks at their ends and decides the rows whose writing is a usual
one; ``known`` says which those are. The few others (odd marks, foreign letters) are left to the
one-value codec, so that there is one rule and not two. An empty cell means nothing to a codec.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zanc_pipeline.common.byte_cells import (
    ByteCells,
    Integers,
    Mask,
    Words,
    are_digits,
    four_digits,
    read_digits,
    strings,
    validity,
    written,
)
from zanc_pipeline.common.codecs import DDDS, YEARS


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """``values`` (null where invalid), where they are ``valid``, and which rows are ``known``."""

    values: pa.Array
    valid: Mask
    known: Mask
    inferred: Mask | None = None
    """Where a phone got its ninth digit."""


def integers(cells: ByteCells, words: int = 2) -> tuple[Words, Mask]:
    """The numbers that cells of digits only write, and which cells are such.

    ``words`` bounds them to 8, 16 or (three, below 2**64) 18 digits.
    """
    sizes = cells.size
    longest = sizes if isinstance(sizes, int) else int(sizes.max(initial=0))
    value, known = read_digits(cells.tail())
    scale = 1
    for place in range(8, min(longest, 8 * words), 8):
        scale *= 100_000_000
        more, digits = read_digits(cells.tail(place))
        more *= np.uint64(scale)
        value += more
        if digits is not None:
            known = digits if known is None else known & digits
    if known is None:
        known = np.ones(cells.rows, dtype=np.bool_)
    limit = min(8 * words, 18)
    if not isinstance(sizes, int):
        known &= (sizes > 0) & (sizes <= limit)
    elif not 0 < sizes <= limit:
        known = np.zeros(cells.rows, dtype=np.bool_)
    if not known.all():
        value = np.where(known, value, np.uint64(0))
    return value, known


# Check digits by three digits at a time: the weighted sums of both, one in each half of a word.


def _sums(first: Sequence[int], second: Sequence[int]) -> list[npt.NDArray[np.uint32]]:
    digits = np.array([[value // 100, value // 10 % 10, value % 10] for value in range(1000)])
    return [
        (
            (digits @ np.array(first[place : place + 3])) << 16
            | digits @ np.array(second[place : place + 3])
        ).astype(np.uint32)
        for place in range(0, len(first), 3)
    ]


_CPF_SUMS = _sums(range(10, 1, -1), range(11, 2, -1))
_CPF_DIGIT = np.array([total * 10 % 11 % 10 for total in range(2000)], dtype=np.uint32)
_CNPJ_FIRST = (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
_CNPJ_SECOND = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3)
_CNPJ_SUMS = _sums(_CNPJ_FIRST, _CNPJ_SECOND)
_CNPJ_DIGIT = np.array(
    [0 if total % 11 < 2 else 11 - total % 11 for total in range(6000)], dtype=np.uint32
)
_PUNCTUATION = np.ones(256, dtype=np.bool_)
_PUNCTUATION[[ord("."), ord("-")]] = False
_CNPJ_PUNCTUATION = _PUNCTUATION.copy()
_CNPJ_PUNCTUATION[ord("/")] = False


def cpfs(cells: ByteCells) -> Decided:
    """``parse_cpf``: digits, with or without its marks."""
    whole = _whole_numbers(cells, 11, _CPF_PAIRS, _CPF_DIGIT)
    if whole is None and cells.even_size == 14:
        whole = _whole_numbers(cells.only(_PUNCTUATION), 11, _CPF_PAIRS, _CPF_DIGIT)
    if whole is not None:
        return whole
    value, known = integers(cells)
    sizes = cells.sizes
    if not known.all():
        rows = np.flatnonzero(~known & (cells.sizes <= 24))
        bare = cells.take(rows).only(_PUNCTUATION)
        value[rows], known[rows] = integers(bare)
        sizes = sizes.copy()
        sizes[rows] = bare.sizes
    base = value // np.uint64(100)
    sums = _summed(base, _CPF_SUMS)
    first = _CPF_DIGIT.take(sums >> np.uint32(16))
    second = _CPF_DIGIT.take((sums & np.uint32(0xFFFF)) + np.uint32(2) * first)
    valid = known & (value - base * np.uint64(100) == first * np.uint32(10) + second)
    valid &= (sizes >= 3) & (sizes <= 11) & (value % np.uint64(11_111_111_111) != 0)
    proved = np.where(valid, value, np.uint64(0))
    return Decided(values=strings(written(proved, 11), valid), valid=valid, known=known)


def cnpjs(cells: ByteCells) -> Decided:
    """``parse_cnpj``: fourteen digits or letters, with or without marks."""
    whole = _whole_numbers(cells, 14, _CNPJ_PAIRS, _CNPJ_DIGIT)
    if whole is None and cells.even_size == 18:
        whole = _whole_numbers(cells.only(_CNPJ_PUNCTUATION), 14, _CNPJ_PAIRS, _CNPJ_DIGIT)
    if whole is not None:
        return whole
    value, known = integers(cells)
    sizes = cells.sizes
    if known.all():
        valid = _cnpj_numbers(value, sizes)
        return Decided(values=strings(written(value, 14), valid), valid=valid, known=known)
    rows = np.flatnonzero(~known & (sizes > 0) & (sizes <= 24))
    bare = cells.take(rows).only(_CNPJ_PUNCTUATION)
    value[rows], known[rows] = integers(bare)
    sizes = sizes.copy()
    sizes[rows] = bare.sizes
    matrix = np.ascontiguousarray(written(value, 14))
    valid = known & _cnpj_numbers(value, sizes)
    lettered = ~known[rows] & (bare.sizes == 14)
    letters = _upper(bare.take(lettered), 14)
    fits, proved = _cnpj_letters(letters)
    places = rows[lettered]
    matrix[places], known[places], valid[places] = letters, fits, proved
    return Decided(values=strings(matrix, valid), valid=valid, known=known)


def _cnpj_numbers(value: Words, sizes: Integers) -> Mask:
    base = value // np.uint64(100)
    sums = _summed(base, _CNPJ_SUMS)
    first = _CNPJ_DIGIT.take(sums >> np.uint32(16))
    second = _CNPJ_DIGIT.take((sums & np.uint32(0xFFFF)) + np.uint32(2) * first)
    valid = value - base * np.uint64(100) == first * np.uint32(10) + second
    valid &= (sizes >= 3) & (sizes <= 14) & (value % np.uint64(11_111_111_111_111) != 0)
    mask: Mask = valid
    return mask


def _upper(cells: ByteCells, width: int) -> npt.NDArray[np.uint8]:
    matrix = cells.buffer[cells.starts[:, None] + np.arange(width)]
    small = (matrix >= ord("a")) & (matrix <= ord("z"))
    upper: npt.NDArray[np.uint8] = matrix - (small * np.uint8(32))
    return upper


def _cnpj_letters(letters: npt.NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """Which rows are twelve of ``[0-9A-Z]`` and two digits, and which have the right two."""
    digit = (letters >= ord("0")) & (letters <= ord("9"))
    capital = (letters[:, :12] >= ord("A")) & (letters[:, :12] <= ord("Z"))
    fits: Mask = np.all(digit[:, :12] | capital, axis=1) & np.all(digit[:, 12:], axis=1)
    values = letters.astype(np.int64) - 48
    first = _CNPJ_DIGIT[np.where(fits, values[:, :12] @ np.array(_CNPJ_FIRST), 0)]
    second = _CNPJ_DIGIT[
        np.where(fits, values[:, :12] @ np.array(_CNPJ_SECOND) + 2 * first.astype(np.int64), 0)
    ]
    proved: Mask = fits & (values[:, 12] == first) & (values[:, 13] == second)
    proved &= (letters != letters[:, :1]).any(axis=1)
    return fits, proved


def _summed(base: Words, tables: Sequence[npt.NDArray[np.uint32]]) -> npt.NDArray[np.uint32]:
    """The weighted sums of the digits of ``base``; what is too long a number is cut."""
    total = np.zeros(len(base), dtype=np.uint32)
    rest = base
    for table in reversed(tables):
        above = rest // np.uint64(1000)
        total += table.take((rest - above * np.uint64(1000)).view(np.int64))
        rest = above
    return total


# The same by two digits at a time, found by the two bytes that write them.

_NOT_DIGITS = 1 << 28


def _pair_sums(first: Sequence[int], second: Sequence[int]) -> npt.NDArray[np.uint32]:
    """Weighted sums of the digits that two bytes write; ``_NOT_DIGITS`` for any other bytes."""
    table = np.full(65536, _NOT_DIGITS, dtype=np.uint32)
    tens, units = np.divmod(np.arange(100), 10)
    sums = (tens * first[0] + units * first[1]) << 16 | (tens * second[0] + units * second[1])
    table[(48 + tens) | (48 + units) << 8] = sums
    return table


def _pair_tables(
    first: Sequence[int], second: Sequence[int]
) -> list[tuple[int, npt.NDArray[np.uint32]]]:
    """The place of every pair of digits and its table; of an odd number the last is told twice."""
    count = len(first)
    tables = [
        (place, _pair_sums(first[place : place + 2], second[place : place + 2]))
        for place in range(0, count - 1, 2)
    ]
    if count % 2:
        tables.append((count - 2, _pair_sums((0, first[-1]), (0, second[-1]))))
    return tables


_CPF_PAIRS = _pair_tables(range(10, 1, -1), range(11, 2, -1))
_CNPJ_PAIRS = _pair_tables(_CNPJ_FIRST, _CNPJ_SECOND)
_PAIR_WORDS = np.array(
    [(48 + value // 10) | (48 + value % 10) << 8 for value in range(100)], dtype=np.uint16
)


def _whole_numbers(
    cells: ByteCells,
    size: int,
    tables: Sequence[tuple[int, npt.NDArray[np.uint32]]],
    digits: npt.NDArray[np.uint32],
) -> Decided | None:
    """Cells of ``size`` bytes which all are valid numbers as they stand; None if one may not be."""
    if cells.even_size != size or not cells.rows:
        return None
    total = np.zeros(cells.rows, dtype=np.uint32)
    for place, table in tables:
        total += table.take(cells.pair(place))
    if total.max() >= _NOT_DIGITS:
        return None
    first = digits.take(total >> np.uint32(16))
    total &= np.uint32(0xFFFF)
    total += first << np.uint32(1)
    first *= np.uint32(10)
    first += digits.take(total)
    head = cells.head(masked=False)
    one_digit = (head & np.uint64(0xFF)) * np.uint64(0x0101010101010101) == head
    if one_digit.any() or not (_PAIR_WORDS.take(first) == cells.pair(size - 2)).all():
        return None
    valid = np.ones(cells.rows, dtype=np.bool_)
    return Decided(values=strings(cells.matrix(), valid), valid=valid, known=valid)


_AREA = np.zeros(100, dtype=np.bool_)
_AREA[[int(area) for area in DDDS]] = True
_PHONE_MARKS = np.ones(256, dtype=np.bool_)
_PHONE_MARKS[[ord(mark) for mark in " \t\n\r\f\v()+.-"]] = False


def phones(cells: ByteCells, *, between: str = "") -> Decided:
    """``parse_phone``; ``between`` is the mark that stands between a DDD and the number.

    A DDD alone is no phone and no mistake: null and valid.
    """
    usual = _mobiles(cells) or _ten_or_eleven(cells) or _with_marks(cells)
    if usual is not None:
        return usual
    value, known = integers(cells)
    count = cells.sizes
    alone = np.zeros(cells.rows, dtype=np.bool_)
    if not known.all():
        count = count.copy()
        rows = np.flatnonzero(~known & (count > 0) & (count <= 40))
        some = cells.take(rows)
        kept = _PHONE_MARKS
        if between and (cells.buffer == ord(between)).any():
            # What other white space there is in the number decides whether the DDD is alone.
            mark = ord(between)
            marks = some.only(np.arange(256) == mark).sizes
            rows, some = rows[marks == 1], some.take(marks == 1)
            alone[rows] = some.byte(-1) == mark
            kept = kept.copy()
            kept[[mark, *b"\n\r\f\v"]] = [False, True, True, True, True]
        bare = some.only(kept)
        value[rows], known[rows] = integers(bare)
        count[rows] = bare.sizes
        # Marks without any digit are no phone; whoever is left has a foreign character.
        known[rows] |= bare.sizes == 0
    known |= alone
    country = ((count == 12) | (count == 13)) & (_power(value, count - 2) == 55)
    value = np.where(country, value - np.uint64(55) * _TEN[np.clip(count - 2, 0, 18)], value)
    count = np.where(country, count - 2, count)
    trunk = ((count == 11) | (count == 12)) & (_power(value, count - 1) == 0)
    count = np.where(trunk, count - 1, count)
    leads = _power(value, count - 3) % np.uint64(10)
    area = _power(value, count - 2)
    served = _AREA[np.where(area < 100, area, np.uint64(0)).astype(np.int64)]
    mobile = (count == 11) & (leads == 9)
    eight = count == 10
    old = eight & (leads >= 6)
    valid = known & served & (mobile | (eight & (leads >= 2))) & ~alone
    tail = np.uint64(100_000_000)
    added = area * np.uint64(1_000_000_000) + np.uint64(900_000_000) + value % tail
    number_ = np.where(old, added, value)
    sizes = np.where(valid, np.where(old | mobile, 11, 10), 0)
    width = None if (sizes == 11).all() else sizes
    values = strings(written(np.where(valid, number_, np.uint64(0)), 11), valid, width)
    inferred = valid & old
    return Decided(
        values=values,
        valid=valid | alone,
        known=known,
        inferred=inferred if inferred.any() else None,
    )


_AREA_PAIRS = np.zeros(65536, dtype=np.bool_)
_AREA_PAIRS[[ord(area[0]) | ord(area[1]) << 8 for area in DDDS]] = True


def _mobiles(cells: ByteCells) -> Decided | None:
    """Mobile phones in eleven digits, and empty cells; None when there is anything else."""
    if not cells.rows:
        return None
    sizes = cells.size
    if isinstance(sizes, int):
        if sizes != 11:
            return None
    else:
        if sizes.max() != 11:
            return None
        filled = sizes == 11
        if not filled.all():
            if (sizes[~filled] != 0).any():
                return None
            return _some_mobiles(cells, filled)
        cells = ByteCells(cells.buffer, cells.starts, 11, cells.rows)
    matrix = np.ascontiguousarray(cells.matrix())
    if (matrix - np.uint8(48)).max() > 9 or (matrix[:, 2] != ord("9")).any():
        return None
    if not _AREA_PAIRS.take(cells.pair(0)).all():
        return None
    usual = np.ones(cells.rows, dtype=np.bool_)
    return Decided(values=strings(matrix, usual), valid=usual, known=usual)


def _some_mobiles(cells: ByteCells, filled: Mask) -> Decided | None:
    """``_mobiles`` where only the ``filled`` cells are not empty."""
    starts = cells.starts[filled]
    found = _mobiles(ByteCells(cells.buffer, starts, 11, len(starts)))
    if found is None:
        return None
    ends = np.zeros(cells.rows + 1, dtype=np.int32)
    np.cumsum(filled, out=ends[1:])
    ends *= np.int32(11)
    values = pa.Array.from_buffers(
        pa.string(), cells.rows, [validity(filled), pa.py_buffer(ends), found.values.buffers()[2]]
    )
    return Decided(values=values, valid=filled, known=filled)


_FEW_OTHERS = 64
"""One row in so many may be written otherwise: each is left to the one-value codec."""


def _ten_or_eleven(cells: ByteCells) -> Decided | None:
    """Phones in ten or eleven digits, and empty cells; None when too many are anything else."""
    sizes = cells.sizes
    numbers = np.flatnonzero((sizes == 10) | (sizes == 11))
    if _FEW_OTHERS * (cells.rows - len(numbers) - np.count_nonzero(sizes == 0)) > cells.rows:
        return None
    starts = cells.starts[numbers]
    matrix = ByteCells(cells.buffer, starts, 11, len(numbers)).matrix().copy()
    short = sizes[numbers] == 10
    matrix[short, 10] = ord("0")
    lead = matrix[:, 2]
    good = np.where(short, lead >= ord("2"), lead == ord("9"))
    digits = matrix - np.uint8(48)
    if digits.max(initial=0) > 9:
        good &= (digits <= 9).all(1)
    good &= _AREA_PAIRS.take(matrix[:, :2].copy().view(np.dtype("<u2"))[:, 0])
    if not good.any() or _FEW_OTHERS * (len(good) - np.count_nonzero(good)) > cells.rows:
        return None
    if not good.all():
        numbers, matrix, short, lead = numbers[good], matrix[good], short[good], lead[good]
    valid = np.zeros(cells.rows, dtype=np.bool_)
    valid[numbers] = True
    old = short & (lead >= ord("6"))
    inferred = None
    if old.any():  # the ninth digit is missing
        matrix[old, 3:] = matrix[old, 2:10]
        matrix[old, 2] = ord("9")
        inferred = np.zeros(cells.rows, dtype=np.bool_)
        inferred[numbers] = old
        short &= ~old
    ends = np.zeros(cells.rows + 1, dtype=np.int32)
    ends[1:][numbers] = np.int32(11) - short
    np.cumsum(ends, out=ends)
    # Each is put after the one before it, over the last byte of one that has ten.
    data = np.empty(int(ends[-1]) + 1, dtype=np.uint8)
    places = np.ndarray((len(data) - 10,), dtype="V11", buffer=data.data, strides=(1,))
    places[ends[:-1][numbers]] = matrix.view("V11")[:, 0]
    values = pa.Array.from_buffers(
        pa.string(), cells.rows, [validity(valid), pa.py_buffer(ends), pa.py_buffer(data)]
    )
    return Decided(values=values, valid=valid, known=valid, inferred=inferred)


def _with_marks(cells: ByteCells) -> Decided | None:
    """``_ten_or_eleven`` of phones that are written with marks, ``(11) 98765-4321``."""
    sizes = cells.sizes
    filled = sizes > 0
    if not filled.any() or sizes.max() > 20 or sizes[filled].min() < 10:
        return None
    bare = cells.only(_PHONE_MARKS)
    return _ten_or_eleven(bare) if (bare.sizes[filled] >= 10).all() else None


_TEN = np.array([10**power for power in range(19)], dtype=np.uint64)


def _power(value: Words, places: Integers) -> Words:
    """What stands before the last ``places`` digits."""
    return value // _TEN[np.clip(places, 0, 18)]


def hundredths(
    cells: ByteCells, *, decimal: str = ",", implied_decimals: int | None = None
) -> tuple[Integers, Mask, Mask]:
    """``parse_money`` of at most 10**12, in hundredths; where it is valid, and where known."""
    negative = None
    if implied_decimals is not None:
        value, known = integers(cells)
        if not known.all():
            cells, negative = _signed(cells)
            if negative is not None:
                value, known = integers(cells)
        cents, valid = value, known.copy()
        if implied_decimals > 2:
            divisor = np.uint64(10 ** (implied_decimals - 2))
            cents = value // divisor
            valid &= cents * divisor == value
        elif implied_decimals < 2:
            cents = value * np.uint64(10 ** (2 - implied_decimals))
        known &= value < 10**14
    elif (usual := _with_cents(cells, ord(decimal))) is not None:
        cents, known = usual
        valid = known.copy()
    else:
        cells, negative = _signed(cells)
        cents, known = _marked(cells, ord(decimal), ord("." if decimal == "," else ","))
        valid = known.copy()
    valid &= cents < 10**14
    amounts: Integers = cents.view(np.int64)
    if negative is not None:
        amounts = np.where(negative, -amounts, amounts)
    return amounts, valid, known


def signed_integers(cells: ByteCells) -> tuple[Integers, Mask]:
    """Whole numbers of up to 18 digits with or without a sign before, and where they are such."""
    value, known = integers(cells, 3)
    if known.all():
        return value.astype(np.int64), known
    bare, negative = _signed(cells)
    value, known = integers(bare, 3)
    numbers = value.astype(np.int64)
    return (numbers if negative is None else np.where(negative, -numbers, numbers)), known


def _signed(cells: ByteCells) -> tuple[ByteCells, Mask | None]:
    if not cells.rows or (isinstance(cells.size, int) and not cells.size):
        return cells, None
    first = cells.byte(0)
    negative = (first == ord("-")) & (cells.sizes > 0)
    signs = negative | ((first == ord("+")) & (cells.sizes > 0))
    if not signs.any():
        return cells, None
    bare = ByteCells(cells.buffer, cells.starts + signs, cells.sizes - signs, cells.rows)
    return bare, negative


def _with_cents(cells: ByteCells, mark: int) -> tuple[Words, Mask] | None:
    """Hundredths of ``1234,56``, and which cells are not empty; None where one is written else."""
    sizes = cells.sizes
    longest, filled = int(sizes.max(initial=0)), sizes > 0
    if longest > 15 or not ((sizes >= 4) | ~filled).all():
        return None
    word = cells.tail()
    if not (((word >> np.uint64(40)) & np.uint64(0xFF) == mark) | ~filled).all():
        return None
    digits = (word << np.uint64(8)) & np.uint64(0x0000FFFFFFFFFF00)
    digits |= word & np.uint64(0xFFFF000000000000)
    value, known = read_digits(digits | np.uint64(ord("0")))
    if known is None and longest > 8:
        more, known = read_digits(cells.tail(8))
        more *= np.uint64(10_000_000)
        value += more
    return (value, filled) if known is None else None


def _marked(cells: ByteCells, mark: int, group: int) -> tuple[Words, Mask]:
    """Hundredths of ``1234``, ``1234,5``, ``1234,56`` and ``1.234,56``."""
    starts, sizes = cells.starts, cells.sizes
    last = np.where(sizes >= 2, cells.buffer[starts + sizes - 2], 0)
    before = np.where(sizes >= 3, cells.buffer[starts + sizes - 3], 0)
    places = np.where(before == mark, 2, np.where(last == mark, 1, 0))
    marked = places > 0
    whole = ByteCells(cells.buffer, starts, sizes - places - marked, cells.rows)
    value, known = integers(whole)
    rows = np.flatnonzero(~known & (whole.sizes >= 5) & (whole.sizes <= 15))
    if len(rows):
        value[rows], known[rows] = _grouped(whole.take(rows), group)
    decimals = np.where(marked, cells.buffer[starts + sizes - 1] - np.uint8(48), 0)
    tenths = np.where(places == 2, cells.buffer[starts + sizes - 2] - np.uint8(48), 0)
    known &= (decimals <= 9) & (tenths <= 9) & (value < 10**12)
    decimals = np.where(places == 1, decimals * 10, decimals)
    hundredth = (tenths.astype(np.int64) * 10 + decimals).astype(np.uint64)
    return value * np.uint64(100) + hundredth, known


def _grouped(cells: ByteCells, group: int) -> tuple[Words, Mask]:
    """Numbers with a mark before every three digits from the right, at most 999.999.999.999."""
    pair = np.stack((cells.tail(8), cells.tail()), axis=1)
    places = pair.view(np.uint8).reshape(cells.rows, 16)
    sizes = cells.sizes
    known = sizes % 4 != 0
    digits = np.empty((cells.rows, 12), dtype=np.uint8)
    column = 12
    for from_end in range(1, 16):
        byte = places[:, 16 - from_end]
        if from_end % 4 == 0:
            known &= (byte == group) | (sizes < from_end)
        else:
            column -= 1
            digits[:, column] = byte - np.uint8(48)
    known &= (digits <= 9).all(1)
    value = digits @ (10 ** np.arange(11, -1, -1, dtype=np.int64))
    return value.astype(np.uint64), known


_LEAP, _NO_YEAR = 10_000, 20_000
_NO_DAY = -1


def _calendar() -> tuple[npt.NDArray[np.int32], Integers, npt.NDArray[np.int32]]:
    """For every year of four digits, the days from 1970 to it and where its kind's days begin.

    Those are, by month and day in four digits (``mmdd``), the days since the year began.
    """
    first = np.zeros(10_000, dtype=np.int32)
    kind = np.full(10_000, _NO_YEAR, dtype=np.int64)
    days = np.full(30_000, _NO_DAY, dtype=np.int32)
    for year in YEARS:
        start = date(year, 1, 1).toordinal()
        first[year] = start - date(1970, 1, 1).toordinal()
        leap = date(year + 1, 1, 1).toordinal() - start == 366
        kind[year] = _LEAP if leap else 0
    for year, place in ((2000, _LEAP), (2001, 0)):
        for offset in range(366 if place else 365):
            day = date.fromordinal(date(year, 1, 1).toordinal() + offset)
            days[place + day.month * 100 + day.day] = offset
    return first, kind, days


_YEAR_FIRST, _YEAR_KIND, _MONTH_DAYS = _calendar()
_DAY_MONTHS = _MONTH_DAYS.reshape(3, 100, 100).transpose(0, 2, 1).reshape(-1).copy()
"""The same by ``ddmm``."""


def days(cells: ByteCells, *, order: str, mark: str) -> tuple[npt.NDArray[np.int32], Mask, Mask]:
    """``parse_date``: days since 1970 of dates with a four-digit year and ``mark`` between.

    ``order`` is ``dmy``, ``ymd`` or ``mdy``; ``mark`` one of ``/ . -`` or nothing. A date of
    another size or with another mark is known, and no valid one.
    """
    width = 10 if mark else 8
    right = np.ones(cells.rows, dtype=np.bool_)
    if isinstance(cells.size, int):
        right &= cells.size == width
    else:
        np.equal(cells.size, width, out=right)
    word = cells.head(masked=False)
    if mark:
        late = cells.head(2, masked=False)
        if order == "ymd":
            first, second = 4, 7
            digits = word & np.uint64(0xFFFFFFFF)
            digits |= (word >> np.uint64(8)) & np.uint64(0x0000FFFF00000000)
            digits |= late & np.uint64(0xFFFF000000000000)
        else:
            first, second = 2, 5
            digits = word & np.uint64(0xFFFF)
            digits |= (word >> np.uint64(8)) & np.uint64(0xFFFF0000)
            digits |= late & np.uint64(0xFFFFFFFF00000000)
        for at in (first, second):
            right &= (word >> np.uint64(8 * at)) & np.uint64(0xFF) == ord(mark)
        word = digits
    if (word - _NO_DATE).view(np.uint8).max(initial=0) > 9:
        right &= are_digits(word)
    if not right.all():
        word = np.where(right, word, _NO_DATE)
    front, back = four_digits(word)
    year, day = (front, back) if order == "ymd" else (back, front)
    within = (_DAY_MONTHS if order == "dmy" else _MONTH_DAYS).take(_YEAR_KIND.take(year) + day)
    right &= within >= 0
    within += _YEAR_FIRST.take(year)
    return within, right, np.ones(cells.rows, dtype=np.bool_)


_NO_DATE = np.uint64(0x3030303030303030)


def plain(values: npt.NDArray[np.generic], valid: Mask, kind: pa.DataType) -> pa.Array:
    """Numbers as an Arrow array of the same width."""
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, len(data), [validity(valid), pa.py_buffer(data)])


class Codes:
    """Short texts looked up whole: a table of codes, the states, yes and no."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        short = {
            (int.from_bytes(text, "little"), len(text)): place
            for place, text in reversed(list(enumerate(texts)))
            if 0 < len(text) <= 8 and 0 not in text and text == text.strip(b" \t")
        }
        ordered = sorted(short)
        self._pairs: npt.NDArray[np.int32] | None = None
        if all(size <= 2 for _, size in short):
            self._pairs = np.full(65536, -1, dtype=np.int32)
            self._pairs[[word for word, _ in ordered]] = [short[key] for key in ordered]
            # Two bytes of which the second is zero are none of the texts.
            self._both = self._pairs.copy()
            self._both[:256] = -1
        self._words = np.array([word for word, _ in ordered], dtype=np.uint64)
        self._sizes = np.array([size for _, size in ordered], dtype=np.int64)
        self._places = np.array([short[key] for key in ordered], dtype=np.int64)

    def find(self, cells: ByteCells) -> tuple[npt.NDArray[np.signedinteger[Any]], Mask]:
        """The place of every cell in the texts, and which were found; longer ones are not."""
        if not len(self._words):
            return np.zeros(cells.rows, dtype=np.int64), np.zeros(cells.rows, dtype=np.bool_)
        if self._pairs is not None:
            place = self._short(cells, self._pairs)
            found = place >= 0
            return (place if found.all() else np.maximum(place, 0)), found
        word = cells.head()
        at = np.minimum(np.searchsorted(self._words, word), len(self._words) - 1)
        found = (self._words[at] == word) & (self._sizes[at] == cells.sizes)
        return self._places[at], found

    def _short(self, cells: ByteCells, pairs: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """The place of every cell among texts of one or two bytes, -1 when it is none of them."""
        if cells.even_size == 1:
            return pairs.take(cells.byte(0))
        if cells.even_size == 2:
            return self._both.take(cells.pair(0))
        sizes = cells.sizes
        place = np.where(sizes == 2, self._both.take(cells.pair(0)), np.int32(-1))
        return np.where(sizes == 1, pairs.take(cells.byte(0)), place)
