"""JSON lines and delimited records as tables: aligned as a table is, written back as they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from zanc_pipeline.reception.drift.raw import EXCERPT_ROWS, RawTable, excerpt
from zanc_pipeline.reception.layout import (
    ColumnField,
    DelimitedRecordsLayout,
    FieldSpec,
    JsonLayout,
)
from zanc_pipeline.reception.layout_fields import JsonField

_MAX_DEPTH = 32
_MAX_KEYS = 2_000
_JSON_NAMES = {"caminho": "coluna", "caminho_ddd": "coluna_ddd"}

KeyedLayout = JsonLayout | DelimitedRecordsLayout


def keyed_table(layout: KeyedLayout, path: Path) -> RawTable | None:
    """The records of a file as columns of texts; None when there are none, or they have children.

    A JSON record's columns are the paths of its values; a delimited one's, its cells by number.
    """
    data = excerpt(path)
    if isinstance(layout, JsonLayout):
        return _of_json(data)
    if layout.records.children:
        return None
    try:
        text = data.decode(layout.encoding)
    except UnicodeDecodeError:
        return None
    quoting = {"quotechar": layout.quote} if layout.quote else {"quoting": csv.QUOTE_NONE}
    if len(layout.delimiter) != 1:
        return None
    code, place = layout.records.detail.code, layout.records.start - 1
    rows = [
        row
        for row in csv.reader(text.splitlines(), delimiter=layout.delimiter, **quoting)
        if len(row) > place and row[place] == code
    ][:EXCERPT_ROWS]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        return None
    return RawTable(titles=None, rows=rows, changes={"formato": "delimitado"})


def _of_json(data: bytes) -> RawTable | None:
    places: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines()[:EXCERPT_ROWS]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(record, dict):
            continue
        values = dict(_leaves(record, "", 0))
        for key in values:
            places.setdefault(key, len(places))
        found.append(values)
        if len(places) > _MAX_KEYS:
            return None
    if not found or not places:
        return None
    rows = [[_text(values.get(key)) for key in places] for values in found]
    return RawTable(titles=list(places), rows=rows, changes={"formato": "jsonl"})


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]", depth + 1)
    else:
        yield path, value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def as_columns(layout: KeyedLayout) -> list[ColumnField]:
    """The fields of a record as columns of that table."""
    return [_column(spec) for spec in layout.fields]


def _column(spec: FieldSpec) -> ColumnField:
    shared = ColumnField.model_fields.keys() & type(spec).model_fields.keys()
    made = ColumnField.model_construct(**{name: getattr(spec, name) for name in shared})
    if isinstance(spec, JsonField):
        return made.model_copy(update={"column": spec.place, "ddd_column": spec.ddd_path})
    return made


def as_table(content: dict[str, Any]) -> dict[str, Any]:
    """The layout's content with its fields where a table has them."""
    if content["formato"] == "jsonl":
        fields = [
            {_JSON_NAMES.get(key, key): value for key, value in one.items()}
            for one in content["campos"]
        ]
        return content | {"campos": fields}
    return content | {"campos": content["registros"]["detalhe"]["campos"]}


def written_back(own: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The layout's content ``own`` with the fields that were found, as ``made`` for a table."""
    content = deepcopy(own)
    if own["formato"] == "jsonl":
        names = {new: old for old, new in _JSON_NAMES.items()}
        content["campos"] = [
            {names.get(key, key): value for key, value in one.items()} for one in made["campos"]
        ]
        content.pop("ignorar", None)
        if made.get("ignorar"):
            content["ignorar"] = made["ignorar"]
        return content
    content["registros"]["detalhe"]["campos"] = made["campos"]
    return content
