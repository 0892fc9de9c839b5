"""The audit's spreadsheet, the files of the PBX, and the hours that a campaign can keep."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialer.audit_export import HEADER, RULES, row_of, safe_cell, write
from dialer.best_hours import usable
from dialer.mailing import MailingLead
from dialer.permission import Listed, Rules
from dialer.policy import Kept
from dialer.recordings import clean, find
from dialer.rules import CallingHours, check_number
from dialer.truth import read_causes, read_records
from zanc_pipeline.common.errors import DataError

ID = "0" * 31 + "1"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@given(st.text())
@example(" =1+1")
@example("\x0c=1+1")
def test_no_cell_is_a_formula_or_breaks_its_line(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert "\n" not in cell


def test_the_file_is_there_whole_or_not_at_all_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    attempt = {
        "id": ID, "created_at": "2026-11-24T15:00:00+00:00", "phone": "11912345678",
        "contract": '=HYPERLINK("x")', "placed": True, "connected_at": None,
        "evidence": {"at": "2026-11-24T15:00:00+00:00", "checks": {"feriado": "dia comum"}},
    }  # fmt: skip
    assert write(path, [attempt, {**attempt, "evidence": {}}]) == 2
    assert (path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o600, [path])
    with path.open(encoding="utf-8-sig", newline="") as lines:
        first, second = csv.DictReader(lines, delimiter=";")
    assert tuple(first) == HEADER
    assert (first["discado_em"], first["feriado"]) == ("24/11/2026 12:00:00", "dia comum")
    assert (first["contrato"], first["saiu_para_a_rede"]) == ('\'=HYPERLINK("x")', "sim")
    assert {second[rule] for rule in RULES} == {""}
    assert row_of({})["tentativa"] == ""

    def broken() -> object:
        yield attempt
        raise DataError("the service went away")

    with pytest.raises(DataError, match="went away"):
        write(tmp_path / "b.csv", broken())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataError, match="can't be written"):
        write(tmp_path / "nowhere" / "b.csv", [])


def put(path: Path, content: str, days_old: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    moment = (NOW - timedelta(days=days_old)).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_what_is_older_than_it_is_kept_goes_and_long_files_are_put_aside(tmp_path: Path) -> None:
    logs, kept = tmp_path / "log", Kept(gravacoes_dias=180, registros_dias=30, registros_mb=0.00002)
    monitor = tmp_path / "spool" / "monitor"
    old = put(monitor / f"{ID}.wav", "x", 181)
    young = put(monitor / f"{ID[:-1]}2.wav", "x", 179)
    foreign = put(monitor / "jantar.wav", "x", 999)
    records = put(logs / "cdr-csv" / "Master.csv", "x" * 30, 0)
    forgotten = put(logs / "cdr-csv" / "Master.csv.20260101T000000Z", "x", 31)
    short = put(logs / "cel-custom" / "hangups.csv", "x", 0)
    assert find(logs, old.name) == old
    done = clean(logs, kept, NOW)
    assert (done.recordings, done.set_aside, done.removed) == ((old.name,), 1, 1)
    assert not any(path.exists() for path in (old, forgotten, records))
    assert all(path.exists() for path in (young, foreign, short))
    assert (logs / "cdr-csv" / "Master.csv.20261124T120000Z").is_file()
    assert clean(logs, kept, NOW).recordings == ()
    assert find(logs, old.name) is None
    assert find(logs, "../../../etc/passwd") is None
    assert clean(tmp_path / "absent", kept, NOW).set_aside == 0


def test_records_that_were_put_aside_are_read_too(tmp_path: Path) -> None:
    line = '"","","s","c","","PJSIP/carrier-1","","","","2026-11-24 12:00:00","",'
    line += f'"2026-11-24 12:00:09",9,0,"NO ANSWER","","{ID}","human"\n'
    put(tmp_path / "Master.csv.20261124T120000Z", line, 0)
    put(tmp_path / "Master.csv", line.replace(ID, "f" * 32), 0)
    put(tmp_path / "hangups.csv.20261124T120000Z", f'{ID},{{"hangupcause":19}}\n', 0)
    found = read_records(tmp_path / "Master.csv", [ID, "f" * 32])
    assert {key: len(rows) for key, rows in found.items()} == {ID: 1, "f" * 32: 1}
    assert read_causes(tmp_path / "hangups.csv", [ID]) == {ID: 19}


def test_only_hours_in_which_the_phone_may_be_called_are_waited_for() -> None:
    lead = MailingLead(
        rank=1, cpf="", name="", crm="", convenio="", contract="", amount=Decimal(1),
        phones=("1132345678", "2132345678", "6832345678", "190"), refused={"190": "emergência"},
        hours=((19, 8, 7), (8, 19, 18), (9, 10, 19), (9,)),
    )  # fmt: skip
    hours = CallingHours(
        start=time(8),
        end=time(20),
        weekdays=frozenset(range(7)),
        zone=ZoneInfo("America/Sao_Paulo"),
    )
    rules = Rules(listed=Listed(phones={"1132345678"}))
    [kept] = usable([lead], rules=rules, hours=hours, now=NOW)
    assert kept.hours == ((19, 8), (18,), (10, 19), ())
    christmas = datetime(2026, 12, 25, 12, tzinfo=UTC)
    [none] = usable([lead], rules=Rules(), hours=hours, now=christmas)
    assert none.hours == ((), (), (), ())
    plain = replace(lead, hours=((),) * 4)
    assert usable([plain], rules=Rules(), hours=hours, now=NOW) == [plain]


_EVIL = st.sampled_from(["\r\n", "\n", '"', "'", "&", "|", ",", ")", "${EXTEN}", "@", "/", "\x00"])


@given(st.lists(st.one_of(_EVIL, st.text(max_size=3), st.just("11912345678")), max_size=4))
def test_a_phone_with_anything_of_a_dialplan_in_it_is_refused(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        assert check_number(text) == text
    except DataError:
        return
    assert text.isascii()
    assert text.isdigit()


@pytest.mark.parametrize(
    ("phone", "why"),
    [
        ("192", "emergência"),
        ("193", "emergência"),
        ("0900123456", "tarifa especial"),
        ("0500123456", "tarifa especial"),
        ("119123", "curto demais"),
        ("0015551234567", "estrangeiro"),
        ("5511912345678", "longo demais ou estrangeiro"),
    ],
)
def test_the_reason_of_a_refused_number_is_told(phone: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        check_number(phone)
