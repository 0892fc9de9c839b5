"""Cells that only have a style, at the end of a row: left out, and no other cell is touched."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.worksheet._reader import WorkSheetParser

from zanc_pipeline.reception.readers import trailing_cells
from zanc_pipeline.reception.readers.trailing_cells import WithoutTrailingCells

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
CELLS = st.lists(
    st.sampled_from(
        [
            '<c s="1"/>',
            '<c r="{}" s="2" />',
            '<c r="{}" t="s"></c>',
            "<c/>",
            '<c r="{}"><v>7</v></c>',
            "<c><v>8</v></c>",
            '<c r="{}" t="inlineStr"><is><t>x</t></is></c>',
        ]
    ),
    max_size=9,
)


def sheet(rows: list[list[str]], *, before: str = "") -> bytes:
    body = "".join(
        f'<row r="{number}">'
        + "".join(
            cell.replace("{}", f"{chr(65 + 2 * place)}{number}") for place, cell in enumerate(cells)
        )
        + "</row>"
        for number, cells in enumerate(rows, start=1)
    )
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{body}</sheetData></worksheet>'.encode()


def read(content: bytes) -> bytes:
    """All of it, piece after piece."""
    return b"".join(iter(WithoutTrailingCells(io.BytesIO(content)).read, b""))


def filled(source: Any) -> list[tuple[int, list[tuple[int, Any]]]]:
    """Row → column and value of every cell that has one."""
    return [
        (number, [(cell["column"], cell["value"]) for cell in cells if cell["value"] is not None])
        for number, cells in WorkSheetParser(source, []).parse()
    ]


@given(rows=st.lists(CELLS, max_size=6), piece=st.integers(1, 400), longest=st.integers(1, 300))
@settings(deadline=None)
def test_every_value_stays_in_its_place(rows: list[list[str]], piece: int, longest: int) -> None:
    content = sheet(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trailing_cells, "_PIECE", piece)
        patch.setattr(trailing_cells, "_LONGEST", longest)
        found = filled(WithoutTrailingCells(io.BytesIO(content)))
    assert found == filled(io.BytesIO(content))


def test_what_is_left_out_is_the_end_of_each_row_alone() -> None:
    empty = ['<c r="{}" s="2"/>'] * 4
    content = sheet([[*empty, '<c r="{}"><v>7</v></c>', *empty], empty])
    left = read(content)
    assert re.findall(rb'<row r="(.)">(.*?)</row>', left) == [
        (b"1", content[content.index(b"<c ") : content.index(b"</v></c>") + 8]),
        (b"2", b""),
    ]


@pytest.mark.parametrize("before", ["<!-- a remark -->", "<x><![CDATA[<c/></row>]]></x>"])
def test_after_a_comment_or_a_marked_section_nothing_is_left_out(before: str) -> None:
    content = sheet([["<c/>"]], before=before)
    assert read(content) == content
