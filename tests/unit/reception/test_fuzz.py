"""Any bytes at every door of reception: a verdict of ours, and nothing accepted that is not there.

Doors: reading without a layout, drafting a layout, judging by the layout of a convênio. A hang is
ended by the time limit of the test run.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import tracemalloc
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from openpyxl import Workbook
from reception_files import aurora, aurora_row, energia_row, loja

from zanc_pipeline.common.errors import DataError
from zanc_pipeline.common.settings import Settings, load_settings
from zanc_pipeline.reception.infer import draft
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.process import process, unreceived
from zanc_pipeline.reception.read import read_detected
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.validate import validate

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = {
    "banco_aurora": "AURORA_20261123.csv",
    "energia_sul": "ESUL20261123.txt",
    "loja_horizonte": "LHZ_20261123_000007.rem",
    "telecom_brisa": "brisa_20261123.zip",
}
QUIET = examples(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MB = 1_000_000


def workbook(rows: list[list[object]]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Carteira"
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


TITLES = ["cpf", "cliente", "contrato", "plano", "saldo", "vencimento", "nascimento", "email"]
TITLES += ["cidade", "uf", "telefones", "falecido"]
ROW = ["52998224725", "Ana", "C1", "x", 10.5, "31/01/2026", "", "", "Natal", "RN", "84987654321"]
SAMPLES = {
    "banco_aurora": aurora(*(aurora_row(n) for n in range(6)), aurora_row(7, NOME='"a;b"')),
    "energia_sul": b"".join(energia_row(n) + b"\n" for n in range(6)),
    "loja_horizonte": b"".join(line + b"\n" for line in loja()),
    "telecom_brisa": zipped({"carteira.xlsx": workbook([TITLES, [*ROW, "não"]])}),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(var=tmp_path_factory.mktemp("var"), port_offset=0)


def every_door(stack: Settings, folder: Path, convenio: str, content: bytes) -> str:
    """Take ``content`` through all doors; the status of its verdict."""
    path = folder / NAMES[convenio]
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        table = read_detected(path)
        assert all(len(row) == len(table.header) for row in table.rows)
    with contextlib.suppress(DataError):
        draft(path, today=date(2026, 11, 23))
    result = process(stack, unreceived(path, convenio, NOW), path)
    assert result.verdict.status == "accepted" or result.verdict.reason
    return result.verdict.status


def accepted_rows_are_in(convenio: str, path: Path, stack: Settings) -> None:
    """What is accepted stands in the file, on the line and at the byte that it names."""
    content = path.read_bytes()
    layout = load_layout(stack.config / "convenios" / convenio / "layout.yaml")
    try:
        accepted = validate(layout, read_file(layout, path, NameFacts())).accepted
    except FileRejected:
        return
    for row in accepted.select(["line", "offset", "cpf", "contract"]).to_pylist():
        assert content[: row["offset"]].count(b"\n") == row["line"] - 1
        line = content[row["offset"] :]
        digits = re.sub(rb"[.-]", b"", line)
        assert row["cpf"].lstrip("0").encode() in digits
        assert row["contract"].encode("utf-8") in line.decode("latin-1").encode()


EDITS = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 2000), st.just(b"")),
    st.tuples(st.just("put"), st.integers(0, 2000), st.binary(max_size=60)),
    st.tuples(
        st.just("put"),
        st.integers(0, 2000),
        st.sampled_from(
            [b"\x00" * 50, b'"', b'"' * 51, b"\x1a", b"\r", b"\n\n", b"\xff\xfe", b";;"]
        ),
    ),
    st.tuples(st.just("take"), st.integers(0, 2000), st.binary(min_size=1, max_size=40)),
)


@pytest.mark.parametrize("convenio", SAMPLES)
@given(edits=st.lists(EDITS, min_size=1, max_size=3))
@QUIET
def test_a_damaged_file_gets_a_verdict_at_every_door(
    tmp_path: Path, stack: Settings, convenio: str, edits: list[tuple[str, int, bytes]]
) -> None:
    content = SAMPLES[convenio]
    for kind, place, data in edits:
        at = place % (len(content) + 1)
        rest = {"cut": b"", "put": data + content[at:], "take": content[at + len(data) :]}
        content = content[:at] + rest[kind]
    every_door(stack, tmp_path, convenio, content)
    if convenio != "telecom_brisa":
        accepted_rows_are_in(convenio, tmp_path / NAMES[convenio], stack)


@pytest.mark.parametrize("convenio", SAMPLES)
@given(content=st.binary(max_size=300))
@QUIET
def test_random_bytes_are_never_accepted(
    tmp_path: Path, stack: Settings, convenio: str, content: bytes
) -> None:
    assert every_door(stack, tmp_path, convenio, content) == "quarantined"


HUGE = {
    "one line": b"a" * (3 * MB),
    "one line of separators": b";" * 40_000,
    "one line of quotes": b'"' * MB,
    "quotes that never close": b'"a;\n' * 1_000,
    "quotes within quotes": b'"' + b'""' * 50_000 + b'";\n',
    "nothing but NUL": b"\x00" * MB,
    "nothing but line ends": b"\r\n" * 20_000,
    "nothing but 0x1A": b"\x1a" * MB,
    "very many lines": b"a\n" * 4_000,
}


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("convenio", ["banco_aurora", "energia_sul"])
def test_absurd_files_are_quarantined_in_bounded_memory(
    tmp_path: Path, stack: Settings, convenio: str, kind: str
) -> None:
    header = SAMPLES[convenio].partition(b"\n")[0] + b"\n" if convenio == "banco_aurora" else b""
    path = tmp_path / NAMES[convenio]
    path.write_bytes(header + HUGE[kind])
    tracemalloc.start()
    try:
        result = process(stack, unreceived(path, convenio, NOW), path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.verdict.status == "quarantined"
    assert peak < 150 * MB


@pytest.mark.parametrize("kind", HUGE)
def test_absurd_files_are_read_and_drafted_or_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(HUGE[kind])
    with contextlib.suppress(DataError):
        table = read_detected(path)
        assert all(len(row) == len(table.header) for row in table.rows)
    with contextlib.suppress(DataError):
        draft(path, today=date(2026, 11, 23))


ARCHIVES = {
    "a bomb": zipped({"x.csv": b"0" * (100 * MB)}),
    "a bomb in a bomb": zipped({"x.zip": zipped({"x.csv": b"0" * (50 * MB)})}),
    "a way out": zipped({"../../x.csv": b"a;b\n"}),
    "an absolute way": zipped({"/etc/x.csv": b"a;b\n"}),
    "a Windows way": zipped({"C:\\x.csv": b"a;b\n"}),
    "a name of NULs": zipped({"x\x01.csv": b"a;b\n"}),
    "many files": zipped({f"{n}.csv": b"a;b\n" for n in range(3000)}),
    "no file": zipped({}),
    "a folder": zipped({"x/": b""}),
    "a gzip bomb": gzip.compress(b"0" * (100 * MB)),
    "a gzip cut off": gzip.compress(b"a;b\n" * 1000)[:-10],
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_hostile_archives_are_quarantined_and_write_nothing_outside(
    tmp_path: Path, stack: Settings, kind: str
) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    assert every_door(stack, folder, "telecom_brisa", ARCHIVES[kind]) == "quarantined"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        folder / NAMES["telecom_brisa"]
    ]


@pytest.mark.parametrize(
    "formula", ['=HYPERLINK("http://x","y")', "=1+1", "=cmd|' /C calc'!A0", "@SUM(A1)", "+1-1"]
)
def test_a_formula_in_a_spreadsheet_is_no_value(
    tmp_path: Path, stack: Settings, formula: str
) -> None:
    rows: list[list[object]] = [TITLES, [formula, *ROW[1:], "não"]]
    content = zipped({"carteira.xlsx": workbook(rows)})
    assert every_door(stack, tmp_path, "telecom_brisa", content) == "quarantined"
