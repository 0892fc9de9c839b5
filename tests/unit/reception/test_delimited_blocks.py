"""Delimited files are cut in whole blocks; the result is what line by line reading gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zanc_pipeline.reception.accepted import accepted_schema
from zanc_pipeline.reception.aside import ACCEPTED, AsideFiles
from zanc_pipeline.reception.fields import convert as scalar
from zanc_pipeline.reception.layout import DelimitedLayout
from zanc_pipeline.reception.names import NameFacts
from zanc_pipeline.reception.readers import base, read_file
from zanc_pipeline.reception.readers.quotes import MAX_JOINED_LINES, split_line
from zanc_pipeline.reception.validate import stream
from zanc_pipeline.reception.vectors import convert_all, plain_values

BLANK = "\x1a\x00 \t"


@dataclass
class Read:
    """What a file holds: cells by line, each line's byte, and the lines that were not cut."""

    rows: dict[int, list[str]]
    offsets: dict[int, int]
    broken: dict[int, str]


def layout(width: int, **keys: object) -> DelimitedLayout:
    fields = [{"nome": f"c{place}"} for place in range(width)]
    if keys.get("cabecalho") == "não":
        fields = [{**field, "posicao": place + 1} for place, field in enumerate(fields)]
    return DelimitedLayout.model_validate(
        {
            "versao": "1",
            "vigencia": date(2026, 1, 1),
            "arquivos": "*",
            "formato": "delimitado",
            "codificacao": "utf-8",
            "separador": ";",
            "termina_com_quebra_de_linha": "não",
            "campos": fields,
            **keys,
        }
    )


def read(path: Path, content: bytes, chosen: DelimitedLayout) -> Read:
    path.write_bytes(content)
    found = Read(rows={}, offsets={}, broken={})
    for batch in read_file(chosen, path, NameFacts()):
        columns = [batch.cells[field.name].to_pylist() for field in chosen.fields]
        for place, (line, offset) in enumerate(
            zip(batch.line.tolist(), batch.offset.tolist(), strict=True)
        ):
            found.rows[line] = [column[place] for column in columns]
            found.offsets[line] = offset
        for name, cells in batch.raw.items():
            bare = cells.without_blanks().texts().to_pylist()
            assert [cell.decode("utf-8", "replace") for cell in bare] == batch.cells[
                name
            ].to_pylist()
        found.broken |= {row.line: row.problems[0].problem for row in batch.broken}
    return found


def line_by_line(content: bytes, width: int) -> tuple[dict[int, list[str]], set[int]]:
    lines = [line.rstrip("\r") for line in content.decode("utf-8", "replace").split("\n")]
    cut: dict[int, list[str]] = {}
    broken: set[int] = set()
    at = 1
    while at < len(lines):
        taken, cells = 1, split_line(lines[at], ";", '"') if lines[at].strip(BLANK) else []
        for more in range(2, MAX_JOINED_LINES + 1) if cells is None else ():
            if at + more > len(lines) - (not lines[-1]):
                break
            joined = split_line("\n".join(lines[at : at + more]), ";", '"')
            if joined is not None:
                if len(joined) == width:
                    taken, cells = more, joined
                break
        if cells is not None and len(cells) == width:
            cut[at + 1] = [cell.strip(" \t") for cell in cells]
        elif cells != []:
            broken.add(at + 1)
        at += taken
    return cut, broken


LINE = st.one_of(
    st.sampled_from(
        ["a;b;c", '"a";"b";"c"', '"a;b";c;d', "x", '"', "", "  ", '"a', 'b";c;d', "1;2;"]
    ),
    st.text(alphabet='ab;" \té\x1a"', max_size=12),
)


@given(
    lines=st.lists(LINE, max_size=30),
    newline=st.sampled_from(["\n", "\r\n", "\r\r\n"]),
    size=st.integers(8, 200),
    final=st.booleans(),
)
@example(lines=['"a', 'b";c;d', "1;2;3"], newline="\n", size=10, final=True)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_blocks_are_cut_as_lines_are(
    tmp_path: Path, lines: list[str], newline: str, size: int, final: bool
) -> None:
    content = newline.join(["c0;c1;c2", *lines]).encode() + newline.encode() * final
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "CHUNK_BYTES", size)
        found = read(tmp_path / "x.csv", content, layout(3))
    rows, broken = line_by_line(content, 3)
    assert found.rows == rows
    assert set(found.broken) == broken
    for line, offset in found.offsets.items():
        assert content[:offset].count(b"\n") == line - 1


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_stray_quote_costs_only_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(base, "CHUNK_BYTES", size)
    found = read(tmp_path / "x", b'c0;c1\na;b\n"x;b\nc;d\ne"f;g\n', layout(2))
    assert found.rows == {2: ["a", "b"], 4: ["c", "d"], 5: ['e"f', "g"]}
    assert "aspas que abrem" in found.broken[3]


@pytest.mark.parametrize("size", [10, 10_000])
def test_a_quoted_cell_may_go_over_lines_when_the_count_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(base, "CHUNK_BYTES", size)
    found = read(tmp_path / "x", b'c0;c1\n1;"rua A\ncasa 2"\n3;4\n', layout(2))
    assert found.rows == {2: ["1", "rua A\ncasa 2"], 4: ["3", "4"]}


def test_every_line_is_cut_or_broken(tmp_path: Path) -> None:
    found = read(tmp_path / "x", b'c0;c1\na;b\n\na\na;b;c\n"\n  \n', layout(2))
    assert set(found.rows) | set(found.broken) == {2, 4, 5, 6}
    assert "tem 3 colunas e o cabeçalho tem 2" in found.broken[5]


def test_a_byte_order_mark_is_no_part_of_a_title_or_a_cell(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    titled = read(tmp_path / "x", mark + b"c0;c1\na;b\n", layout(2))
    bare = read(tmp_path / "x", mark + b"a;b\n", layout(2, cabecalho="não"))
    assert (titled.rows, titled.offsets) == ({2: ["a", "b"]}, {2: 9})
    assert (bare.rows, bare.offsets) == ({1: ["a", "b"]}, {1: 3})


@pytest.mark.parametrize("size", [6, 10_000])
def test_lines_before_and_after_the_data_are_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(base, "CHUNK_BYTES", size)
    content = b"Carteira de hoje;;\n\nc0;c1\na;b\nc;d\ntotal;2\nfim\n\n"
    chosen = layout(2, linhas_antes=1, linhas_depois=2)
    assert read(tmp_path / "x", content, chosen).rows == {4: ["a", "b"], 5: ["c", "d"]}


CODES = {"01": "novo", "02": "velho", "03": "novo"}
TYPED = [
    {"nome": "codigo_1", "tipo": "codigo", "tabela": CODES},
    {"nome": "dia_1", "tipo": "data", "formato": "aaaammdd"},
    {"nome": "dia_2", "tipo": "data", "formato": "aaaammdd"},
    {"nome": "nome", "tipo": "texto"},
    {"nome": "codigo_2", "tipo": "codigo", "tabela": CODES},
    {"nome": "dia_3", "tipo": "data", "formato": "aaaammdd"},
    {"nome": "codigo_3", "tipo": "codigo", "tabela": CODES},
    {"nome": "codigo_4", "tipo": "codigo", "tabela": CODES},
    {"nome": "dia_4", "tipo": "data", "formato": "aaaammdd"},
]
CODE, DAY = st.sampled_from(list(CODES)), st.dates(date(2000, 1, 1)).map("{:%Y%m%d}".format)
EVEN_ROW = st.tuples(CODE, DAY, DAY, st.text("ab ", max_size=3), CODE, DAY, CODE, CODE, DAY)


@given(
    rows=st.lists(EVEN_ROW, min_size=1, max_size=8),
    quoted=st.sampled_from([(), (0, 1, 2), (4, 6, 7), range(9)]),
    odd=st.sampled_from([None, "4", "04", "20260230", " 01 ", '"']),
    at=st.integers(0, 8),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_columns_of_even_sizes_are_typed_as_any_others(
    tmp_path: Path, rows: list[tuple[str, ...]], quoted: list[int], odd: str | None, at: int
) -> None:
    cells = [
        [f'"{cell}"' if place in quoted else cell for place, cell in enumerate(row)] for row in rows
    ]
    if odd is not None:
        cells[-1][at] = odd
    text = "\n".join(";".join(row) for row in cells) + "\n"
    (tmp_path / "x").write_text(";".join(field["nome"] for field in TYPED) + "\n" + text)
    chosen = layout(2, campos=TYPED)
    for batch in read_file(chosen, tmp_path / "x", NameFacts()):
        columns = convert_all(chosen.fields, batch)
        for spec in chosen.fields:
            ours, theirs = columns[spec.name], scalar(spec, batch.cells[spec.name])
            assert plain_values(ours.values).equals(theirs.values), spec.name
            assert ours.invalid.tolist() == theirs.invalid.tolist()


def test_texts_of_a_table_are_kept_as_texts_whatever_batch_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "CHUNK_BYTES", 8)
    chosen = layout(2, campos=[{**TYPED[0], "vazios": ["--"]}, {**TYPED[4]}, {"nome": "c"}])
    path = tmp_path / "x"
    path.write_text("codigo_1;codigo_2;c\n01;02;a\n--;;b\n03;01;c\n02;03;d\n;02;e\n")
    files = AsideFiles(tmp_path)
    stream(chosen, lambda: read_file(chosen, path, NameFacts()), files)
    files.finish()
    kept = pq.read_table(tmp_path / ACCEPTED)
    assert kept.schema.equals(accepted_schema(chosen))
    assert kept["campo_codigo_1"].to_pylist() == ["novo", None, "novo", "velho", None]
    assert kept["campo_codigo_2"].to_pylist() == ["velho", None, "novo", "novo", "velho"]
