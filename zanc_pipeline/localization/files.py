"""Files of calls, CSV or Parquet, checked column by column before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from zanc_pipeline.common.codecs import parse_cpf, parse_phone
from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.outcomes import Outcome, Tabulation
from zanc_pipeline.localization.calls import CLOCK_SKEW, EARLIEST, LONGEST_SECONDS

REQUIRED = ("crm", "call_id", "cpf", "phone", "started_at", "talk_seconds", "outcome")
OPTIONAL = ("ring_seconds", "tabulation", "convenio")


def read_calls(path: Path, *, now: datetime, crms: frozenset[str]) -> Any:
    """The file as a ``pyarrow.Table`` of REQUIRED + OPTIONAL columns, checked.

    ``crm`` must be one of ``crms``; times need their UTC offset; phones are DDD + subscriber,
    digits only. Raises DataError that names the file, the first wrong line (row of a Parquet file,
    from 1) and the column.
    """
    import pyarrow as pa

    table = _read(path)
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: lacks the columns {', '.join(missing)}")
    first_line = 2 if path.suffix.lower() == ".csv" else 1
    columns = {
        name: _cast(table, name, kind, path, first_line) for name, kind in _types(pa).items()
    }
    table = pa.table(columns)
    _check_values(table, path, first_line, crms)
    _check_ranges(table, path, first_line, now)
    return table


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


def _read(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path} does not exist")
    wanted = {*REQUIRED, *OPTIONAL}
    try:
        if path.suffix.lower() == ".parquet":
            present = pq.read_schema(path).names
            return pq.read_table(path, columns=[name for name in present if name in wanted])
        if path.suffix.lower() == ".csv":
            texts = dict.fromkeys(_types(pa), pa.string())
            convert = pc.ConvertOptions(column_types=texts, strings_can_be_null=True)
            return pc.read_csv(path, convert_options=convert)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None
    raise DataError(f"{path}: expected a .csv or a .parquet file")


def _cast(table: Any, name: str, kind: Any, path: Path, first_line: int) -> Any:
    import pyarrow as pa

    if name not in table.column_names:
        return pa.nulls(table.num_rows, kind)
    column = table[name]
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        raise DataError(f"{path}: the times in {name} have no UTC offset")
    try:
        return column.cast(kind)
    except pa.ArrowException:
        pass
    castable = [_castable(value, kind) for value in column]
    expected = "a time with its UTC offset" if name == "started_at" else f"a value of type {kind}"
    return _refuse(pa.array([not one for one in castable]), path, first_line, name, expected)


def _castable(value: Any, kind: Any) -> bool:
    import pyarrow as pa

    try:
        value.cast(kind)
    except pa.ArrowException:
        return False
    return True


def _check_values(table: Any, path: Path, first_line: int, crms: frozenset[str]) -> None:
    checks: dict[str, Callable[[str], bool]] = {
        "crm": lambda value: value in crms,
        "cpf": lambda value: parse_cpf(value) == value,
        "phone": lambda value: (phone := parse_phone(value)) is not None and phone.number == value,
        "outcome": lambda value: value in set(Outcome),
        "tabulation": lambda value: value in set(Tabulation),
    }
    expected = {
        "crm": f"one of {', '.join(sorted(crms))}",
        "cpf": "11 digits with their check digits",
        "phone": "DDD + 8 or 9 digits, digits only",
        "outcome": f"one of {', '.join(Outcome)}",
        "tabulation": f"one of {', '.join(Tabulation)}, or nothing",
    }
    for name in REQUIRED:
        if table[name].null_count:
            _refuse(table[name].is_null(), path, first_line, name, "a value")
    for name, is_valid in checks.items():
        # Each distinct value is checked once: a file of calls repeats its CPFs and phones.
        encoded = table[name].combine_chunks().dictionary_encode()
        verdicts = [value is None or is_valid(value) for value in encoded.dictionary.to_pylist()]
        if not all(verdicts):
            import pyarrow as pa

            wrong = pa.array([not verdict for verdict in verdicts]).take(encoded.indices)
            _refuse(wrong, path, first_line, name, expected[name])


def _check_ranges(table: Any, path: Path, first_line: int, now: datetime) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = table["started_at"].type
    earliest, latest = pa.scalar(EARLIEST, kind), pa.scalar(now + CLOCK_SKEW, kind)
    wrong = pc.or_(pc.less(table["started_at"], earliest), pc.greater(table["started_at"], latest))
    _refuse(wrong, path, first_line, "started_at", "a time after 1999 and not in the future")
    for name in ("ring_seconds", "talk_seconds"):
        # "Not within" rather than "outside": a NaN is not within.
        within = pc.and_(
            pc.greater_equal(table[name], 0.0), pc.less_equal(table[name], LONGEST_SECONDS)
        )
        wrong = pc.fill_null(pc.invert(within), False)
        _refuse(wrong, path, first_line, name, f"0 to {LONGEST_SECONDS:.0f} seconds")
    lengths = pc.utf8_length(table["call_id"])
    wrong = pc.or_(pc.less(lengths, 1), pc.greater(lengths, 80))
    _refuse(wrong, path, first_line, "call_id", "1 to 80 characters")


def _refuse(wrong: Any, path: Path, first_line: int, column: str, expected: str) -> None:
    import pyarrow.compute as pc

    position = pc.index(wrong, True).as_py()
    if position >= 0:
        raise DataError(
            f"{path}, line {position + first_line}, column {column}: expected {expected}; "
            "nothing was loaded"
        )
