"""The fields of JSON lines: the paths of their leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.reception.infer_types import (
    SAMPLE_ROWS,
    Guess,
    field_name,
    guess_type,
    named_type,
    with_century,
)
from zanc_pipeline.reception.infer_write import field_lines
from zanc_pipeline.reception.readers.jsonl import steps
from zanc_pipeline.reception.readers.sheet_cells import cell_text


def json_fields(name: str, lines: Sequence[str], today: date) -> list[str]:
    """The keys of a layout of JSON lines. Raises DataError, with the line, for other lines."""
    values: dict[str, list[str]] = {}
    for number, line in enumerate(lines[:SAMPLE_ROWS]):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            raise DataError(f"{name}: a linha {number + 1} não é JSON") from None
        for path, value in _leaves(record, ""):
            values.setdefault(path, []).append(cell_text(value, None))
    out, taken = ["formato: jsonl", "campos:"], set[str]()
    ddds = _ddd_paths(values)
    for path, texts in values.items():
        if path in ddds.values():
            continue
        keys = {"caminho": path}
        if path in ddds:
            keys["caminho_ddd"] = ddds[path]
            guess = Guess(type="telefone")
        else:
            guess = named_type(_last(path), texts)
        title = _last(path)
        if _plain_number(title):  # 'titulo.numero' is the contract, 'telefones[0].numero' a phone
            above = path.rpartition(".")[0]
            title = _last(above) if above else title
        field = field_name(title, guess.type, taken)
        taken.add(field)
        guess = with_century(guess, field, today)
        out += field_lines(field, guess, {} if path == field else keys, texts)
    return out


def _last(path: str) -> str:
    return str(next((step for step in reversed(steps(path)) if isinstance(step, str)), path))


def _plain_number(title: str) -> bool:
    return title.lower() in {"numero", "número", "codigo", "código", "id", "nro", "num", "number"}


def _ddd_paths(values: dict[str, list[str]]) -> dict[str, str]:
    """Path of a phone's number → path of its DDD, beside it in the same object."""
    found: dict[str, str] = {}
    for path, codes in values.items():
        if _last(path).lower() not in {"ddd", "codigo_area", "area"}:
            continue
        above = path.rpartition(".")[0]
        for other, numbers in values.items():
            beside = other != path and other.rpartition(".")[0] == above
            if not beside or len(numbers) != len(codes) or other in found:
                continue
            joined = [a + b if b else "" for a, b in zip(codes, numbers, strict=True)]
            if guess_type(joined).type == "telefone":
                found[other] = path
                break
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, value
