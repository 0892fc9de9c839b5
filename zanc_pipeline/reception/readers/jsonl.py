"""JSON lines: one object a line, UTF-8; a field is found by its path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zanc_pipeline.reception.columns import trimmed
from zanc_pipeline.reception.layout import JsonField, JsonLayout
from zanc_pipeline.reception.problems import FileRejected, RejectedRow
from zanc_pipeline.reception.readers.base import Batch, broken_row, chunks, line_offsets
from zanc_pipeline.reception.readers.positions import with_ddd
from zanc_pipeline.reception.readers.sheet_cells import cell_text

MAX_DEPTH = 32
MAX_DIGITS = 100
_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,4})\]")
_OPENING = re.compile(r"[\[{]")
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

Path_ = tuple[str | int, ...]


def steps(path: str) -> Path_:
    """``telefones[0].numero`` as its keys and positions."""
    return tuple(int(index) if index else key for key, index in _STEP.findall(path))


def read_json_lines(layout: JsonLayout, path: Path) -> Iterator[Batch]:
    """Batches of a JSON lines file; a line that is no object, or has unknown keys, is broken.

    Raises FileRejected when no line at all has a field that the layout knows: the names changed.
    """
    paths = {field.name: steps(field.place) for field in layout.fields}
    ddds = {field.name: steps(field.ddd_path) for field in layout.fields if field.ddd_path}
    known = {*paths.values(), *ddds.values(), *(steps(path) for path in layout.ignored)}
    seen: set[str] = set()
    rows = 0
    for chunk in chunks(path, "utf-8", must_end_with_newline=False):
        starts, ends = line_offsets(chunk)
        numbers: list[int] = []
        columns: dict[str, list[str]] = {name: [] for name in (*paths, *_ddd_names(ddds))}
        broken: list[RejectedRow] = []
        for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            raw = chunk.data[start:end].strip(b" \t\r\x00\x1a")
            if chunk.line + index == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if not raw:
                continue
            try:
                record = _record(raw, known)
                texts = {
                    field.name: _text(record, paths[field.name], field) for field in layout.fields
                }
                texts |= {
                    f"{name} ddd": _text(record, steps_, None) for name, steps_ in ddds.items()
                }
            except ValueError as problem:
                text = raw.decode("utf-8", "replace")
                line, offset = chunk.line + index, chunk.offset + start
                broken.append(broken_row(line, offset, text, str(problem)))
                continue
            numbers.append(index)
            seen.update(name for name in paths if texts[name])
            for name, said in texts.items():
                columns[name].append(said)
        places = np.array(numbers, dtype=np.int64)
        rows += len(numbers)
        yield Batch(
            line=chunk.line + places,
            offset=chunk.offset + starts[places],
            cells={field.name: _cells(field, columns) for field in layout.fields},
            broken=broken,
        )
    if rows and not seen:
        wanted = ", ".join(field.place for field in layout.fields[:5])
        raise FileRejected(
            f"nenhuma linha tem as chaves do layout ({wanted}, …): confirme com o credor se os "
            "nomes mudaram"
        )


def _ddd_names(ddds: dict[str, Path_]) -> list[str]:
    return [f"{name} ddd" for name in ddds]


def _cells(field: JsonField, columns: dict[str, list[str]]) -> pa.Array:
    cells = trimmed(pa.array(columns[field.name], type=pa.string()))
    if not field.ddd_path:
        return cells
    return with_ddd(trimmed(pa.array(columns[f"{field.name} ddd"], type=pa.string())), cells)


def _record(raw: bytes, known: set[Path_]) -> dict[str, Any]:
    """The object in a line. Raises ValueError, in Portuguese, for anything else."""
    ask = "peça a correção ao credor"
    text = raw.decode("utf-8", "replace")
    if _depth(text) > MAX_DEPTH:
        raise ValueError(f"o registro tem mais de {MAX_DEPTH} níveis: {ask}")
    try:
        record = json.loads(
            text,
            parse_float=Decimal,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_once,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"não é JSON (coluna {error.colno}): {ask}") from None
    if not isinstance(record, dict):
        raise ValueError(f"não é um objeto JSON ({{…}}): {ask}")
    unknown = next((path for path in _leaves(record, ()) if not _is_known(path, known)), None)
    if unknown is not None:
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in unknown)
        raise ValueError(
            f"há uma chave que o layout não conhece ({name[1:61]}): acrescente-a em 'campos' ou em "
            "'ignorar'"
        )
    return record


def _depth(text: str) -> int:
    """How deep the record is nested, found without parsing: a parser's stack is finite."""
    if len(_OPENING.findall(text)) <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for mark in _MARKS.findall(text):
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("há um número longo demais no registro: peça a correção ao credor")
    return int(text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} não é um valor JSON: peça a correção ao credor")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("há uma chave repetida no registro: peça a correção ao credor")
    return found


def _leaves(value: Any, path: Path_) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, place))
    else:
        yield path


def _is_known(path: Path_, known: set[Path_]) -> bool:
    """Whether a value is a field's, or is below something that the layout ignores."""
    return any(path[:size] in known for size in range(1, len(path) + 1))


def _text(record: Any, path: Path_, field: JsonField | None) -> str:
    value = record
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, dict | list):
        what = ".".join(str(step) for step in path)[:60]
        raise ValueError(f"'{what}' não é um valor, e sim uma lista ou objeto: confira o layout")
    return cell_text(value, field)
