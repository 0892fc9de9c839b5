"""The creditors' files, read with nothing but the standard library and openpyxl."""

from __future__ import annotations

import csv
import hashlib
import io
import struct
import zipfile
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.world.small_world import DAY, small_settings
from zanc_pipeline.common.codecs import parse_cpf, parse_date, parse_money, parse_phone
from zanc_pipeline.common.settings import Settings
from zanc_pipeline.world import generation, law, outbox, truth
from zanc_pipeline.world.files import make_faults
from zanc_pipeline.world.people import CONVENIOS

NAMES = {
    "banco_aurora": "AURORA_20261123.csv",
    "energia_sul": "ESUL20261123.txt",
    "loja_horizonte": "LHZ_20261123_0001.rem",
    "telecom_brisa": "brisa_20261123.zip",
}
Record = dict[str, object]


def content(world: Settings, convenio: str) -> bytes:
    return (world.var / "world" / "outbox" / convenio / NAMES[convenio]).read_bytes()


def aurora(data: bytes) -> list[Record]:
    assert data.count(b"\r\n") == data.count(b"\n")
    rows = list(csv.DictReader(io.StringIO(data.decode("latin-1"), newline=""), delimiter=";"))
    return [
        {
            "cpf": parse_cpf(row["CPF"]),
            "contract": row["CONTRATO"],
            "amount": parse_money(row["VALOR"]),
            "due_date": parse_date(row["VENCIMENTO"]),
            "phones": [row[f"DDD{n}"] + row[f"FONE{n}"] for n in (1, 2, 3) if row[f"FONE{n}"]],
        }
        for row in rows
    ]


def energia(data: bytes) -> list[Record]:
    form = struct.Struct("11s40s15s15s12s8s8s12s12s12s40s25s2s1s7sc")
    assert form.size == 221
    assert len(data) % 221 == 0
    rows = []
    for fields in form.iter_unpack(data):
        text = [field.decode("latin-1").strip() for field in fields]
        assert fields[-1] == b"\n"
        rows.append(
            {
                "cpf": parse_cpf(text[0]),
                "contract": text[2],
                "amount": parse_money(text[4], implied_decimals=2),
                "due_date": parse_date(text[5], order="ymd"),
                "phones": [phone for phone in text[7:10] if phone],
            }
        )
    return rows


def horizonte(data: bytes) -> list[Record]:
    lines = data.decode("ascii").splitlines()
    assert {len(line) for line in lines} == {200}
    header, *details, trailer = lines
    assert header.startswith("0HORIZONTE 23112026000001")
    assert trailer[0] == "9"
    assert int(trailer[1:9]) == len(details)
    form = struct.Struct("1s11s40s15s15s12s8s11s11s11s25s2s1s37s")
    rows, total = [], Decimal(0)
    for line in details:
        text = [field.decode("ascii").strip() for field in form.unpack(line.encode("ascii"))]
        assert text[0] == "1"
        amount = parse_money(text[5], implied_decimals=2)
        assert amount is not None
        total += amount
        rows.append(
            {
                "cpf": parse_cpf(text[1]),
                "contract": text[3],
                "amount": amount,
                "due_date": parse_date(text[6]),
                "phones": [phone for phone in text[7:10] if phone],
            }
        )
    assert parse_money(trailer[9:25], implied_decimals=2) == total
    return rows


def brisa(data: bytes) -> list[Record]:
    from openpyxl import load_workbook

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["brisa_20261123.xlsx"]
        book = load_workbook(io.BytesIO(archive.read("brisa_20261123.xlsx")), read_only=True)
    header, *cells = book["Carteira"].iter_rows(values_only=True)
    rows = []
    for values in cells:
        row = dict(zip(header, values, strict=True))
        numeric = isinstance(row["saldo"], int | float)
        rows.append(
            {
                "cpf": parse_cpf(str(row["cpf"])),
                "contract": row["contrato"] or "",
                "amount": Decimal(str(row["saldo"])) if numeric else None,
                "due_date": row["vencimento"] if isinstance(row["vencimento"], datetime) else None,
                "phones": str(row["telefones"]).split(" / "),
            }
        )
    return rows


READERS: dict[str, tuple[Callable[[bytes], list[Record]], int]] = {
    "banco_aurora": (aurora, 2),
    "energia_sul": (energia, 1),
    "loja_horizonte": (horizonte, 2),
    "telecom_brisa": (brisa, 2),
}


@pytest.mark.parametrize("convenio", list(NAMES))
def test_good_rows_are_good_and_bad_rows_are_bad_where_the_truth_says(
    world: Settings, convenio: str
) -> None:
    read, first_line = READERS[convenio]
    rows = read(content(world, convenio))
    bad = {
        first_line + place: [name for name, value in row.items() if not value]
        for place, row in enumerate(rows)
        if not all(row.values())
    }
    with truth.reading(truth.truth_path(world)) as connection:
        noted = {
            row["line"]: [row["field"]]
            for row in connection.execute("SELECT * FROM bad_row WHERE convenio = ?", (convenio,))
        }
    assert bad == noted
    assert bad
    (made,) = (made for made in outbox.files_of(world) if made["name"] == NAMES[convenio])
    assert (made["rows_good"], made["rows_bad"]) == (len(rows) - len(bad), len(bad))
    assert made["sha256"] == hashlib.sha256(content(world, convenio)).hexdigest()
    assert all(parse_phone(str(phone)) for row in rows for phone in row["phones"])  # type: ignore[attr-defined]


def test_aurora_quotes_what_holds_the_separator_and_drops_leading_zeros(world: Settings) -> None:
    data = content(world, "banco_aurora").decode("latin-1")
    assert '"CDC; VEÍCULOS"' in data
    assert any(len(line.split(";")[0]) < 11 for line in data.splitlines()[1:])


def test_the_same_seed_gives_the_same_bytes(world: Settings, tmp_path: Path) -> None:
    again = small_settings(tmp_path / "again")
    generation.generate(again, day=DAY)
    for name in ("history/calls.parquet", "history/portfolio.csv", "state.json"):
        assert (again.var / "world" / name).read_bytes() == (
            world.var / "world" / name
        ).read_bytes()
    for convenio in NAMES:
        assert content(again, convenio) == content(world, convenio)


def test_another_seed_gives_other_people(world: Settings, tmp_path: Path) -> None:
    other = small_settings(tmp_path / "other", seed=8)
    generation.generate(other, day=DAY)
    assert content(other, "energia_sul") != content(world, "energia_sul")


def test_faulty_files_are_wrong_in_the_way_they_say(world: Settings) -> None:
    good = {
        known.name: outbox.day_file(truth.truth_path(world), world.world.seed, known.name).content
        for known in CONVENIOS
    }
    faulty = {item.fault: item for item in make_faults(DAY, good)}
    assert set(faulty) == {"unknown_convenio", "empty", "half", "control_total"}
    assert faulty["unknown_convenio"].folder not in world.convenios
    assert faulty["empty"].content == b""
    assert 0 < len(faulty["half"].content) % 221 < 220
    wrong, right = faulty["control_total"].content, good["loja_horizonte"]
    assert len(wrong) == len(right)
    assert int(wrong.splitlines()[-1][9:25]) == int(right.splitlines()[-1][9:25]) + 100
    names = {path.name for path in outbox.paths(world)}
    assert not names & {item.name for item in faulty.values()}


def test_people_of_one_creditor_are_known_to_another_by_the_same_cpf(world: Settings) -> None:
    cpfs = [{row["cpf"] for row in READERS[name][0](content(world, name))} for name in NAMES]
    shared = set.union(*(a & b for a in cpfs for b in cpfs if a is not b)) - {None}
    assert len(shared) > 20


def test_the_seed_of_the_files_is_the_worlds(world: Settings) -> None:
    state = generation.read_state(world)
    assert state is not None
    made = outbox.day_file(truth.truth_path(world), state.seed, "energia_sul")
    assert made.content == content(world, "energia_sul")
    assert law.random_stream(state.seed, "x").random() != law.random_stream(0, "x").random()
