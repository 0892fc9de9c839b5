"""A wrong file of calls is told by line, column, what is there and what should be."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.localization.files import check_calls

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEADER = "crm,call_id,cpf,phone,started_at,talk_seconds,outcome\n"
ROW = "norma,{n},52998224725,11987654321,2026-11-20T10:00:00-03:00,0,no_answer\n"


def checked(path: Path) -> int:
    return check_calls(path, now=NOW, crms=frozenset({"norma"})).rows


def row(number: int, **changed: str) -> str:
    text = ROW.format(n=f"c{number}")
    for old, new in changed.items():
        text = text.replace({"cpf": "52998224725", "talk": ",0,", "id": f"c{number}"}[old], new)
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + row(1) + row(2, cpf="529982"), r"line 3, column cpf: .*, found \*{4}82; nothing"),
        (HEADER + row(1) + "\n\n" + row(2, cpf="1234"), "line 5, column cpf"),
        (HEADER + row(1, talk=",x,"), "line 2, column talk_seconds: expected a number.*'x'"),
        (HEADER + row(1, talk=",NaN,"), "line 2, column talk_seconds: .* found 'NaN'"),
        (HEADER + row(1, id=""), "line 2, column call_id: expected a value, found nothing"),
        (HEADER + row(1, id="=1+1"), "line 2, column call_id: .* found '=1.1'"),
        (HEADER + row(1) + row(2, talk=",1,5,"), "line 3: 8 values, but the header names 7"),
        (HEADER + row(1) + '"' + row(2) + row(3), "line 3: 1 values, but the header names 7"),
        (HEADER + row(1) + row(2, id="ção"), "line 3: not UTF-8"),
        (HEADER.replace(",", ";"), "lacks the columns crm.*commas between them"),
        (HEADER.replace("outcome", "outcome,cpf") + row(1).replace("\n", ",1\n"), "cpf twice"),
        ("", "the file is empty"),
    ],
)
def test_a_wrong_csv_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=message) as caught:
        checked(path)
    assert "52998224725" not in str(caught.value)


@pytest.mark.parametrize("text", [HEADER, "﻿" + HEADER + row(1), HEADER + "\n" + row(1)])
def test_what_spreadsheets_add_does_no_harm(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(text, encoding="utf-8", newline="\r\n")
    assert checked(path) == text.count("norma")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("started_at", pa.array([NOW.replace(tzinfo=None)]), r"timestamp\[us\] and have no UTC"),
        ("started_at", pa.array([date(2026, 11, 20)]), r"date32\[day\] and have no UTC offset"),
        ("started_at", pa.array([1_700_000_000]), "int64 and have no UTC offset"),
        ("call_id", pa.array([["a"]]), "row 1, column call_id: expected a text"),
        ("call_id", pa.array([b"\xff"]), "row 1, column call_id: expected a text"),
        ("cpf", pa.array([191]), "row 1, column cpf: expected 11 digits"),
        ("talk_seconds", pa.array([None], pa.float64()), "row 1, column talk_seconds: .* nothing"),
    ],
)
def test_a_parquet_file_of_other_types_is_told(
    tmp_path: Path, column: str, values: pa.Array, message: str
) -> None:
    path = tmp_path / "calls.parquet"
    right: dict[str, Any] = {
        "crm": ["norma"],
        "call_id": pa.array(["a"]).dictionary_encode(),
        "cpf": [52998224725],
        "phone": ["11987654321"],
        "started_at": pa.array([NOW], pa.timestamp("ns", tz="America/Sao_Paulo")),
        "talk_seconds": ["1.5"],
        "outcome": ["human"],
    }
    pq.write_table(pa.table(right), path)
    assert checked(path) == 1
    pq.write_table(pa.table({**right, column: values}), path)
    with pytest.raises(DataError, match=message):
        checked(path)
