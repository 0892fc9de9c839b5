"""Whatever the bytes are, a reader ends with a verdict of ours."""

import contextlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reception_files import AURORA_HEADER, CPFS, aurora, aurora_row, energia_row, loja

from zanc_pipeline.reception.cells import protected
from zanc_pipeline.reception.layout import load_layout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.problems import FileRejected
from zanc_pipeline.reception.read import read_detected, table_of
from zanc_pipeline.reception.readers import read_file
from zanc_pipeline.reception.validate import validate

CONVENIOS = Path(__file__).parents[3] / "config" / "convenios"
SAMPLES = {
    "banco_aurora": aurora(aurora_row(1), aurora_row(2, NOME='"a;b"')),
    "energia_sul": energia_row(1) + b"\n" + energia_row(2) + b"\n",
    "loja_horizonte": b"".join(line + b"\n" for line in loja()),
    "telecom_brisa": b"PK\x03\x04",
}
BYTES = st.binary(max_size=400)
QUIET = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("convenio", SAMPLES)
@given(noise=BYTES, place=st.integers(0, 600), keep=st.integers(0, 600))
@QUIET
def test_a_damaged_file_never_crashes_and_never_accepts_a_value_that_is_not_there(
    tmp_path: Path, convenio: str, noise: bytes, place: int, keep: int
) -> None:
    sample = SAMPLES[convenio]
    path = tmp_path / "x"
    path.write_bytes(sample[:place] + noise + sample[place + keep :])
    layout = load_layout(CONVENIOS / convenio / "layout.yaml")
    try:
        result = validate(layout, read_file(layout, path, NameFacts()))
    except FileRejected:
        return
    assert set(result.accepted["cpf"].to_pylist()) <= set(CPFS)


@given(data=BYTES)
@QUIET
def test_any_bytes_are_a_table_or_no_text(data: bytes) -> None:
    try:
        table = table_of(data)
    except FileRejected:
        return
    assert all(len(row) == len(table.header) for row in table.rows)


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs")), max_size=400))
@QUIET
def test_any_text_is_a_table_that_holds_every_line(text: str) -> None:
    table = table_of(text.encode())
    assert all(len(row) == len(table.header) for row in table.rows)
    assert bool(table.header) == bool(text.removeprefix("\ufeff").strip())


@pytest.mark.parametrize("tail", [b"", b"\x00" * 40, bytes(range(256)) * 20])
@given(cut=st.integers(1, 1000), place=st.integers(0, 1000), byte=st.integers(0, 255))
@QUIET
def test_a_damaged_zip_never_crashes(
    tmp_path: Path, tail: bytes, cut: int, place: int, byte: int
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", SAMPLES["banco_aurora"])
    content = bytearray(packed.getvalue())
    del content[place : place + cut % 7]
    if content:
        content[place % len(content)] = byte
    path = tmp_path / "x.zip"
    path.write_bytes(bytes(content) + tail)
    layout = load_layout(CONVENIOS / "telecom_brisa" / "layout.yaml")
    for read in (
        lambda: list(read_detected(path).rows),
        lambda: list(read_file(layout, path, NameFacts())),
    ):
        with contextlib.suppress(FileRejected):
            read()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), ".xls"),
        (b"PK\x03\x04cut off", "zip"),
        (b"%PDF-1.7\n", "PDF"),
        (bytes(range(256)) * 8, "binário"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, said: str) -> None:
    with pytest.raises(FileRejected, match=said):
        table_of(data)


@given(cells=st.lists(st.text(alphabet="ab;\" '=,", max_size=8), min_size=17, max_size=17))
@QUIET
def test_every_row_is_accepted_or_rejected(tmp_path: Path, cells: list[str]) -> None:
    path = tmp_path / "x"
    lines = [AURORA_HEADER, aurora_row(1), ";".join(cells), aurora_row(2)]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("latin-1"))
    layout = load_layout(CONVENIOS / "banco_aurora" / "layout.yaml")
    result = validate(layout, read_file(layout, path, NameFacts()))
    seen = {*result.accepted["line"].to_pylist(), *(row.line for row in result.rejected)}
    assert {2, 4} <= seen
    assert 3 in seen


@pytest.mark.parametrize("cell", ["=1+1", "+55", "-1", "@x", " =1", "\t=1"])
def test_formulas_are_neutralised_in_files_for_people(cell: str) -> None:
    assert protected(cell) == f"'{cell}"
