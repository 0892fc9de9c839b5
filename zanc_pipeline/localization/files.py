"""Files of calls, CSV or Parquet, checked column by column before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from zanc_pipeline.common.codecs import DDDS
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.masking import mask, mask_text
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.localization.calls import (
    CALL_ID,
    CALL_ID_FORM,
    CLOCK_SKEW,
    CONVENIO,
    CONVENIO_FORM,
    EARLIEST,
    LONGEST_SECONDS,
)
from zanc_pipeline.localization.csv_lines import broken, line_of

REQUIRED = ("crm", "call_id", "cpf", "phone", "started_at", "talk_seconds", "outcome")
OPTIONAL = ("ring_seconds", "tabulation", "convenio")

PART_ROWS = 1_000_000
KEPT_ROWS = 2_000_000
"""A file of so many rows stays in memory between its check and its load; a larger one is read
twice."""


_AGAIN = "nothing was loaded: correct the file and load it again"
_LONGEST_FOUND = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Some rows of a file as they were read; ``first`` is the number of the first, from 0."""

    path: Path
    first: int
    rows: Any

    def refuse(self, wrong: Any, column: str, expected: str) -> None:
        """DataError that names the first of the ``wrong`` rows and what it holds, if any is."""
        import pyarrow.compute as pc

        position = pc.index(wrong, True).as_py()
        if position < 0:
            return
        row = self.first + position
        in_csv = self.path.suffix.lower() == ".csv"
        place = f"line {line_of(self.path, row)}" if in_csv else f"row {row + 1}"
        raise DataError(
            f"{self.path}, {place}, column {column}: expected {expected}, found "
            f"{_found(self.rows[column][position].as_py(), column)}; {_AGAIN}"
        )


def _found(value: object, column: str) -> str:
    """The value in a message: nobody's CPF or phone."""
    if value is None or value == "":
        return "nothing"
    text = str(value)[:_LONGEST_FOUND]
    return mask(text) if column in ("cpf", "phone") else repr(mask_text(text))


@dataclass(frozen=True, kw_only=True)
class CallFile:
    """A file of calls that was checked from end to end; ``rows`` is its size."""

    path: Path
    rows: int
    kept: tuple[Any, ...]

    def tables(self) -> Iterator[Any]:
        """The calls as ``pyarrow.Table``s of REQUIRED + OPTIONAL columns, in the file's order."""
        if self.kept:
            yield from self.kept
            return
        for part in _read(self.path):
            yield _cast_all(part)


def check_calls(path: Path, *, now: datetime, crms: frozenset[str]) -> CallFile:
    """See that every row of a CSV or Parquet file is a call.

    ``crm`` must be one of ``crms``; times need their UTC offset; phones are DDD + subscriber,
    digits only. Raises DataError that names the file, the first wrong line (row of a Parquet file,
    from 1), the column, what is there and what should be.
    """
    rows, kept = 0, []
    for part in _read(path):
        table = _cast_all(part)
        _check_values(part, table, crms)
        _check_ranges(part, table, now)
        rows += table.num_rows
        kept.append(table)
        if rows > KEPT_ROWS:
            kept.clear()
    return CallFile(path=path, rows=rows, kept=tuple(kept) if rows <= KEPT_ROWS else ())


def _cast_all(part: _Part) -> Any:
    import pyarrow as pa

    return pa.table({name: _cast(part, name, kind) for name, kind in _types(pa).items()})


def _types(pa: Any) -> dict[str, Any]:
    return {
        "crm": pa.string(),
        "call_id": pa.string(),
        "cpf": pa.string(),
        "phone": pa.string(),
        "started_at": pa.timestamp("us", tz="UTC"),
        "ring_seconds": pa.float32(),
        "talk_seconds": pa.float32(),
        "outcome": pa.string(),
        "tabulation": pa.string(),
        "convenio": pa.string(),
    }


def _read(path: Path) -> Iterator[_Part]:
    """The rows of the file, so many at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path} does not exist")
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from _parts(file.schema_arrow.names, _parquet(file), path)
        elif kind == ".csv":
            yield from _parts(None, _csv(path), path)
        else:
            raise DataError(f"{path}: expected a .csv or a .parquet file")
    except (pa.ArrowException, UnicodeDecodeError) as error:
        why = broken(path) if kind == ".csv" else None
        # Its first line says what is wrong, and may hold the row.
        why = why or mask_text(str(error).splitlines()[0])
        raise DataError(f"{path}, {why}; {_AGAIN}") from None


def _parquet(file: Any) -> Iterator[Any]:
    wanted = [name for name in file.schema_arrow.names if name in {*REQUIRED, *OPTIONAL}]
    yield from file.iter_batches(batch_size=PART_ROWS, columns=wanted)


def _csv(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.csv as pc

    convert = pc.ConvertOptions(
        column_types=dict.fromkeys(_types(pa), pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    blocks = pc.ReadOptions(block_size=PART_ROWS * 100)
    with pc.open_csv(path, read_options=blocks, convert_options=convert) as reader:
        yield reader.schema.empty_table()
        yield from reader


def _parts(names: list[str] | None, batches: Iterator[Any], path: Path) -> Iterator[_Part]:
    import pyarrow as pa

    first = 0
    for batch in batches:
        rows = batch if isinstance(batch, pa.Table) else pa.table(batch)
        if first == 0:
            _check_names(names or rows.column_names, path)
        yield _Part(path=path, first=first, rows=rows)
        first += rows.num_rows


def _check_names(names: list[str], path: Path) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise DataError(
            f"{path}: lacks the columns {', '.join(missing)}; expected their names in the header, "
            "and commas between them"
            if path.suffix.lower() == ".csv"
            else f"{path}: lacks the columns {', '.join(missing)}"
        )
    twice = [name for name in (*REQUIRED, *OPTIONAL) if names.count(name) > 1]
    if twice:
        raise DataError(f"{path}: has the column {twice[0]} twice; {_AGAIN}")


def _cast(part: _Part, name: str, kind: Any) -> Any:
    import pyarrow as pa

    rows = part.rows
    if name not in rows.column_names:
        return pa.nulls(rows.num_rows, kind)
    column, types = rows[name], pa.types
    held = column.type.value_type if types.is_dictionary(column.type) else column.type
    if types.is_timestamp(kind):
        zoned = types.is_timestamp(held) and held.tz is not None
        if not (zoned or types.is_string(held) or types.is_large_string(held)):
            raise DataError(
                f"{part.path}: the times in {name} are of type {held} and have no UTC offset: "
                f"expected timestamps with a time zone, or texts; {_AGAIN}"
            )
    try:
        return column.cast(kind)
    except pa.ArrowException:
        pass
    wrong = pa.array([not _castable(value, kind) for value in column])
    expected = (
        "a time with its UTC offset, as in 2026-11-23T14:05:00-03:00"
        if types.is_timestamp(kind)
        else "a number, with a point"
        if types.is_floating(kind)
        else "a text"
    )
    return part.refuse(wrong, name, expected)


def _castable(value: Any, kind: Any) -> bool:
    import pyarrow as pa

    try:
        value.cast(kind)
    except pa.ArrowException:
        return False
    return True


def _check_values(part: _Part, table: Any, crms: frozenset[str]) -> None:
    import numpy as np
    import pyarrow as pa

    checks: dict[str, tuple[Callable[[Any], Any], str]] = {
        "crm": (_among(crms), f"one of {', '.join(sorted(crms))}"),
        "cpf": (are_cpfs, "11 digits with their check digits"),
        "phone": (are_phones, "DDD + 8 or 9 digits, digits only"),
        "outcome": (_among(Outcome), f"one of {', '.join(Outcome)}"),
        "tabulation": (_among(Tabulation), f"one of {', '.join(Tabulation)}, or nothing"),
        "convenio": (_matching(CONVENIO), f"{CONVENIO_FORM}, or nothing"),
    }
    for name in REQUIRED:
        if table[name].null_count:
            part.refuse(table[name].is_null(), name, "a value")
    for name, (are_valid, expected) in checks.items():
        # Each distinct value is checked once: a file of calls repeats its CPFs and phones.
        encoded = table[name].combine_chunks().dictionary_encode()
        verdicts = are_valid(encoded.dictionary)
        if not verdicts.all():
            wrong = pa.array(np.append(~verdicts, False))
            places = encoded.indices.fill_null(len(verdicts))
            part.refuse(wrong.take(places), name, expected)
    verdicts = _matching(CALL_ID)(table["call_id"])
    part.refuse(pa.array(~verdicts), "call_id", CALL_ID_FORM)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], Any]:
    import pyarrow.compute as pc

    whole = f"^(?:{pattern.pattern})$"
    return lambda texts: pc.match_substring_regex(texts, whole).to_numpy(zero_copy_only=False)


def _among(values: Iterable[str]) -> Callable[[Any], Any]:
    import numpy as np

    known = {str(value) for value in values}
    return lambda texts: np.array([text in known for text in texts.to_pylist()], dtype=bool)


def are_cpfs(texts: Any) -> Any:
    """Which of the texts are a CPF of 11 digits: what ``parse_cpf`` leaves as it is."""
    import numpy as np

    valid = np.zeros(len(texts), dtype=bool)
    rows, digits = _digits(texts, 11)
    for place in (9, 10):
        weights = np.arange(place + 1, 1, -1)
        check = (digits[:, :place] @ weights) * 10 % 11 % 10
        rows, digits = rows[check == digits[:, place]], digits[check == digits[:, place]]
    valid[rows[(digits != digits[:, :1]).any(axis=1)]] = True
    return valid


def are_phones(texts: Any) -> Any:
    """Which of the texts are DDD + subscriber: what ``parse_phone`` leaves as it is."""
    import numpy as np

    valid, in_service = np.zeros(len(texts), dtype=bool), np.zeros(100, dtype=bool)
    in_service[[int(ddd) for ddd in DDDS]] = True
    for size, firsts in ((11, (9,)), (10, (2, 3, 4, 5))):
        rows, digits = _digits(texts, size)
        good = in_service[digits[:, 0] * 10 + digits[:, 1]] & np.isin(digits[:, 2], firsts)
        valid[rows[good]] = True
    return valid


def _digits(texts: Any, size: int) -> tuple[Any, Any]:
    """The places of the texts of ``size`` ASCII digits, and the digits, a row each."""
    import numpy as np
    import pyarrow.compute as pc

    rows = np.flatnonzero(pc.equal(pc.binary_length(texts), size).to_numpy(zero_copy_only=False))
    joined = "".join(texts.take(rows).to_pylist()).encode("utf-8")
    digits = np.frombuffer(joined, dtype=np.uint8).reshape(-1, size).astype(np.int64) - ord("0")
    good = ((digits >= 0) & (digits <= 9)).all(axis=1)
    return rows[good], digits[good]


def _check_ranges(part: _Part, table: Any, now: datetime) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = table["started_at"].type
    earliest, latest = pa.scalar(EARLIEST, kind), pa.scalar(now + CLOCK_SKEW, kind)
    wrong = pc.or_(pc.less(table["started_at"], earliest), pc.greater(table["started_at"], latest))
    part.refuse(wrong, "started_at", "a time after 1999 and not in the future")
    for name in ("ring_seconds", "talk_seconds"):
        # "Not within" rather than "outside": a NaN is not within.
        within = pc.and_(
            pc.greater_equal(table[name], 0.0), pc.less_equal(table[name], LONGEST_SECONDS)
        )
        wrong = pc.fill_null(pc.invert(within), False)
        part.refuse(wrong, name, f"0 to {LONGEST_SECONDS:.0f} seconds")
